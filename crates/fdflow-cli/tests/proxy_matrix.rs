//! `fdflow proxy`: bytes both ways through every pair of sockets, however they end and rest.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::path::Path;
use std::thread::{Scope, scope};
use std::time::Duration;

use ring::digest::{SHA256, digest};
use rustix::process::Signal;
use support::ends::{At, Backend, Stream};
use support::fdflow;
use support::pattern;
use support::proxy::Proxy;

/// One of {tcp,unix}²: a proxy and who is behind it.
fn pair(dir: &Path, unix_in: bool, unix_out: bool, flags: &[&str]) -> (Proxy, Backend) {
    let name = |side: &str| dir.join(format!("{side}-{unix_in}-{unix_out}"));
    let backend = if unix_out { Backend::unix(name("out")) } else { Backend::tcp() };
    let listen = match unix_in {
        true => At::Unix(name("in")).to_string(),
        false => "127.0.0.1:0".to_owned(),
    };
    let mut command = fdflow();
    command.args(["proxy", "--threads", "1", "--listen", &listen]);
    command.args(["--to", &backend.at().to_string()]).args(flags);
    (Proxy::run(command, 1), backend)
}

/// Runs a test on all four.
fn on_all_pairs(flags: &[&str], test: impl Fn(&Proxy, &Backend) + Sync) {
    let dir = tempfile::tempdir().unwrap();
    let (dir, test) = (dir.path(), &test);
    scope(|scope| {
        for (unix_in, unix_out) in [(false, false), (false, true), (true, false), (true, true)] {
            scope.spawn(move || {
                let (proxy, backend) = pair(dir, unix_in, unix_out, flags);
                test(&proxy, &backend);
                proxy.is_at_rest();
            });
        }
    });
}

/// A connection of a client, and that of the upstream.
fn ends(proxy: &Proxy, backend: &Backend) -> (Stream, Stream) {
    let client = proxy.connect();
    (client, backend.accept())
}

fn speak(from: &Stream, to: &Stream, bytes: &[u8]) {
    from.send(bytes);
    assert_eq!(to.receive(bytes.len()), bytes);
}

#[track_caller]
fn same(one: &[u8], other: &[u8]) {
    assert_eq!(one.len(), other.len());
    assert_eq!(digest(&SHA256, one).as_ref(), digest(&SHA256, other).as_ref());
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum First {
    Client,
    Upstream,
    Neither,
}

/// Whoever is first sends all and closes its direction; the other one waits for that, and so long
/// besides, before it does so too.
fn half_closes(first: First, delay: Duration, sizes: (usize, usize), ends: &(Stream, Stream)) {
    let bytes = pattern(sizes.0.max(sizes.1));
    let (up, down) = (&bytes[..sizes.0], &bytes[bytes.len() - sizes.1..]);
    let side = |own: &Stream, is_first: bool, sent: &[u8], awaited: &[u8]| {
        if first == First::Neither {
            scope(|scope| {
                scope.spawn(|| {
                    own.send(sent);
                    own.half_close();
                });
                same(&own.rest(), awaited);
            });
        } else if is_first {
            own.send(sent);
            own.half_close();
            same(&own.rest(), awaited);
        } else {
            same(&own.rest(), awaited);
            std::thread::sleep(delay);
            own.send(sent);
            own.half_close();
        }
    };
    scope(|scope| {
        scope.spawn(|| side(&ends.0, first == First::Client, up, down));
        side(&ends.1, first == First::Upstream, down, up);
    });
}

#[test]
fn every_order_of_half_closes_delivers_both_directions_whole() {
    let sizes =
        [(0, 0), (1, 0), (0, 1), (0, 300_000), (300_000, 0), (70_000, 1_500_000), (1_500_000, 9)];
    let delays = [Duration::ZERO, Duration::from_millis(600), Duration::from_millis(1400)];
    on_all_pairs(&[], |proxy, backend| {
        for first in [First::Client, First::Upstream, First::Neither] {
            let delays = if first == First::Neither { &delays[..1] } else { &delays };
            let cases = delays.iter().flat_map(|delay| sizes.map(|sizes| (*delay, sizes)));
            scope(|scope| {
                for (delay, sizes) in cases {
                    let ends = ends(proxy, backend);
                    scope.spawn(move || half_closes(first, delay, sizes, &ends));
                }
            });
            let mut bytes = (0, 0);
            for _ in 0..delays.len() * sizes.len() {
                let ended = proxy.ended();
                assert_eq!(ended.why, "done", "{ended:?}");
                match first {
                    First::Client => assert_eq!(ended.who, "client"),
                    First::Upstream => assert_eq!(ended.who, "upstream"),
                    First::Neither => {}
                }
                bytes = (bytes.0 + ended.up, bytes.1 + ended.down);
            }
            let sum = |one: fn(&(usize, usize)) -> usize| {
                (sizes.iter().map(one).sum::<usize>() * delays.len()) as u64
            };
            assert_eq!(bytes, (sum(|s| s.0), sum(|s| s.1)), "{first:?}");
        }
    });
}

/// Sends in pieces: whole, or dribbled.
fn send(stream: &Stream, bytes: &[u8], mut dice: Dice) {
    let most = [usize::MAX, 40_000, 700][dice.below(3)];
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, more) = rest.split_at((1 + dice.below(most)).min(rest.len()));
        stream.send(piece);
        rest = more;
    }
    stream.half_close();
}

/// A flow that goes to its end.
fn whole<'s>(
    scope: &'s Scope<'s, '_>,
    (client, server): (Stream, Stream),
    bytes: &'s [u8],
    mut dice: Dice,
) -> (usize, usize) {
    let (up, down) = (dice.below(bytes.len()), dice.below(bytes.len()));
    for (end, sent, awaited) in [(client, up, down), (server, down, up)] {
        let (other, seed) = (end.try_clone(), dice.below(usize::MAX) as u64);
        scope.spawn(move || send(&other, &bytes[..sent], Dice(seed)));
        scope.spawn(move || same(&end.rest(), &bytes[..awaited]));
    }
    (up, down)
}

/// A flow of which one end is reset midway: the other one has got the beginning, and its end.
fn reset<'s>(
    scope: &'s Scope<'s, '_>,
    (one, other): (Stream, Stream),
    bytes: &'s [u8],
    mut dice: Dice,
) {
    let received = dice.below(bytes.len() / 2);
    let is_tcp = one.is_tcp();
    let sender = other.try_clone();
    scope.spawn(move || {
        // What is reset midway is not sent to its end.
        let _sent = sender.try_send(bytes).is_ok();
    });
    scope.spawn(move || {
        let (got, ended) = other.rest_and_end();
        same(&got, &bytes[..got.len()]);
        if let Err(error) = ended {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        } else {
            // It says nothing more itself, lest the flow stay half open.
            other.half_close();
        }
    });
    scope.spawn(move || {
        one.send(&bytes[..bytes.len() / 3]);
        same(&one.receive(received), &bytes[..received]);
        if is_tcp { one.reset() } else { drop(one) }
    });
}

#[test]
fn two_hundred_flows_of_random_sizes_dribbles_and_resets_do_not_mix() {
    let bytes = pattern(200_000);
    on_all_pairs(&[], |proxy, backend| {
        let mut dice = Dice(u64::from(proxy.pid()));
        println!("seed {}", proxy.pid());
        let (mut sent, mut resets) = ((0, 0), 0);
        scope(|scope| {
            for number in 0..50 {
                let (client, server) = ends(proxy, backend);
                let own = Dice(dice.below(usize::MAX) as u64);
                match number % 5 {
                    3 => reset(scope, (client, server), &bytes, own),
                    4 => reset(scope, (server, client), &bytes, own),
                    _ => {
                        let (up, down) = whole(scope, (client, server), &bytes, own);
                        sent = (sent.0 + up as u64, sent.1 + down as u64);
                        continue;
                    }
                }
                resets += 1;
            }
        });
        let (mut counted, mut done) = ((0, 0), 0);
        for _ in 0..50 {
            let ended = proxy.ended();
            match ended.why.as_str() {
                "done" => done += 1,
                why => assert_eq!(why, "reset", "{ended:?}"),
            }
            // What was moved for those that were reset is not known here.
            if ended.why == "done" {
                counted = (counted.0 + ended.up, counted.1 + ended.down);
            }
        }
        assert!(done >= 50 - resets, "{done} came to their end");
        assert!(counted.0 >= sent.0 && counted.1 >= sent.1, "{counted:?} of {sent:?}");
    });
}

#[test]
fn small_segments_arrive_whole() {
    let bytes = pattern(300_000);
    on_all_pairs(&[], |proxy, backend| {
        let (client, server) = ends(proxy, backend);
        client.small_segments(88);
        server.small_segments(100);
        half_closes(First::Neither, Duration::ZERO, (bytes.len(), bytes.len()), &(client, server));
        assert_eq!(proxy.ended().bytes(), (300_000, 300_000));
    });
}

#[test]
fn a_flow_that_has_rested_goes_on_whoever_speaks_first() {
    let large = pattern(1_000_000);
    on_all_pairs(&[], |proxy, backend| {
        let (client, server) = ends(proxy, backend);
        // Never a byte yet.
        proxy.rests(1);
        speak(&client, &server, b"a question");
        proxy.rests(1);
        assert_eq!(proxy.pipes().0, 0);
        speak(&server, &client, b"an answer");
        proxy.rests(1);
        scope(|scope| {
            scope.spawn(|| client.send(&large));
            same(&server.receive(large.len()), &large);
        });
        proxy.rests(1);
        half_closes(First::Neither, Duration::ZERO, (900_000, 80_000), &(client, server));
        assert_eq!(proxy.ended().bytes(), (1_900_010, 80_009));
    });
}

#[test]
fn a_flow_that_rests_ends_as_one_that_does_not() {
    on_all_pairs(&[], |proxy, backend| {
        for first in [First::Client, First::Upstream] {
            for sizes in [(0, 0), (70_000, 300_000)] {
                let ends = ends(proxy, backend);
                speak(&ends.0, &ends.1, b"x");
                proxy.rests(1);
                half_closes(first, Duration::ZERO, sizes, &ends);
                let who = if first == First::Client { "client" } else { "upstream" };
                assert_eq!(proxy.ended_by(who, "done").up, sizes.0 as u64 + 1);
            }
        }
    });
}

#[test]
fn a_reset_while_a_flow_rests_is_passed_on() {
    on_all_pairs(&[], |proxy, backend| {
        for by_client in [true, false] {
            let (client, server) = ends(proxy, backend);
            speak(&client, &server, b"x");
            proxy.rests(1);
            let (own, other, who) =
                if by_client { (client, server, "client") } else { (server, client, "upstream") };
            if !own.is_tcp() {
                // Unix sockets have none.
                drop(own);
                assert_eq!(other.rest(), b"");
                drop(other);
                proxy.ended_by(who, "done");
                continue;
            }
            own.reset();
            let (bytes, ended) = other.rest_and_end();
            assert_eq!(bytes, b"");
            if other.is_tcp() {
                assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
            }
            proxy.ended_by(who, "reset");
        }
    });
}

#[test]
fn flows_that_rest_have_two_descriptors_and_no_pipe_and_all_go_on() {
    let bytes = pattern(5000);
    on_all_pairs(&[], |proxy, backend| {
        let before = proxy.descriptors();
        let flows: Vec<_> = (0..100).map(|_| ends(proxy, backend)).collect();
        for (client, server) in &flows {
            speak(client, server, &bytes);
        }
        proxy.rests(100);
        assert_eq!(proxy.descriptors(), before + 200);
        assert_eq!(proxy.pipes().0, 0);
        // All at once.
        flows.iter().for_each(|(_, server)| server.send(&bytes));
        for (client, server) in &flows {
            assert_eq!(client.receive(bytes.len()), bytes);
            client.half_close();
            assert_eq!(server.rest(), b"");
        }
        drop(flows);
        for _ in 0..100 {
            assert_eq!(proxy.ended_by("client", "done").bytes(), (5000, 5000));
        }
    });
}

#[test]
fn flows_that_rest_are_drained_as_others_are() {
    let dir = tempfile::tempdir().unwrap();
    for (drain, unix) in [("100ms", false), ("100ms", true), ("1h", false), ("1h", true)] {
        let (mut proxy, backend) = pair(dir.path(), unix, unix, &["--drain-timeout", drain]);
        let (client, server) = ends(&proxy, &backend);
        speak(&client, &server, b"x");
        proxy.rests(1);
        proxy.signal(Signal::TERM);
        if drain == "100ms" {
            for end in [client, server] {
                assert_eq!(end.rest_and_end().0, b"");
            }
            proxy.ended_by("proxy", "drained");
            assert_eq!(proxy.wait().code(), Some(1));
        } else {
            half_closes(First::Client, Duration::ZERO, (100_000, 100_000), &(client, server));
            proxy.ended_by("client", "done");
            assert_eq!(proxy.wait().code(), Some(0));
        }
        drop(backend);
        // The next pair has the same paths.
        let _removed = std::fs::remove_file(dir.path().join(format!("out-{unix}-{unix}"))).is_ok();
    }
}
