//! What those who look after `fdflow relay` can ask of it and have it do.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::TcpStream;

use rustix::process::Signal;
use support::relay::Relay;
use support::seen::Seen;
use support::server::{Client, eventually};
use support::watched::Admin;
use support::{fdflow, pattern};

#[test]
fn a_reader_that_is_deleted_ends_whether_it_waits_or_not() {
    for seen in [Seen::fanning(&["--lag", "block"]), Seen::recording(&[])] {
        let producer = seen.produce();
        for (id, bytes) in [(1, 0), (2, 100)] {
            let reader = seen.read();
            producer.send(&pattern(bytes));
            assert_eq!(reader.receive(bytes).len(), bytes);
            eventually(|| seen.readers()[0]["bytes"] == bytes, "bytes that were given");
            assert_eq!(seen.readers()[0]["id"], id);
            let answer = seen.admin.ask("DELETE", &format!("/flows/{id}"));
            assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
            let line = seen.relay.ended_by("cut");
            assert_eq!((line.reader, line.bytes), (id, bytes as u64), "{line:?}");
            assert_eq!(reader.rest(), b"", "no byte behind the cut");
            for gone in [id.to_string(), "0".to_owned(), "x".to_owned(), String::new()] {
                let answer = seen.admin.ask("DELETE", &format!("/flows/{gone}"));
                assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
            }
        }
        assert_eq!(seen.metric("readers_ended_total", &["why=\"cut\""]), 2);
    }
}

#[test]
fn a_reader_that_speaks_http_is_told_and_deleted_as_others_are() {
    for record in [&[][..], &["--record"]] {
        let seen = Seen::run(fdflow(), "json", record, &["--http", "127.0.0.1:0"]);
        let line = |line: &&String| line.starts_with("HTTP at http://");
        let at = seen.relay.server.greeting.iter().find(line).unwrap();
        let at = at.rsplit_once("://").unwrap().1.trim_end_matches('/');
        let producer = seen.produce();
        let mut client = Client::new(TcpStream::connect(at).unwrap());
        let peer = client.stream.local_addr().unwrap().to_string();
        client.send(b"GET / HTTP/1.0\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.0 200 "));
        eventually(|| !seen.readers()[0]["start"].is_null(), "a place in the stream");
        let bytes = pattern(300_000);
        producer.send(&bytes);
        assert!(client.bytes(bytes.len()) == bytes);
        eventually(|| seen.readers()[0]["bytes"] == 300_000, "bytes that were given");
        let reader = seen.readers().remove(0);
        assert_eq!((&reader["kind"], &reader["peer"]), (&"http".into(), &peer.into()), "{reader}");
        assert_eq!((&reader["missed"], &reader["lag"]), (&0.into(), &0.into()), "{reader}");
        assert_eq!(seen.metric("reader_bytes_total", &[]), 300_000);
        let answer = seen.admin.ask("DELETE", &format!("/flows/{}", reader["id"]));
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
        let line = seen.relay.ended_by("cut");
        assert_eq!((&*line.kind, line.bytes, line.start), ("http", 300_000, Some(0)), "{line:?}");
        assert_eq!(seen.metric("reader_bytes_total", &[]), 300_000);
        assert!(client.is_cut());
    }
}

#[test]
fn what_is_asked_in_a_wrong_way_is_answered_with_the_right_one() {
    let seen = Seen::fanning(&[]);
    for (method, path, allow) in [
        ("POST", "/metrics", "GET, HEAD"),
        ("DELETE", "/flows", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
        ("POST", "/readyz", "GET, HEAD"),
        ("GET", "/flows/1", "DELETE"),
    ] {
        let answer = seen.admin.ask(method, path);
        assert!(answer.starts_with("HTTP/1.1 405 "), "{method} {path}: {answer}");
        assert!(answer.contains(&format!("\r\nallow: {allow}\r\n")), "{method} {path}: {answer}");
    }
    let nothing = seen.admin.ask("GET", "/");
    assert!(nothing.starts_with("HTTP/1.1 404 ") && nothing.contains("/readyz"), "{nothing}");
}

#[test]
fn it_is_ready_while_there_is_a_producer() {
    for record in [&[][..], &["--record"]] {
        let seen = Seen::run(fdflow(), "json", record, &["--reconnect", "10ms"]);
        let from = seen.flows()["producer"]["from"].as_str().unwrap().to_owned();
        assert!(from.starts_with("tcp-listen://127.0.0.1:") && !from.ends_with(":0"), "{from}");
        let none = ("503".to_owned(), format!("no producer: {from}\n"));
        for round in 1..=2 {
            assert_eq!((seen.ready(), seen.admin.get("/healthz")), (none.clone(), "ok\n".into()));
            let producer = seen.produce();
            assert_eq!(seen.ready(), ("200".to_owned(), "ready\n".to_owned()));
            let flows = seen.flows();
            let told = (&flows["producer"]["state"], &flows["producer"]["peer"]);
            let peer = producer.addresses().0.to_string();
            assert_eq!(told, (&"connected".into(), &peer.clone().into()), "{flows}");
            assert_eq!(seen.metric("producer_up", &[]), 1);
            seen.relay.said(&format!("{from}: connected with {peer}"));
            producer.send(&pattern(1000 * round));
            drop(producer);
            eventually(|| seen.ready() == none, "no producer");
            seen.relay.said(&format!("{from}: has ended after {} bytes", 1000 * round));
            assert_eq!(seen.metric("producer_up", &[]), 0);
            assert_eq!(seen.flows()["producer"]["state"], "awaited");
        }
        assert_eq!(seen.metric("producer_connections_total", &[]), 2);
        assert_eq!(seen.metric("producer_bytes_total", &[]), 3000);
    }
}

#[test]
fn a_producer_that_fails_or_falls_silent_is_told_and_counted() {
    let seen = Seen::fanning(&["--reconnect", "10ms", "--idle-timeout", "100ms"]);
    let silent = seen.produce();
    seen.relay.said(": nothing came for 100ms: it is taken for gone, after 0 bytes");
    let failed = || seen.metric("producer_failures_total", &["when=\"connected\""]);
    eventually(|| failed() == 1, "a failure");
    drop(silent);
    seen.produce().reset();
    seen.relay.said("Connection reset by peer");
    eventually(|| failed() == 2, "another failure");

    let dir = tempfile::tempdir().unwrap();
    let nobody = format!("unix://{}", dir.path().join("nobody").display());
    let flags = ["--reconnect", "10ms", "--admin", "127.0.0.1:0"];
    let relay = Relay::from(&nobody, &flags);
    let admin = Admin::of(&relay.server);
    let refused = || admin.metric("fdflow_producer_failures_total", &["when=\"connecting\""]);
    eventually(|| refused() > 3, "tries that fail");
    let tried = "No such file or directory (os error 2); it is tried again every 10ms";
    assert_eq!(relay.errors().matches(tried).count(), 1, "{}", relay.errors());
}

#[test]
fn it_is_not_ready_while_it_drains() {
    let stream = pattern(4_000_000);
    let block = ["--lag", "block"];
    for mut seen in [Seen::fanning(&block), Seen::recording(&block)] {
        let (producer, reader) = (seen.produce(), seen.read());
        // Neither its socket nor a pipe has room for all of this.
        std::thread::scope(|scope| {
            scope.spawn(|| producer.try_send(&stream));
            eventually(|| seen.metric("producer_bytes_total", &[]) > 100_000, "bytes");
            seen.relay.signal(Signal::TERM);
            let draining = ("503".to_owned(), "draining\n".to_owned());
            eventually(|| seen.ready() == draining, "draining");
            assert_eq!(seen.admin.get("/healthz"), "ok\n");
            assert_eq!(seen.readers().len(), 1);
            let got = reader.rest();
            assert!(stream.starts_with(&got));
            assert_eq!(seen.relay.ended_by("done").bytes, got.len() as u64);
        });
        seen.relay.is_done();
    }
}
