//! The examples of shared memory do what they say, in processes and on sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

#[allow(dead_code, reason = "its main is that of the example")]
#[path = "../examples/share.rs"]
mod share;
#[allow(dead_code, reason = "its main is that of the example")]
#[path = "../examples/snapshot.rs"]
mod snapshot;

use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use fdflow::{Errno, Route};

use support::{PORTABLE, Room, child, denied, pattern, reading};

/// One of the processes that are handed the memory.
#[test]
fn other_process_reads_memory() {
    if child::is_child() {
        share::read().unwrap();
    }
}

#[test]
fn three_processes_read_what_one_has_filled() {
    let _room = Room::enter();
    for bytes in [0, 1, 5_000_003] {
        share::hand_out(bytes, || child::command("other_process_reads_memory")).unwrap();
    }
}

#[test]
fn everybody_is_sent_the_same_state_of_a_file_that_changes() {
    let _room = Room::enter();
    let (old, new) = (pattern(4_000_000, 1), pattern(1_000_000, 2));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, &old).unwrap();
    let served = match snapshot::Served::new(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
            assert!(!denied().is_empty(), "{error}");
            return;
        }
        served => Arc::new(served.unwrap()),
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = Arc::clone(&served);
    let connect = || std::net::TcpStream::connect(address).unwrap();
    let server = std::thread::spawn(move || snapshot::serve(&listener, &serving, 11));

    let mut slow = connect();
    let mut head = vec![0; 1000];
    slow.read_exact(&mut head).unwrap();
    let quick: Vec<_> = (0..8).map(|_| reading(connect())).collect();
    // Has come this far: everybody before it was accepted, and has the old state.
    let mut last = connect();
    last.read_exact(&mut [0; 1]).unwrap();

    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0; old.len()], 0).unwrap();
    std::fs::write(&path, &new).unwrap();
    served.renew(&path).unwrap();
    let late = reading(connect());
    for reader in quick {
        assert!(reader.join().unwrap() == old);
    }
    slow.read_to_end(&mut head).unwrap();
    assert!(head == old);
    drop(last);
    assert!(late.join().unwrap() == new);
    server.join().unwrap();
}

#[test]
fn each_connection_is_sent_the_pages_themselves() {
    let _room = Room::enter();
    let bytes = pattern(700_000, 3);
    let sealed = fdflow::share::Sealed::from_bytes(&bytes).unwrap();
    let (server, client) = support::tcp();
    let client = reading(client);
    match snapshot::send(&sealed, &server) {
        Ok(report) if !PORTABLE && !denied().contains(Route::Sendfile) => {
            support::all_went_by(Route::Sendfile, &report);
        }
        _ => {}
    }
    drop(server);
    assert!(client.join().unwrap() == bytes || !denied().is_empty());
    assert_eq!(rustix::io::pwrite(&sealed, b"x", 0), Err(Errno::PERM));
}
