//! `fdflow proxy`: what is said before the first byte: PROXY headers and server names.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;

use support::ends::{Backend, Stream};
use support::pattern;
use support::proxy::{Proxy, proxy};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.9 4711 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\
    \xc0\0\x02\x07\xc6\x33\x64\x09\x12\x67\x01\xbb";
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Each byte in a segment of its own.
fn dribble(stream: &Stream, bytes: &[u8]) {
    for byte in bytes {
        stream.send(&[*byte]);
    }
}

/// The header that names a client's connection.
fn v1(client: &Stream) -> Vec<u8> {
    let (from, to) = client.addresses();
    let (a, b, c, d) = (from.ip(), to.ip(), from.port(), to.port());
    format!("PROXY TCP4 {a} {b} {c} {d}\r\n").into_bytes()
}

/// The bytes of a real ClientHello.
fn hello(name: &str) -> Vec<u8> {
    let config = ClientConfig::builder()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// Refused: nothing comes back, nobody upstream is asked, and the log says this.
#[track_caller]
fn is_refused(proxy: &Proxy, backend: &Backend, client: &Stream, by: (&str, &str)) {
    assert_eq!(client.rest_and_end().0, b"");
    let ended = proxy.ended();
    assert_eq!((ended.ending(), ended.bytes()), (by, (0, 0)), "{ended:?}");
    assert!(!backend.is_asked());
}

#[test]
fn headers_of_both_versions_are_taken_byte_by_byte_and_passed_on_as_either() {
    let backend = Backend::tcp();
    let bytes = pattern(100_000);
    for (sent, told) in [("v1", V1), ("v2", V2)] {
        let flags = ["--accept-proxy", "--trust", "127.0.0.0/8", "--send-proxy", sent];
        let proxy = Proxy::to(&backend.at(), &flags);
        for (header, whole) in [(V1, true), (V1, false), (V2, true), (V2, false)] {
            let client = proxy.connect();
            if whole {
                // In one segment with what follows.
                client.send(&[header, b"and more"].concat());
            } else {
                dribble(&client, header);
                dribble(&client, b"and more");
            }
            client.send(&bytes);
            client.half_close();
            let server = backend.accept();
            let (head, rest) = (server.receive(told.len()), server.rest());
            assert_eq!(head, told, "{sent}");
            assert!(rest == [b"and more", &bytes[..]].concat());
            server.half_close();
            assert_eq!(client.rest(), b"");
            let up = (told.len() + 8 + bytes.len()) as u64;
            assert_eq!(proxy.ended_by("client", "done").bytes(), (up, 0));
        }
        proxy.is_at_rest();
    }
}

#[test]
fn a_header_that_names_nobody_stands_for_the_connection_itself() {
    let backend = Backend::tcp();
    let flags = ["--accept-proxy", "--trust", "127.0.0.1", "--send-proxy", "v1"];
    let proxy = Proxy::to(&backend.at(), &flags);
    for header in [V2_LOCAL, b"PROXY UNKNOWN\r\n"] {
        let client = proxy.connect();
        client.send(header);
        client.half_close();
        let server = backend.accept();
        assert_eq!(server.rest(), v1(&client));
    }
}

#[test]
fn a_header_is_believed_from_trusted_peers_only() {
    let backend = Backend::tcp();
    let flags = ["--accept-proxy", "--trust", "127.0.0.2"];
    let proxy = Proxy::to(&backend.at(), &flags);
    let client = proxy.connect();
    is_refused(&proxy, &backend, &client, ("proxy", "untrusted"));
    let client = proxy.connect_from("127.0.0.2");
    client.send(&[V1, b"x"].concat());
    assert_eq!(backend.accept().receive(1), b"x");
}

#[test]
fn a_header_that_is_sent_names_the_client_and_where_it_came_in() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &["--send-proxy", "v1"]);
    let client = proxy.connect();
    client.send(b"hello");
    client.half_close();
    assert_eq!(backend.accept().rest(), [&v1(&client)[..], b"hello"].concat());
    // Servers that speak first are not waited for, and get theirs at once.
    let client = proxy.connect();
    let server = backend.accept();
    assert_eq!(server.receive(v1(&client).len()), v1(&client));
    // A client on a Unix socket has no address.
    let dir = tempfile::tempdir().unwrap();
    let unix = format!("unix://{}", dir.path().join("in").display());
    for (version, told) in [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", V2_LOCAL)] {
        let to = backend.at().to_string();
        let proxy = Proxy::run(proxy_on(&unix, &["--to", &to, "--send-proxy", version]), 1);
        let client = proxy.connect();
        client.half_close();
        assert_eq!(backend.accept().rest(), told, "{version}");
    }
}

fn proxy_on(listen: &str, flags: &[&str]) -> std::process::Command {
    let mut command = support::fdflow();
    command.args(["proxy", "--threads", "1", "--listen", listen]).args(flags);
    command
}

#[test]
fn headers_that_are_wrong_too_long_or_never_there_are_refused_with_their_reason() {
    let backend = Backend::tcp();
    let flags = ["--accept-proxy", "--trust", "127.0.0.0/8", "--header-timeout", "400ms"];
    let proxy = Proxy::to(&backend.at(), &flags);
    let long_line = [b"PROXY UNKNOWN ", &[b'x'; 300][..]].concat();
    let long_block = [&V2[..14], b"\xff\xff", &[0; 8192]].concat();
    for (bytes, detail) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], "begins like neither"),
        (b"PROXY TCP4 192.0.2.256 192.0.2.9 1 2\r\n", "source"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2\n", "malformed"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.9 99999 2\r\n", "port"),
        (&long_line, "4096"),
        (&long_block, "4096"),
        (b"\r\n\r\n\0\r\nQUIT\n\x31", "version"),
    ] {
        let client = proxy.connect();
        // It may be refused midway.
        let _sent = client.try_send(bytes).is_ok();
        assert_eq!(client.rest_and_end().0, b"");
        let ended = proxy.ended_by("client", "bad-proxy-header");
        assert!(ended.detail.contains(detail), "{ended:?}");
    }
    for begun in [&b""[..], b"PROXY TCP4 ", &V2[..15]] {
        let client = proxy.connect();
        client.send(begun);
        is_refused(&proxy, &backend, &client, ("proxy", "header-timeout"));
    }
    // Bytes that go on coming, too slowly to be all there in time, do not put the end off.
    let client = proxy.connect();
    let dribbled = |client: &Stream| client.try_send(b"\0").is_ok();
    client.send(&[&V2[..14], b"\x0f\0"].concat());
    while dribbled(&client) && !client.is_readable() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    is_refused(&proxy, &backend, &client, ("proxy", "header-timeout"));
    let client = proxy.connect();
    client.send(&V1[..20]);
    client.half_close();
    is_refused(&proxy, &backend, &client, ("client", "client-gone"));
    proxy.is_at_rest();
}

#[test]
fn a_server_name_chooses_the_upstream_and_the_hello_is_replayed_exactly() {
    let [one, many, other] = [Backend::tcp(), Backend::tcp(), Backend::tcp()];
    let rules = [format!("one.example.org={}", one.at()), format!("*.example.org={}", many.at())];
    let to = other.at().to_string();
    let flags = ["--sni", &rules[0], "--sni", &rules[1], "--to", &to];
    let proxy = Proxy::run(proxy(&flags), 1);
    let more = pattern(200_000);
    for (name, backend) in [
        ("one.example.org", &one),
        ("ONE.example.org", &one),
        ("two.example.org", &many),
        ("example.com", &other),
        // An address is not sent as a name.
        ("192.0.2.1", &other),
    ] {
        for dribbled in [true, false] {
            let (client, hello) = (proxy.connect(), hello(name));
            if dribbled {
                dribble(&client, &hello);
            } else {
                client.send(&[&hello[..], b"early"].concat());
            }
            let server = backend.accept();
            assert_eq!(server.receive(hello.len()), hello, "{name}");
            client.send(&more);
            client.half_close();
            let early = if dribbled { &b""[..] } else { b"early" };
            assert!(server.rest() == [early, &more].concat(), "{name}");
            server.send(b"answer");
            drop(server);
            assert_eq!(client.rest(), b"answer");
            let up = (hello.len() + early.len() + more.len()) as u64;
            assert_eq!(proxy.ended_by("client", "done").bytes(), (up, 6));
        }
    }
    proxy.is_at_rest();
}

#[test]
fn a_header_may_come_before_the_hello_and_goes_before_it() {
    let backend = Backend::tcp();
    let rule = format!("*={}", backend.at());
    let flags = ["--sni", &rule, "--accept-proxy", "--trust", "127.0.0.1", "--send-proxy", "v2"];
    let proxy = Proxy::run(proxy(&flags), 1);
    let (client, hello) = (proxy.connect(), hello("example.org"));
    dribble(&client, &[V1, &hello].concat());
    client.half_close();
    assert_eq!(backend.accept().rest(), [V2, &hello].concat());
}

#[test]
fn hellos_that_are_wrong_for_nobody_or_never_end_are_refused_with_their_reason() {
    let backend = Backend::tcp();
    let rule = format!("one.example.org={}", backend.at());
    let proxy = Proxy::run(proxy(&["--sni", &rule, "--header-timeout", "400ms"]), 1);
    let client = proxy.connect();
    client.send(&hello("two.example.org"));
    assert_eq!(client.rest_and_end().0, b"");
    assert_eq!(proxy.ended_by("proxy", "no-such-name").detail, "two.example.org");
    // One byte a record, so that it never says how much is to come.
    let endless = b"\x16\x03\x01\0\x01\x01\x16\x03\x01\0\x01\0\x16\x03\x01\0\x01\x3f";
    let endless = [&endless[..], &b"\x16\x03\x01\0\x01\0".repeat(200_000)].concat();
    let long = [&b"\x16\x03\x01\x40\0\x01\0\xff\xff"[..], &[0; 100_000]].concat();
    for bytes in [&b"GET / HTTP/1.0\r\n\r\n"[..], b"\x16\x03\x01\0\0", &endless, &long] {
        let client = proxy.connect();
        let _sent = client.try_send(bytes).is_ok();
        assert_eq!(client.rest_and_end().0, b"");
        let ended = proxy.ended_by("client", "bad-hello");
        assert_eq!(ended.bytes(), (0, 0));
    }
    let whole = hello("one.example.org");
    for begun in [0, 1, 5, 40, whole.len() - 1] {
        let client = proxy.connect();
        client.send(&whole[..begun]);
        is_refused(&proxy, &backend, &client, ("proxy", "header-timeout"));
    }
    let client = proxy.connect();
    client.send(&whole[..50]);
    client.reset();
    proxy.ended_by("client", "client-gone");
    proxy.is_at_rest();
}

#[test]
fn greetings_that_never_end_hold_no_more_memory_than_they_may_have() {
    let backend = Backend::tcp();
    let rule = format!("one.example.org={}", backend.at());
    let proxy = Proxy::run(proxy(&["--sni", &rule, "--header-timeout", "50s"]), 1);
    let before = proxy.resident();
    // As long as a hello may be, but for its last byte.
    let mut bytes = vec![0; 5 + 4 + 16_379];
    bytes[..9].copy_from_slice(&[22, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xfc]);
    let clients: Vec<_> = (0..200).map(|_| proxy.connect()).collect();
    for client in &clients {
        client.send(&bytes[..bytes.len() - 1]);
    }
    // Read to the last byte.
    for client in &clients {
        support::server::eventually(|| client.unsent() == 0, "all is acknowledged");
    }
    let each = (proxy.resident().saturating_sub(before)) / 200;
    assert!(each <= 48 << 10, "{each} bytes each");
    drop(clients);
    for _ in 0..200 {
        proxy.ended_by("client", "client-gone");
    }
    proxy.is_at_rest();
}
