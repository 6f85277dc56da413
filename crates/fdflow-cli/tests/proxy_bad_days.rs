//! `fdflow proxy` where descriptors, pipes and peers run out.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Child, Command, Stdio};
use std::thread::scope;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::ends::{Backend, Stream};
use support::pattern;
use support::proxy::{Proxy, proxy};
use support::server::eventually;

fn ends(proxy: &Proxy, backend: &Backend) -> (Stream, Stream) {
    let client = proxy.connect();
    (client, backend.accept())
}

fn speak(from: &Stream, to: &Stream) {
    from.send(b"still here");
    assert_eq!(to.receive(10), b"still here");
}

/// All of `bytes` both ways, then both ends.
fn both_ways(client: &Stream, server: &Stream, bytes: &[u8]) {
    scope(|scope| {
        for end in [client, server] {
            scope.spawn(|| {
                end.send(bytes);
                end.half_close();
            });
            scope.spawn(|| assert!(end.rest() == bytes));
        }
    });
}

/// Runs a command by way of another one.
fn by_way_of(way: &str, arguments: &[&str], command: &Command) -> Command {
    let mut by = Command::new(way);
    by.args(arguments).arg(command.get_program()).args(command.get_args());
    by
}

/// Whether a command works here; says so where not.
fn works(test: &str, command: &mut Command) -> bool {
    let ended = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let works = ended.is_ok_and(|status| status.success());
    if !works {
        eprintln!("SKIPPED {test}: this does not work here: {command:?}");
    }
    works
}

/// The proxy under a kernel that fails this call, as `strace` is told.
fn with_fault(test: &str, fault: &str, backend: &Backend) -> Option<Proxy> {
    if !works(test, Command::new("strace").args(["-o", "/dev/null", "true"])) {
        return None;
    }
    let (call, _) = fault.split_once(':').unwrap();
    let (trace, inject) = (format!("trace={call}"), format!("inject={fault}"));
    // The tracer is the grandchild: what is started is the proxy itself.
    let arguments = ["-D", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let proxy = proxy(&["--to", &backend.at().to_string()]);
    Some(Proxy::run(by_way_of("strace", &arguments, &proxy), 1))
}

#[test]
fn h31_without_descriptors_accepting_rests_flows_go_on_and_whoever_waits_is_served() {
    let test = "h31_without_descriptors";
    if !works(test, &mut Command::new("prlimit")) {
        return;
    }
    let backend = Backend::tcp();
    let flags = ["--to", &backend.at().to_string(), "--max-connections", "1000"];
    let proxy = Proxy::run(by_way_of("prlimit", &["--nofile=70:70"], &proxy(&flags)), 1);
    let clients: Vec<_> = (0..60).map(|_| proxy.connect()).collect();
    proxy.said("accepting rests until a connection ends");
    for (number, client) in clients.iter().enumerate() {
        client.send(&[u8::try_from(number).unwrap()]);
    }
    scope(|scope| {
        scope.spawn(|| {
            for _ in 0..60 {
                let server = backend.accept();
                scope.spawn(move || {
                    let said = server.receive(1);
                    server.send(&said);
                    // Until the client has got it.
                    assert_eq!(server.rest(), b"");
                });
            }
        });
        // Those who are in are served while others wait, and it does not spin.
        assert_eq!(clients[0].receive(1), [0]);
        assert!(!clients[59].is_readable());
        let (begun, ran) = (Instant::now(), proxy.ran());
        eventually(|| begun.elapsed() >= Duration::from_millis(1500), "some time");
        let ran = Duration::from_nanos(proxy.ran() - ran);
        assert!(ran < begun.elapsed() / 2, "it ran for {ran:?} and nothing was to be done");
        clients[0].half_close();
        assert_eq!(clients[0].rest(), b"");
        for (number, client) in clients.iter().enumerate().skip(1) {
            assert_eq!(client.receive(1), [u8::try_from(number).unwrap()]);
            client.half_close();
            assert_eq!(client.rest(), b"");
        }
    });
    for _ in 0..60 {
        assert_eq!(proxy.ended_by("client", "done").bytes(), (1, 1));
    }
    drop(clients);
    proxy.is_at_rest();
    assert_eq!(proxy.errors().lines().count(), 1, "{}", proxy.errors());
}

#[test]
fn h31_whoever_takes_the_last_descriptor_gets_to_its_upstream_still() {
    let test = "h31_whoever_takes";
    if !works(test, &mut Command::new("prlimit")) {
        return;
    }
    // Odd and even: a flow needs two, and the first may be the last.
    for limit in ["--nofile=70:70", "--nofile=71:71"] {
        let backend = Backend::tcp();
        let flags = ["--to", &backend.at().to_string(), "--max-connections", "1000"];
        let proxy = Proxy::run(by_way_of("prlimit", &[limit], &proxy(&flags)), 1);
        let mut flows = Vec::new();
        let rests = || proxy.errors().contains("accepting rests until a connection ends");
        while !rests() {
            let client = proxy.connect();
            let is_clear = || backend.is_asked() || client.is_readable() || rests();
            eventually(is_clear, "a flow, or that accepting rests");
            assert!(!client.is_readable(), "{:?}", proxy.ended());
            let server = backend.is_asked().then(|| backend.accept());
            flows.push((client, server));
        }
        for (client, server) in flows {
            // The last one may have to wait for the first to end.
            let server = server.unwrap_or_else(|| backend.accept());
            both_ways(&client, &server, b"x");
            proxy.ended();
        }
        proxy.is_at_rest();
    }
}

#[test]
fn whatever_accept_answers_the_next_connection_is_served() {
    let test = "whatever_accept_answers";
    let accept_answers = |errno: &str| {
        let backend = Backend::tcp();
        let fault = format!("accept4:error={errno}:when=2..4");
        let Some(proxy) = with_fault(test, &fault, &backend) else { return };
        let bytes = pattern(10_000);
        for _ in 0..4 {
            let (client, server) = ends(&proxy, &backend);
            both_ways(&client, &server, &bytes);
            assert_eq!(proxy.ended().bytes(), (10_000, 10_000), "{errno}");
        }
        proxy.is_at_rest();
    };
    scope(|scope| {
        for errno in ["ECONNABORTED", "EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EPROTO", "EPERM"] {
            scope.spawn(move || accept_answers(errno));
        }
    });
}

#[test]
fn without_pipes_bytes_go_through_user_space() {
    let test = "without_pipes";
    if std::env::var("FDFLOW_DENY").is_ok_and(|denied| denied.contains("read_write")) {
        eprintln!("SKIPPED {test}: user space is denied");
        return;
    }
    for fault in ["pipe2:error=ENFILE", "pipe2:error=EMFILE:when=2+", "splice:error=EINVAL"] {
        let backend = Backend::tcp();
        let Some(proxy) = with_fault(test, fault, &backend) else { return };
        let bytes = pattern(3_000_000);
        scope(|scope| {
            for _ in 0..4 {
                let (client, server) = ends(&proxy, &backend);
                let bytes = &bytes;
                scope.spawn(move || both_ways(&client, &server, bytes));
            }
        });
        for _ in 0..4 {
            let ended = proxy.ended();
            assert_eq!((ended.why.as_str(), ended.bytes()), ("done", (3_000_000, 3_000_000)));
        }
        proxy.is_at_rest();
    }
}

/// A user's pipes, which take up all that a user's pipes may.
struct Hog(Child);

impl Hog {
    fn start() -> Self {
        // 1031 is F_SETPIPE_SZ. As many as there may be, and more.
        let script = "for (1..80) { pipe($r, $w) or last; fcntl($w, 1031, 1 << 20); \
                      push @all, $r, $w } $| = 1; print \"full\\n\"; <STDIN>";
        let mut command = Command::new("setpriv");
        command.args(NOBODY).args(["perl", "-e", script]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "full\n");
        Self(child)
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const NOBODY: [&str; 4] = ["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--"];

#[test]
fn a_user_whose_pipes_may_hold_nothing_more_is_served_all_the_same() {
    let test = "a_user_whose_pipes";
    let program = env!("CARGO_BIN_EXE_fdflow");
    let mut version = Command::new("setpriv");
    let mut perl = Command::new("perl");
    if !works(test, version.args(NOBODY).args([program, "--version"]))
        || !works(test, perl.arg("-v"))
    {
        return;
    }
    let _hog = Hog::start();
    let backend = Backend::tcp();
    let command = proxy(&["--to", &backend.at().to_string()]);
    let proxy = Proxy::run(by_way_of("setpriv", &NOBODY, &command), 1);
    let bytes = pattern(4_000_000);
    scope(|scope| {
        for _ in 0..6 {
            let (client, server) = ends(&proxy, &backend);
            let bytes = &bytes;
            scope.spawn(move || both_ways(&client, &server, bytes));
        }
    });
    for _ in 0..6 {
        let ended = proxy.ended();
        assert_eq!((ended.why.as_str(), ended.bytes()), ("done", (4_000_000, 4_000_000)));
    }
    proxy.is_at_rest();
}

#[test]
fn what_was_received_before_a_reset_is_delivered_and_then_the_reset() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &[]);
    let (kept_client, kept_server) = ends(&proxy, &backend);
    for by_client in [true, false] {
        for (size, rested) in [(1, false), (10_000, true), (10_000, false), (150_000, false)] {
            let (client, server) = ends(&proxy, &backend);
            // An upstream that resets before the proxy knows that it is connected could not be
            // connected to: another one is asked.
            speak(&client, &server);
            let (own, other, who) = match by_client {
                true => (client, server, "client"),
                false => (server, client, "upstream"),
            };
            if rested {
                proxy.rests(2);
            }
            let bytes = pattern(size);
            own.send(&bytes);
            eventually(|| own.unsent() == 0, "all is on the proxy's side");
            own.reset();
            let (got, ended) = other.rest_and_end();
            assert!(got == bytes, "{} of {size} bytes from the {who}", got.len());
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
            let ended = proxy.ended_by(who, "reset");
            assert_eq!(ended.up + ended.down, size as u64 + 10);
        }
    }
    speak(&kept_client, &kept_server);
    drop((kept_client, kept_server));
    proxy.ended();
    proxy.is_at_rest();
}

#[test]
fn an_end_that_takes_nothing_more_does_not_keep_the_other_from_its_reset() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &[]);
    for by_client in [true, false] {
        let (client, server) = ends(&proxy, &backend);
        let (own, other, who) = match by_client {
            true => (client, server, "client"),
            false => (server, client, "upstream"),
        };
        // More than all buffers hold, of which nothing is read.
        let bytes = pattern(32_000_000);
        scope(|scope| {
            let sender = other.try_clone();
            let bytes = &bytes;
            let sent = scope.spawn(move || sender.try_send(bytes));
            // It begins, so that it is in the middle.
            assert_eq!(own.receive(1000), bytes[..1000]);
            own.reset();
            sent.join().unwrap().unwrap_err();
        });
        drop(other);
        proxy.ended_by(who, "reset");
    }
    proxy.is_at_rest();
}

#[test]
fn clients_that_are_gone_before_they_are_accepted_harm_nobody() {
    let backend = Backend::tcp();
    let proxy = Proxy::to(&backend.at(), &[]);
    let (client, server) = ends(&proxy, &backend);
    proxy.signal(Signal::STOP);
    for number in 0..200 {
        let gone = proxy.connect();
        if number % 2 == 0 { gone.reset() } else { drop(gone) }
    }
    proxy.signal(Signal::CONT);
    speak(&client, &server);
    speak(&server, &client);
    let (late, late_server) = {
        let late = proxy.connect();
        late.send(b"late");
        // Those before it have got as far as the upstream, or not.
        let server = loop {
            let server = backend.accept();
            let (said, _) = server.first();
            if said == b"late" {
                break server;
            }
        };
        (late, server)
    };
    both_ways(&late, &late_server, b"served");
    // With all that nobody has accepted.
    drop((late, late_server, client, server, backend));
    proxy.is_at_rest();
}
