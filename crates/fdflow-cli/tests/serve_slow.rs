//! Readers of `fdflow serve` that stop in the middle of a file: little is kept of them, and nothing
//! is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::OpenOptions;
use std::io::Read;

use rustix::process::Signal;
use support::server::{Client, Server, eventually};
use support::{Folder, unrestricted};

/// More than the buffers of two sockets take.
const LARGE: usize = 24_000_000;
const GET: &[u8] = b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n";

/// A large file and a small one.
fn folder() -> Folder {
    let folder = Folder::with(LARGE);
    std::fs::write(folder.path("small"), "small").unwrap();
    folder
}

fn serve(folder: &Folder, flags: &[&str]) -> Server {
    let mut command = unrestricted();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--threads", "1"]);
    command.args(["--access-log", "-", "--log-format", "json"]).args(flags).arg(folder.dir());
    Server::run(command, 2)
}

/// Asks, and reads nothing.
fn ask(server: &Server, request: &[u8]) -> Client {
    let mut client = server.connect_narrow(64 << 10);
    client.send(request);
    client
}

fn admin(server: &Server) -> Client {
    Client::new(std::net::TcpStream::connect(server.address_in(1)).unwrap())
}

/// Waits until so many connections are kept without HTTP's state; meanwhile does something.
fn until_stopped(server: &Server, count: usize, mut meanwhile: impl FnMut()) {
    let (mut admin, line) = (admin(server), format!("\nfdflow_connections_stopped {count}\n"));
    let is_so = || {
        meanwhile();
        String::from_utf8(admin.get("/metrics").1).unwrap().contains(&line)
    };
    eventually(is_so, "the connections' state to be given back");
}

fn stopped(server: &Server, count: usize) {
    until_stopped(server, count, || {});
}

fn log_line(server: &Server) -> serde_json::Value {
    serde_json::from_str(&server.next_line().unwrap()).unwrap()
}

#[test]
fn h70_a_reader_that_stops_has_all_of_the_file_when_it_goes_on_and_the_next_answer_too() {
    let folder = folder();
    for flags in [&[][..], &["--rate", "100MB/s"]] {
        let server = serve(&folder, flags);
        let mut client = ask(&server, GET);
        for _round in 0..2 {
            stopped(&server, 1);
            assert!(client.answer().1 == folder.bytes);
            stopped(&server, 0);
            let line = log_line(&server);
            assert_eq!((&line["bytes"], &line["sendfile"]), (&LARGE.into(), &LARGE.into()));
            assert_eq!((&line["complete"], &line["route"]), (&true.into(), &"sendfile".into()));
            assert!(line["seconds"].as_f64().unwrap() > 0.5, "from the request on: {line}");
            assert_eq!(client.get("/small").1, b"small");
            assert_eq!(log_line(&server)["target"], "/small");
            client.send(GET);
        }
    }
}

#[test]
fn requests_behind_one_that_is_not_read_are_answered_after_it() {
    let folder = folder();
    let server = serve(&folder, &[]);
    let small = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut client = ask(&server, &[GET, small, GET, small, &small[..10]].concat());
    for _ in 0..2 {
        stopped(&server, 1);
        assert!(client.answer().1 == folder.bytes);
        assert_eq!(client.answer().1, b"small");
    }
    client.send(&small[10..]);
    assert_eq!(client.answer().1, b"small");
    // What comes while the answer waits is not lost either.
    client.send(GET);
    stopped(&server, 1);
    client.send(small);
    assert!(client.answer().1 == folder.bytes);
    assert_eq!(client.answer().1, b"small");
}

#[test]
fn no_request_is_lost_of_more_than_is_read_at_once() {
    let folder = folder();
    let server = serve(&folder, &[]);
    let small = |count| b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n".repeat(count);
    // The first make the parser read more at once; one that is begun anew reads less again.
    let mut client = ask(&server, &[small(300), GET.repeat(2), small(600)].concat());
    for _ in 0..300 {
        assert_eq!(client.answer().1, b"small");
    }
    for _ in 0..2 {
        stopped(&server, 1);
        assert!(client.answer().1 == folder.bytes);
    }
    for _ in 0..600 {
        assert_eq!(client.answer().1, b"small");
    }
}

#[test]
fn the_connection_ends_behind_a_file_that_was_not_read_where_it_was_to() {
    let folder = folder();
    let server = serve(&folder, &[]);
    let close = b"GET /from HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let old = b"GET /from HTTP/1.0\r\n\r\n";
    // What comes behind them is not answered.
    let mut clients = [&close[..], old].map(|request| ask(&server, &[request, GET].concat()));
    let half_closed = ask(&server, GET);
    half_closed.half_close();
    stopped(&server, 3);
    for client in clients.iter_mut().chain([&mut { half_closed }]) {
        client.head();
        assert!(client.rest_bytes() == folder.bytes);
    }
    let mut kept = ask(&server, b"GET /from HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    stopped(&server, 1);
    assert!(kept.answer().1 == folder.bytes);
    assert_eq!(kept.get("/small").1, b"small");
}

#[test]
fn h70_one_that_takes_little_at_a_time_costs_little_too() {
    let folder = folder();
    std::fs::File::create(folder.path("huge")).unwrap().set_len(1 << 40).unwrap();
    let server = serve(&folder, &[]);
    let mut client = ask(&server, b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut buffer = [0; 32 << 10];
    until_stopped(&server, 1, || assert!(client.stream.read(&mut buffer).unwrap() > 0));
}

#[test]
fn h70_one_that_never_goes_on_is_cut_and_leaves_nothing() {
    let folder = folder();
    let server = serve(&folder, &["--write-timeout", "5s"]);
    server.get("/small");
    log_line(&server);
    let before = server.descriptors();
    let mut client = ask(&server, GET);
    stopped(&server, 1);
    let line = log_line(&server);
    assert_eq!(line["complete"], false, "{line}");
    assert!(line["bytes"].as_u64().unwrap() < LARGE as u64, "{line}");
    assert!(client.is_cut());
    stopped(&server, 0);
    eventually(|| server.descriptors() <= before, "no more descriptors than before");
}

#[test]
fn one_that_goes_away_is_told_as_aborted_and_leaves_nothing() {
    let folder = folder();
    let server = serve(&folder, &[]);
    server.get("/small");
    log_line(&server);
    let before = server.descriptors();
    let client = ask(&server, GET);
    stopped(&server, 1);
    drop(client);
    assert_eq!(log_line(&server)["complete"], false);
    eventually(|| server.descriptors() <= before, "no more descriptors than before");
}

#[test]
fn h15_a_file_that_is_cut_under_a_reader_ends_its_connection_alone() {
    let folder = folder();
    let server = serve(&folder, &[]);
    for wait in [false, true] {
        std::fs::write(folder.path("from"), &folder.bytes).unwrap();
        let mut client = ask(&server, GET);
        let head = client.head();
        assert!(head.contains(&format!("content-length: {LARGE}\r\n")), "{head}");
        if wait {
            stopped(&server, 1);
        }
        OpenOptions::new().write(true).open(folder.path("from")).unwrap().set_len(10).unwrap();
        let mut sent = Vec::new();
        // A reset ends it too.
        let _ended = client.stream.read_to_end(&mut sent).is_ok();
        assert!(sent.len() < LARGE);
        assert_eq!(log_line(&server)["complete"], false);
        assert!(server.get("/small").ends_with("small"));
        log_line(&server);
    }
}

#[test]
fn a_server_that_is_told_to_end_waits_for_one_that_has_stopped() {
    let folder = folder();
    let mut server = serve(&folder, &["--drain", "1m"]);
    let mut client = ask(&server, GET);
    stopped(&server, 1);
    server.signal(Signal::TERM);
    // Nobody is let in any more: the order has been given.
    eventually(|| std::net::TcpStream::connect(server.address()).is_err(), "the end of accepting");
    client.head();
    assert!(client.rest_bytes() == folder.bytes);
    assert!(server.wait().success());
}
