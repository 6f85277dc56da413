//! The limits of `fdflow serve`: time, connections, descriptors, rates.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Read;
use std::time::Instant;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use support::Folder;
use support::server::{Client, Server, eventually};

/// Small buffers, so that a client that does not read is noticed soon.
fn narrow(server: &Server) -> Client {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.address().into()).unwrap();
    Client::new(socket.into())
}

#[test]
fn h70_a_head_that_does_not_come_is_answered_408() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &["--header-timeout", "300ms"]);
    let mut slow = server.connect();
    slow.send(b"GET /from HTTP/1.1\r\nHost:");
    let mut silent = server.connect();
    assert!(slow.rest().starts_with("HTTP/1.1 408 "));
    assert_eq!(silent.rest_bytes(), b"");
    // After an answer, too, and although the time between requests is another.
    let mut second = server.connect();
    second.get("/from");
    second.send(b"GET");
    assert!(second.rest().starts_with("HTTP/1.1 408 "));
}

#[test]
fn h70_an_idle_connection_is_closed_after_its_time_and_not_before() {
    let folder = Folder::with(10);
    let server =
        Server::start(folder.dir(), &["--idle-timeout", "2s", "--header-timeout", "300ms"]);
    let mut client = server.connect();
    client.get("/from");
    let begun = Instant::now();
    assert_eq!(client.rest_bytes(), b"");
    assert!(begun.elapsed().as_millis() >= 1500, "{:?}", begun.elapsed());
}

#[test]
fn h70_a_reader_that_takes_nothing_is_cut_and_a_slow_one_is_not() {
    let folder = Folder::with(24_000_000);
    let server = Server::start(folder.dir(), &["--write-timeout", "1s"]);
    let before = server.descriptors();
    let mut stuck = narrow(&server);
    stuck.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut slow = narrow(&server);
    slow.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
    slow.head();
    // It takes a little at a time until the other has been cut.
    let mut buffer = vec![0; 256 << 10];
    let begun = Instant::now();
    let mut taken = 0;
    while server.descriptors() > before + 2 || begun.elapsed().as_millis() < 2500 {
        taken += slow.stream.read(&mut buffer).unwrap();
        assert!(taken < folder.bytes.len(), "too quick for this test");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(stuck.is_cut());
    assert!(slow.stream.read(&mut buffer).unwrap() > 0);
}

#[test]
fn no_more_connections_than_allowed_are_served_at_once_and_the_rest_wait() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &["--max-connections", "2"]);
    let (mut first, mut second) = (server.connect(), server.connect());
    first.get("/from");
    second.get("/from");
    let mut third = server.connect();
    third.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
    third.stream.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    assert!(third.stream.read(&mut [0]).is_err(), "it was served");
    third.stream.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
    second.get("/from");
    drop(first);
    assert_eq!(third.answer().1, folder.bytes);
}

#[test]
fn h31_without_descriptors_accepting_rests_and_goes_on() {
    let folder = Folder::with(1000);
    let server = Server::start(folder.dir(), &["--max-connections", "1000"]);
    let mut served = server.connect();
    assert_eq!(served.get("/from").1, folder.bytes);
    let few = Some(server.descriptors() as u64 + 3);
    let limit = Rlimit { current: few, maximum: few };
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    prlimit(pid, Resource::Nofile, limit).unwrap();
    let mut others: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    server.said("accepting rests until a connection ends");
    // Whom it has, it serves; and it does not spin. (A tick is 10 ms.)
    let before = server.ticks();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(served.get("/from").1, folder.bytes);
    let spent = server.ticks() - before;
    assert!(spent < 30, "it spun: {spent} ticks in a second");
    // As others go, the rest come in.
    for mut client in others.drain(..) {
        assert_eq!(client.get("/from").1, folder.bytes);
    }
    assert_eq!(server.errors().matches("accepting rests").count(), 1, "{}", server.errors());
}

#[test]
fn a_rate_is_kept() {
    let folder = Folder::with(300_000);
    let server = Server::start(folder.dir(), &["--rate", "200kB/s"]);
    let mut client = server.connect();
    let begun = Instant::now();
    assert_eq!(client.get("/from").1, folder.bytes);
    assert!(begun.elapsed().as_millis() > 1000, "{:?}", begun.elapsed());
}

#[test]
fn connections_leave_nothing_open_behind_them() {
    let folder = Folder::with(5_000_000);
    let server = Server::start(folder.dir(), &[]);
    server.get("/from");
    eventually(|| server.descriptors() < 50, "few descriptors");
    let before = server.descriptors();
    for round in 0..30 {
        let mut client = server.connect();
        client.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
        match round % 3 {
            0 => drop(client.answer()),
            1 => drop(client.head()),
            _ => drop(client),
        }
    }
    eventually(|| server.descriptors() <= before, "no more descriptors than before");
}

#[test]
fn h70_an_upload_that_stops_is_cut_and_leaves_nothing() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &["--upload", "--write-timeout", "500ms"]);
    let mut client = server.connect();
    client.send(b"PUT /new HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome");
    assert!(client.is_cut());
    let left = || std::fs::read_dir(folder.dir()).unwrap().count();
    eventually(|| left() == 1, "nothing but the file that was there");
}
