//! The limits of `fdflow serve`: time, connections, descriptors, rates.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Read;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use support::server::{Client, Server, eventually};
use support::{Folder, fdflow};

/// What the server tells on its second address.
fn metrics(server: &Server) -> String {
    let admin = std::net::TcpStream::connect(server.address_in(1)).unwrap();
    String::from_utf8(Client::new(admin).get("/metrics").1).unwrap()
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
    // Before the request, and so before the server can have begun to count.
    let begun = Instant::now();
    client.get("/from");
    assert_eq!(client.rest_bytes(), b"");
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn h70_a_reader_that_takes_nothing_is_cut_and_one_that_takes_little_is_not() {
    // More than anybody takes in the time that the other has.
    let folder = Folder::with(0);
    let large = 1 << 40;
    std::fs::File::create(folder.path("large")).unwrap().set_len(large).unwrap();
    let mut command = fdflow();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--threads", "1"]);
    command.args(["--write-timeout", "2s", "--access-log", "-", "--log-format", "json"]);
    command.arg(folder.dir());
    let mut server = Server::run(command, 2);
    let ask = |client: &mut Client| client.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    let (mut stuck, mut slow) = (server.connect_narrow(4096), server.connect_narrow(4096));
    ask(&mut slow);
    slow.head();
    ask(&mut stuck);
    // The log tells when the first of them has ended.
    let line = std::thread::scope(|scope| {
        let line = scope.spawn(|| server.line());
        let mut buffer = [0; 512];
        while !line.is_finished() {
            assert!(slow.stream.read(&mut buffer).unwrap() > 0, "the reader was cut");
        }
        line.join().unwrap()
    });
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["complete"], false, "{line}");
    assert!(stuck.is_cut());
    let metrics = metrics(&server);
    for line in ["fdflow_aborted_total 1\n", "fdflow_connections_open 1\n"] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn no_more_connections_than_allowed_are_served_at_once_and_the_rest_wait() {
    let folder = Folder::with(10);
    let mut command = fdflow();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--threads", "1", "--max-connections", "2"]).arg(folder.dir());
    let server = Server::run(command, 2);
    let (mut first, mut second) = (server.connect(), server.connect());
    first.get("/from");
    second.get("/from");
    let mut third = server.connect();
    third.send(b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n");
    // The thread that would serve it has answered others many times since.
    for _ in 0..100 {
        second.get("/from");
    }
    let metrics = metrics(&server);
    assert!(metrics.contains("fdflow_connections_open 2\n"), "{metrics}");
    assert!(metrics.contains("fdflow_connections_accepted_total 2\n"), "{metrics}");
    third.stream.set_nonblocking(true).unwrap();
    let nothing = third.stream.read(&mut [0]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(std::io::ErrorKind::WouldBlock), "it was served");
    third.stream.set_nonblocking(false).unwrap();
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
    // It does not spin: a thread that does never goes to sleep, and one that looks again too soon
    // has slept ten times before this.
    let (begun, before) = (Instant::now(), server.sleeps("serve-0"));
    eventually(|| server.sleeps("serve-0") >= before + 10, "its thread to sleep");
    assert!(begun.elapsed() >= Duration::from_millis(100), "{:?}", begun.elapsed());
    // Whom it has, it serves.
    assert_eq!(served.get("/from").1, folder.bytes);
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
    // All but what is allowed at once, a tenth of a second's bytes, has to be waited for.
    assert!(begun.elapsed() >= Duration::from_millis(1400), "{:?}", begun.elapsed());
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
