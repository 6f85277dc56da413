//! The examples do what they say, on real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[allow(dead_code, reason = "its main is that of the example")]
#[path = "../examples/camera.rs"]
mod camera;
#[allow(dead_code, reason = "its main is that of the example")]
#[path = "../examples/proxy.rs"]
mod proxy;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::thread::spawn;

use rustix::net::sockopt::set_socket_linger;
use support::{Room, pattern, reading, writing};

/// What was recorded.
fn contents(file: &std::fs::File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn the_recording_and_the_client_both_get_what_the_camera_sends() {
    let _room = Room::enter();
    for length in [0, 1, 100_000, 20_000_003] {
        let film = pattern(length, 1);
        let (camera, server_camera) = support::tcp();
        let (server_client, client) = support::tcp();
        let recording = tempfile::tempfile().unwrap();
        let (camera, client) = (writing(camera, film.clone()), reading(client));
        let report = camera::serve(server_camera, &recording, &server_client).unwrap();
        drop(server_client);
        camera.join().unwrap();
        assert_eq!(report.bytes(), length as u64);
        assert!(client.join().unwrap() == film && contents(&recording) == film, "{length}");
    }
}

#[test]
fn a_client_that_goes_away_does_not_stop_the_recording() {
    let _room = Room::enter();
    let film = pattern(9_000_000, 2);
    let (camera, server_camera) = support::tcp();
    let (server_client, mut client) = support::tcp();
    let recording = tempfile::tempfile().unwrap();
    let camera = writing(camera, film.clone());
    let client = spawn(move || {
        let mut head = vec![0; 100_000];
        client.read_exact(&mut head).unwrap();
        set_socket_linger(&client, Some(std::time::Duration::ZERO)).unwrap();
        head
    });
    camera::serve(server_camera, &recording, &server_client).unwrap();
    camera.join().unwrap();
    assert!(client.join().unwrap() == film[..100_000] && contents(&recording) == film);
}

#[test]
fn h26_a_proxy_carries_both_directions_and_each_half_close() {
    let _room = Room::enter();
    let (question, answer) = (pattern(5_000_000, 3), pattern(7_000_001, 4));
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let server = {
        let answer = answer.clone();
        spawn(move || {
            let (mut stream, _) = upstream.accept().unwrap();
            let mut question = Vec::new();
            // Answers only when the question has ended.
            stream.read_to_end(&mut question).unwrap();
            stream.write_all(&answer).unwrap();
            question
        })
    };
    let (mut client, accepted) = support::tcp();
    let proxying = spawn(move || {
        let server = TcpStream::connect(address).unwrap();
        let (up, down) = proxy::proxy(&accepted, &server);
        (up.unwrap().bytes(), down.unwrap().bytes())
    });
    client.write_all(&question).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    assert!(got == answer && server.join().unwrap() == question);
    assert_eq!(proxying.join().unwrap(), (5_000_000, 7_000_001));
}

#[test]
fn h30_a_reset_on_one_side_of_a_proxy_ends_both() {
    let _room = Room::enter();
    let (server, connected) = support::tcp();
    let (client, accepted) = support::tcp();
    let proxying = spawn(move || proxy::proxy(&accepted, &connected));
    set_socket_linger(&server, Some(std::time::Duration::ZERO)).unwrap();
    drop(server);
    // The client says nothing and sees the end all the same.
    drop(reading(client).join());
    let (up, down) = proxying.join().unwrap();
    assert!(down.is_err() || up.is_err());
}
