//! What `fdflow serve` answers to requests that are none, or none that it may serve.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::Folder;
use support::server::Server;

/// Asks, and says what the status is and whether anything came after the first answer.
fn status(server: &Server, request: &[u8]) -> (String, usize) {
    let answer = server.ask(request);
    (answer.get(9..12).unwrap_or_default().to_owned(), answer.matches("HTTP/1.").count())
}

#[test]
fn malformed_requests_are_refused_by_their_kind_and_closed() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &[]);
    let long = |n: usize| "a".repeat(n);
    for (request, expected) in [
        ("garbage\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA : c\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\n folded: c\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_owned(), "400"),
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n".to_owned(), "505"),
        ("GET / HTTP/1.2\r\nHost: x\r\n\r\n".to_owned(), "505"),
        ("GET / HTTP/0.9\r\nHost: x\r\n\r\n".to_owned(), "505"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "505"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", long(65_600)), "414"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", long(70_000)), "431"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(200)), "431"),
    ] {
        let shown: String = request.chars().take(60).collect();
        assert_eq!(status(&server, request.as_bytes()), (expected.to_owned(), 1), "{shown:?}");
    }
    assert!(server.get("/from").starts_with("HTTP/1.1 200"));
}

#[test]
fn lengths_that_two_readers_might_read_in_two_ways_are_refused_and_closed() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &[]);
    // What a smuggler would have taken for a second request.
    let second = "GET /from HTTP/1.1\r\nHost: x\r\n\r\n";
    for (head, expected) in [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "400"),
        ("Transfer-Encoding: chunked\r\ncONTENT-lENGTH: 0\r\n", "400"),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", "400"),
        ("Content-Length: 5, 5\r\n", "400"),
        ("Content-Length: 5, 6\r\n", "400"),
        ("Content-Length: +5\r\n", "400"),
        ("Content-Length: -5\r\n", "400"),
        ("Content-Length: 5 5\r\n", "400"),
        ("Content-Length: 0x5\r\n", "400"),
        ("Content-Length: 99999999999999999999\r\n", "400"),
        ("Content-Length : 5\r\n", "400"),
        ("Transfer-Encoding : chunked\r\n", "400"),
        ("Transfer-Encoding: xchunked\r\n", "400"),
        ("Transfer-Encoding: chunked, identity\r\n", "400"),
        ("Transfer-Encoding: gzip\r\n", "400"),
        ("Transfer-Encoding: gzip, chunked\r\n", "501"),
        ("Transfer-Encoding: chunked, chunked\r\n", "501"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "400"),
        ("Transfer-Encoding:\x0bchunked\r\n", "400"),
    ] {
        let request = format!("PUT /new HTTP/1.1\r\nHost: x\r\n{head}\r\n0\r\n\r\n{second}");
        assert_eq!(status(&server, request.as_bytes()), (expected.to_owned(), 1), "{head:?}");
    }
    let old = format!("PUT /new HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{second}");
    assert_eq!(status(&server, old.as_bytes()), ("400".to_owned(), 1));
    assert!(!folder.path("new").exists());
}

#[test]
fn requests_in_one_packet_are_answered_in_their_order() {
    let folder = Folder::with(20_000);
    std::fs::write(folder.path("b"), "second").unwrap();
    let server = Server::start(folder.dir(), &[]);
    let mut client = server.connect();
    let get = |path| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    client.send([get("/from"), get("/b"), get("/no"), get("/from")].concat().as_bytes());
    assert_eq!(client.answer().1, folder.bytes);
    assert_eq!(client.answer().1, b"second");
    assert!(client.answer().0.starts_with("HTTP/1.1 404"));
    assert_eq!(client.answer().1, folder.bytes);
}

#[test]
fn a_refused_client_that_is_still_sending_reads_the_refusal() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &[]);
    let mut client = server.connect();
    client.send(b"PUT /new HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\nTransfer-Encoding: chunked\r\n\r\n");
    // More than the socket's buffers take: it goes on only if the server reads it away.
    client.send(&vec![b'x'; 4_000_000]);
    assert!(client.head().starts_with("HTTP/1.1 400"));
}

#[test]
fn a_byte_at_a_time_is_a_request_too() {
    let folder = Folder::with(100);
    let server = Server::start(folder.dir(), &[]);
    let mut client = server.connect();
    for byte in b"GET /from HTTP/1.1\r\nHost: x\r\n\r\n" {
        client.send(&[*byte]);
    }
    assert_eq!(client.answer().1, folder.bytes);
}
