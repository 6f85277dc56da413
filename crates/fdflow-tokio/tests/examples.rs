//! The examples, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Where cargo has built the examples: beside the directory of the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples").join(name)
}

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait()).is_ok();
    }
}

#[test]
fn the_proxy_passes_both_directions_on_and_counts_them() {
    if support::without_user_space() {
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.local_addr().unwrap().to_string();
    let child = Command::new(example("proxy_tokio"))
        .args(["127.0.0.1:0", &target])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut proxy = Running(child);
    let mut said = BufReader::new(proxy.0.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let mut client = TcpStream::connect(line.trim()).unwrap();
    let (up, down) = (support::pattern(1_000_001, 1), support::pattern(2_000_003, 2));
    let answer = down.clone();
    let serving = std::thread::spawn(move || {
        let (mut peer, mut heard) = (server.accept().unwrap().0, Vec::new());
        peer.read_to_end(&mut heard).unwrap();
        peer.write_all(&answer).unwrap();
        heard
    });
    client.write_all(&up).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answered = Vec::new();
    client.read_to_end(&mut answered).unwrap();
    assert!(serving.join().unwrap() == up && answered == down);
    line.clear();
    said.read_line(&mut line).unwrap();
    assert!(line.ends_with("1000001 bytes up, 2000003 bytes down\n"), "{line}");
}

#[test]
fn the_recording_and_the_client_both_get_what_the_camera_sends() {
    let directory = tempfile::tempdir().unwrap();
    for (at, length) in [0, 1, 100_000, 20_000_003].into_iter().enumerate() {
        let film = support::pattern(length, at as u64);
        let path = directory.path().join(at.to_string());
        let child = Command::new(example("camera_tokio"))
            .arg("127.0.0.1:0")
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut server = Running(child);
        let mut said = BufReader::new(server.0.stdout.take().unwrap());
        let mut address = String::new();
        said.read_line(&mut address).unwrap();
        let mut camera = TcpStream::connect(address.trim()).unwrap();
        let mut client = TcpStream::connect(address.trim()).unwrap();
        let watching = std::thread::spawn(move || {
            let mut seen = Vec::new();
            client.read_to_end(&mut seen).unwrap();
            seen
        });
        camera.write_all(&film).unwrap();
        drop(camera);
        assert!(watching.join().unwrap() == film, "the client, {length}");
        let mut report = String::new();
        said.read_to_string(&mut report).unwrap();
        assert!(server.0.wait().unwrap().success());
        assert!(report.starts_with(&format!("{length} bytes relayed")), "{report}");
        assert!(std::fs::read(&path).unwrap() == film, "the recording, {length}");
    }
}
