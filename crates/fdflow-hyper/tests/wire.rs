//! The calls themselves, as strace sees them: what waits for what.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use std::path::Path;
use std::process::Command;

use fdflow_hyper::{FileBody, Piece};
use support::{Folder, Server, sendfile_allowed};

const CHILD: &str = "FDFLOW_TEST_CHILD";

/// Runs this test again under strace and gives back the calls that send.
fn calls(test: &str) -> Option<Vec<String>> {
    if !sendfile_allowed() {
        return None;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        println!("SKIPPED: there is no strace");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("calls");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-e", "trace=sendmsg,sendfile,writev", "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .status()
        .unwrap();
    assert!(status.success());
    Some(sent(&log))
}

/// The calls that gave something to a socket; a line begins with the thread's number.
fn sent(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let calls = text.lines().filter_map(|line| line.split_once(' ')).map(|(_, call)| call.trim());
    let to_socket = |call: &&str| {
        call.starts_with("sendfile(") || call.starts_with("sendmsg(") || call.contains("HTTP/1.1")
    };
    calls.filter(to_socket).filter(|call| !call.contains("EAGAIN")).map(str::to_owned).collect()
}

#[test]
fn h23_only_what_is_followed_at_once_is_held_back() {
    if std::env::var_os(CHILD).is_some() {
        let folder = Folder::with(100_000);
        let file = folder.open();
        let server = Server::of(move |path| match path {
            "/whole" => FileBody::new(file.clone()),
            "/small" => FileBody::of_range(file.clone(), 0..100),
            _ => FileBody::of_pieces([
                Piece::File(file.clone(), 0..30_000),
                Piece::Bytes("between".into()),
                Piece::File(file.clone(), 50_000..90_000),
                Piece::Bytes("behind".into()),
            ]),
        });
        let mut client = server.connect();
        for path in ["/whole", "/small", "/parts"] {
            client.get(path);
        }
        return;
    }
    let Some(calls) = calls("h23_only_what_is_followed_at_once_is_held_back") else { return };
    let held = |call: &str| call.contains("MSG_MORE");
    for pair in calls.windows(2) {
        if held(&pair[0]) {
            assert!(pair[1].starts_with("sendfile("), "{} is not followed by a file", pair[0]);
        }
    }
    assert!(calls.iter().any(|call| held(call)), "a head goes with its file: {calls:#?}");
    assert!(!held(calls.last().unwrap()), "{calls:#?}");
    // sendfile is asked for exactly what is owed.
    let counts: Vec<&str> = calls
        .iter()
        .filter(|call| call.starts_with("sendfile("))
        .filter_map(|call| call.split(')').next()?.rsplit(", ").next())
        .collect();
    assert_eq!(counts, ["100000", "30000", "40000"], "{calls:#?}");
}

#[test]
fn h14_a_head_is_never_overtaken_by_its_file() {
    let folder = Folder::with(3 << 20);
    let file = folder.open();
    let server = Server::of(move |_| FileBody::new(file.clone()));
    let mut clients: Vec<_> = (0..4).map(|_| server.connect()).collect();
    // Requests one after the other without waiting: the answers' heads and files alternate.
    for client in &mut clients {
        for _ in 0..5 {
            client.ask("/");
        }
    }
    for client in &mut clients {
        for _ in 0..5 {
            assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
            assert!(client.bytes(3 << 20) == folder.bytes);
        }
    }
}
