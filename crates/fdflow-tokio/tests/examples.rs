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
