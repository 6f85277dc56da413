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
fn what_follows_an_answer_is_refused_by_its_kind_too() {
    let folder = Folder::with(100_000);
    let server = Server::start(folder.dir(), &[]);
    let mut client = server.connect();
    assert_eq!(client.get("/from").1, folder.bytes);
    client.send(b"GET / HTTP/1.2\r\nHost: x\r\n\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 505 "));
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
fn a_length_beside_chunks_is_found_behind_another_requests_body_too() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &["--upload", "--overwrite"]);
    let first = "PUT /first HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    let bare = "PUT /first HTTP/1.1\nHost: x\nContent-Length: 5\n\nhello\r\n";
    let get = "GET /from HTTP/1.1\r\nHost: x\r\n\r\n";
    let fields = ["Content-Length: 5", "Transfer-Encoding: chunked"];
    // The last line looks like a beginning, to whoever has lost where the request began.
    let lines = format!("X: PUT /new HTTP/1.1\r\nHost: x\r\n{}\r\n", fields[1]);
    let second = format!("PUT /new HTTP/1.1\r\n{}\r\n{lines}\r\n0\r\n\r\n{get}", fields[0]);
    for (before, answers) in [(first, 2), (bare, 2), (&[first, get, first].concat(), 4)] {
        let request = [before, &second].concat();
        // In one packet, and in two that are cut anywhere.
        for cut in 0..request.len() - get.len() {
            let mut client = server.connect();
            client.send(&request.as_bytes()[..cut]);
            client.send(&request.as_bytes()[cut..]);
            for _ in 1..answers {
                let head = client.answer().0;
                assert!(head.starts_with("HTTP/1.1 2"), "cut at {cut}: {head}");
            }
            let rest = client.rest();
            assert!(rest.starts_with("HTTP/1.1 400 "), "cut at {cut}: {rest}");
            assert_eq!(rest.matches("HTTP/1.").count(), 1, "cut at {cut}: {rest}");
        }
    }
    assert!(!folder.path("new").exists());
}

#[test]
fn nothing_is_served_behind_chunks_whose_end_only_the_parser_knows() {
    let folder = Folder::with(10);
    let server = Server::start(folder.dir(), &["--upload"]);
    let chunked = "PUT /new HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n0\r\n\r\n";
    let both = "PUT /other HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
                Content-Length: 3\r\n\r\n0\r\n\r\n";
    let answer = server.ask([chunked, both].concat().as_bytes());
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{answer}");
    assert_eq!(folder.read("new"), b"hello");
    assert!(!folder.path("other").exists());
}

#[test]
fn a_length_over_the_limit_is_refused_although_its_bytes_do_not_come() {
    let folder = Folder::with(10);
    let flags = ["--upload", "--max-upload", "5", "--write-timeout", "1h"];
    let server = Server::start(folder.dir(), &flags);
    let mut client = server.connect();
    client.send(b"PUT /new HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nsome");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
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
