//! `fdflow proxy`: who is let in, how many at once, and how fast.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::ends::{At, Backend, Stream};
use support::proxy::{Proxy, proxy};
use support::server::eventually;
use support::{fdflow, pattern};

/// Both ends speak, and end.
fn is_served(client: &Stream, backend: &Backend) {
    let server = backend.accept();
    client.send(b"ping");
    client.half_close();
    assert_eq!(server.rest(), b"ping");
    server.send(b"pong");
    drop(server);
    assert_eq!(client.rest(), b"pong");
}

#[test]
fn only_clients_from_allowed_and_not_denied_networks_come_in() {
    let backend = Backend::tcp();
    for (flags, from, comes_in) in [
        (&["--allow-from", "127.0.0.0/8"][..], "127.0.0.1", true),
        (&["--allow-from", "10.0.0.0/8"], "127.0.0.1", false),
        (&["--deny-from", "127.0.0.2"], "127.0.0.2", false),
        (&["--deny-from", "127.0.0.2"], "127.0.0.1", true),
        (&["--allow-from", "127.0.0.0/8", "--deny-from", "127.0.0.2"], "127.0.0.2", false),
        (&["--allow-from", "::1", "--allow-from", "127.0.0.3"], "127.0.0.3", true),
    ] {
        let proxy = Proxy::to(&backend.at(), flags);
        let client = proxy.connect_from(from);
        if comes_in {
            is_served(&client, &backend);
            proxy.ended_by("client", "done");
        } else {
            assert_eq!(client.rest_and_end().0, b"", "{flags:?}");
            assert_eq!(proxy.ended_by("proxy", "denied").bytes(), (0, 0));
            assert!(!backend.is_asked(), "{flags:?}");
        }
        proxy.is_at_rest();
    }
}

#[test]
fn access_lists_are_about_the_client_that_a_trusted_header_names() {
    let backend = Backend::tcp();
    let flags = ["--accept-proxy", "--trust", "127.0.0.1", "--allow-from", "192.0.2.0/24"];
    let proxy = Proxy::to(&backend.at(), &flags);
    let client = proxy.connect();
    client.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n");
    is_served(&client, &backend);
    proxy.ended_by("client", "done");
    let client = proxy.connect();
    client.send(b"PROXY TCP4 198.51.100.7 192.0.2.1 1 2\r\n");
    assert_eq!(client.rest_and_end().0, b"");
    proxy.ended_by("proxy", "denied");
}

#[test]
fn more_than_the_most_wait_in_the_backlog_and_are_served_later() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &["--max-connections", "2"]);
    let in_now: Vec<_> = (0..2).map(|_| (proxy.connect(), backend.accept())).collect();
    let waiting: Vec<_> = (0..8).map(|_| proxy.connect()).collect();
    for client in &waiting {
        client.send(b"waiting");
        client.half_close();
    }
    // Two are in, and they work; nobody else gets as far as the upstream.
    for (client, server) in &in_now {
        client.send(b"x");
        assert_eq!(server.receive(1), b"x");
    }
    assert!(!backend.is_asked());
    drop(in_now);
    for _ in &waiting {
        answer(&backend.accept());
    }
    for _ in 0..10 {
        proxy.ended_by("client", "done");
    }
    for client in waiting {
        assert_eq!(client.rest(), b"later");
    }
    proxy.is_at_rest();
}

fn answer(server: &Stream) {
    assert_eq!(server.rest(), b"waiting");
    server.send(b"later");
    server.half_close();
}

#[test]
fn a_place_is_nobodys_while_no_connection_has_it() {
    // With one place, listeners and threads that hold it while they wait would lock out the rest.
    let backend = Backend::tcp();
    let mut command = fdflow();
    command.args(["proxy", "--threads", "2", "--max-connections", "1"]);
    command.args(["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    command.args(["--to", &backend.at().to_string()]);
    let proxy = Proxy::run(command, 2);
    for round in 0..16 {
        let client = proxy.at[round % 2].connect();
        is_served(&client, &backend);
        proxy.ended_by("client", "done");
    }
    proxy.is_at_rest();
}

#[test]
fn a_reload_that_allows_more_lets_in_who_waits() {
    let (dir, backend) = (tempfile::tempdir().unwrap(), Backend::tcp());
    let path = dir.path().join("c.toml");
    let at = At::Unix(dir.path().join("in"));
    let write = |most: usize| {
        let to = backend.at();
        let text = format!(
            "[[service]]\nlisten = [\"{at}\"]\nto = [\"{to}\"]\nmax_connections = {most}\n"
        );
        std::fs::write(&path, text).unwrap();
    };
    write(1);
    let mut command = fdflow();
    command.args(["proxy", "--config", path.to_str().unwrap()]);
    let proxy = Proxy::run(command, 1);
    let first = (proxy.connect(), backend.accept());
    let second = proxy.connect();
    second.send(b"ping");
    first.0.send(b"x");
    assert_eq!(first.1.receive(1), b"x");
    assert!(!backend.is_asked());
    write(2);
    proxy.signal(Signal::HUP);
    let server = backend.accept();
    assert_eq!(server.receive(4), b"ping");
}

#[test]
fn a_source_with_too_many_waits_while_others_are_served() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &["--max-per-source", "1", "--connect-timeout", "50s"]);
    let (first, server) = (proxy.connect(), backend.accept());
    let second = proxy.connect();
    let other = proxy.connect_from("127.0.0.2");
    is_served(&other, &backend);
    assert!(!backend.is_asked(), "the second connection of the source came in");
    drop((first, server));
    is_served(&second, &backend);
    for _ in 0..3 {
        proxy.ended_by("client", "done");
    }
    proxy.is_at_rest();
}

#[test]
fn a_source_that_waits_too_long_is_refused_and_the_log_says_why() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &["--max-per-source", "1", "--connect-timeout", "100ms"]);
    let _first = (proxy.connect(), backend.accept());
    assert_eq!(proxy.connect().rest(), b"");
    proxy.ended_by("proxy", "too-many-from-source");
    let other = proxy.connect_from("127.0.0.2");
    is_served(&other, &backend);
}

/// Sends both ways on so many flows at once, and says how long it took.
fn both_ways(at: &At, backend: &Backend, bytes: &[u8], flows: usize) -> Duration {
    let flows: Vec<_> = (0..flows).map(|_| (at.connect(), backend.accept())).collect();
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for end in flows.iter().flat_map(|(client, server)| [client, server]) {
            scope.spawn(move || {
                end.send(bytes);
                end.half_close();
            });
            scope.spawn(move || assert!(end.rest() == bytes));
        }
    });
    begun.elapsed()
}

#[test]
fn a_flow_takes_no_more_than_its_rate_and_every_byte_arrives() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &["--rate", "1M/s"]);
    let bytes = pattern(600_000);
    let took = both_ways(&proxy.at[0], &backend, &bytes, 1);
    // A tenth of a second's may go at once.
    let least = (600_000.0 - f64::from(1 << 20) / 10.0) / f64::from(1 << 20);
    assert!(took.as_secs_f64() >= least, "{took:?} for what takes {least} s");
    assert_eq!(proxy.ended().bytes(), (600_000, 600_000));
    proxy.is_at_rest();
}

#[test]
fn all_flows_together_take_no_more_than_the_total_rate() {
    let backend = Backend::tcp();
    let proxy = Proxy::run(
        {
            let mut command = fdflow();
            command.args(["proxy", "--threads", "2", "--listen", "127.0.0.1:0"]);
            command.args(["--to", &backend.at().to_string(), "--total-rate", "2M/s"]);
            command
        },
        1,
    );
    let bytes = pattern(150_000);
    let took = both_ways(&proxy.at[0], &backend, &bytes, 5);
    let rate = f64::from(2 << 20);
    let least = (1_500_000.0 - rate / 10.0) / rate;
    assert!(took.as_secs_f64() >= least, "{took:?} for what takes {least} s");
    for _ in 0..5 {
        assert_eq!(proxy.ended().bytes(), (150_000, 150_000));
    }
    proxy.is_at_rest();
}

#[test]
fn upstreams_see_the_address_that_bind_names() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &["--bind", "127.0.0.9"]);
    let client = proxy.connect();
    let server = backend.accept();
    assert_eq!(server.addresses().1.ip().to_string(), "127.0.0.9");
    drop((client, server));
    proxy.ended();
}

#[test]
fn an_address_that_this_machine_has_not_is_the_proxys_own_fault() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &["--bind", "192.0.2.1"]);
    assert_eq!(proxy.connect().rest(), b"");
    let ended = proxy.ended_by("proxy", "no-upstream");
    assert!(ended.detail.contains("assign requested address"), "{ended:?}");
}

#[test]
fn a_lifetime_and_quiet_end_a_flow_also_while_it_rests() {
    let backend = Backend::tcp();
    for (flag, why) in [("--lifetime", "lifetime"), ("--idle-timeout", "idle-timeout")] {
        for span in ["300ms", "2s"] {
            let proxy = Proxy::to(&backend.at(), &[flag, span]);
            let (client, server) = (proxy.connect(), backend.accept());
            client.send(b"x");
            assert_eq!(server.receive(1), b"x");
            for end in [client, server] {
                assert_eq!(end.rest_and_end().0, b"");
            }
            assert_eq!(proxy.ended_by("proxy", why).bytes(), (1, 0));
            proxy.is_at_rest();
        }
    }
}

#[test]
fn a_half_closed_flow_ends_after_its_own_timeout() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &["--half-closed-timeout", "300ms"]);
    let (client, server) = (proxy.connect(), backend.accept());
    client.half_close();
    assert_eq!(server.rest(), b"");
    assert_eq!(client.rest_and_end().0, b"");
    proxy.ended_by("proxy", "half-closed-timeout");
    proxy.is_at_rest();
}

#[test]
fn bytes_that_are_spliced_keep_a_flow_from_being_idle() {
    let backend = Backend::tcp();
    let flags = ["--idle-timeout", "1s", "--rate", "200K/s"];
    let mut command = proxy(&flags);
    command.args(["--to", &backend.at().to_string()]);
    let proxy = Proxy::run(command, 1);
    // It takes longer than the timeout.
    let took = both_ways(&proxy.at[0], &backend, &pattern(600_000), 1);
    assert!(took > Duration::from_secs(1));
    assert_eq!(proxy.ended().bytes(), (600_000, 600_000));
    eventually(|| proxy.close_wait() == 0, "no socket in CLOSE_WAIT");
}
