//! What is answered beside the stream itself.

use super::site::Site;
use super::support::fdflow;
use super::support::server::{eventually, refusal};

fn first_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

#[test]
fn a_head_alone_is_the_head_of_the_stream() {
    let site = Site::recorded(&[]);
    let _producer = site.relay.produce();
    let head = site.ask("HEAD /cam.ts HTTP/1.1\nHost: x\nConnection: close\n\n");
    assert_eq!(first_line(&head), "HTTP/1.1 200 OK");
    for line in ["accept-ranges: bytes", "content-type: video/mp2t", "cache-control: no-store"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    assert!(head.ends_with("\r\n\r\n") && !head.contains("content-length"), "{head}");
    let mut client = site.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = client.head();
    assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
}

#[test]
fn without_a_recording_there_are_no_ranges() {
    let site = Site::fanned(&["--content-type", "audio/ogg"]);
    let _producer = site.relay.produce();
    let request = "HEAD / HTTP/1.1\nHost: x\nRange: bytes=0-1\nConnection: close\n\n";
    let head = site.ask(request);
    assert_eq!(first_line(&head), "HTTP/1.1 200 OK");
    assert!(head.contains("\r\ncontent-type: audio/ogg\r\n"), "{head}");
    assert!(!head.contains("accept-ranges"), "{head}");
    let mut client = site.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n");
    assert_eq!(first_line(&client.head()), "HTTP/1.1 200 OK");
}

#[test]
fn what_cannot_be_answered_is_told_why() {
    let recorded = Site::recorded(&[]);
    let fanned = Site::fanned(&[]);
    let _producers = (recorded.relay.produce(), fanned.relay.produce());
    for (site, request, status, word) in [
        (&recorded, "GET /other.ts HTTP/1.1\nHost: x", "404 Not Found", "at /"),
        (&fanned, "GET /cam.ts HTTP/1.1\nHost: x", "404 Not Found", "at /"),
        (&recorded, "POST / HTTP/1.1\nHost: x", "405 Method Not Allowed", "POST"),
        (&recorded, "GET /?start=soon HTTP/1.1\nHost: x", "400 Bad Request", "64M-back"),
        (&fanned, "GET /?start=beginning HTTP/1.1\nHost: x", "400 Bad Request", "recorded"),
        (&recorded, "GET / HTTP/1.1", "400 Bad Request", "Host"),
        (&recorded, "GET / HTTP/1.1\nHost: x\nHost: y", "400 Bad Request", "Host"),
    ] {
        let answer = site.ask(&format!("{request}\nConnection: close\n\n"));
        assert_eq!(first_line(&answer), format!("HTTP/1.1 {status}"), "{request}");
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(text.contains(word), "{request}: {text}");
        let allow = head.contains("\r\nallow: GET, HEAD, OPTIONS");
        assert_eq!(allow, status.starts_with("405"), "{head}");
    }
}

#[test]
fn a_body_that_nobody_wants_does_not_take_the_answer_away() {
    let site = Site::recorded(&[]);
    let _producer = site.relay.produce();
    let mut client = site.connect();
    client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    client.send(&[b'x'; 1_000_000]);
    assert_eq!(first_line(&client.head()), "HTTP/1.1 405 Method Not Allowed");
}

#[test]
fn pages_of_an_origin_read_it_where_they_may() {
    let head = "HTTP/1.1\nHost: x\nOrigin: https://a.example\nConnection: close\n\n";
    let allowed = |flags: &[&str], method: &str| {
        let site = Site::recorded(flags);
        let _producer = site.relay.produce();
        let answer = site.ask(&format!("{method} / {head}"));
        let line =
            answer.lines().find_map(|line| line.strip_prefix("access-control-allow-origin: "));
        (first_line(&answer).to_owned(), line.map(str::to_owned))
    };
    let ok = "HTTP/1.1 200 OK".to_owned();
    assert_eq!(allowed(&[], "HEAD"), (ok.clone(), None));
    assert_eq!(allowed(&["--cors", "*"], "HEAD"), (ok.clone(), Some("*".to_owned())));
    let own = ["--cors", "https://b.example", "--cors", "https://a.example"];
    assert_eq!(allowed(&own, "HEAD"), (ok.clone(), Some("https://a.example".to_owned())));
    let others = ["--cors", "https://b.example"];
    assert_eq!(allowed(&others, "HEAD"), (ok, Some("https://b.example".to_owned())));
    let (line, origin) = allowed(&own, "OPTIONS");
    assert_eq!(line, "HTTP/1.1 204 No Content");
    assert_eq!(origin.as_deref(), Some("https://a.example"));
}

#[test]
fn flags_that_are_about_http_want_it() {
    for flags in [["--content-type", "a/b"], ["--cors", "*"]] {
        let mut command = fdflow();
        command.args(["relay", "--from", "-", "--listen", "127.0.0.1:0"]).args(flags);
        let errors = String::from_utf8(refusal(command).stderr).unwrap();
        assert!(errors.contains(&format!("{} is about HTTP: add --http", flags[0])), "{errors}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = fdflow();
    let address = taken.local_addr().unwrap().to_string();
    command.args(["relay", "--from", "-", "--http", &address]);
    let errors = String::from_utf8(refusal(command).stderr).unwrap();
    assert!(errors.contains("choose another with --http"), "{errors}");
}

#[test]
fn answers_that_are_not_the_stream_are_no_readers() {
    let site = Site::recorded(&[]);
    let producer = site.relay.produce();
    producer.send(b"x");
    site.ask("HEAD / HTTP/1.1\nHost: x\nConnection: close\n\n");
    site.ask("GET /no HTTP/1.1\nHost: x\nConnection: close\n\n");
    site.has_recorded(1);
    let mut reader = site.follow("/?start=beginning");
    assert_eq!(reader.bytes(1), b"x");
    drop(reader);
    let ended = site.ended_by("left");
    assert_eq!(ended.reader, 2, "{ended:?}");
    eventually(|| site.relay.server.errors().is_empty(), "nothing to tell");
}
