//! `fdflow relay`: many readers of every kind, with a recording and without, byte for byte.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::thread;

use rustix::process::Signal;
use support::ends::{At, Stream};
use support::pattern;
use support::relay::{Cat, Ended, Relay, left_out, relay, same};
use support::server::eventually;

/// How many readers there are besides one of each kind.
const CROWDS: [usize; 3] = [1, 8, 64];
/// No more than may wait for a reader in a fan-out.
const PIECE: usize = 128 << 10;

/// A folder, and a relay with sockets of both kinds for its readers.
struct Scene {
    relay: Relay,
    _dir: tempfile::TempDir,
    recording: Option<PathBuf>,
}

impl Scene {
    fn recorded() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("recording");
        let flags = ["--record", path.to_str().unwrap(), "--start", "beginning"];
        let relay = at_both(dir.path(), &flags);
        Self { relay, recording: Some(path), _dir: dir }
    }

    fn fanned(lag: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let relay = at_both(dir.path(), &["--lag", lag, "--linger", "60s"]);
        Self { relay, recording: None, _dir: dir }
    }
}

fn at_both(dir: &Path, flags: &[&str]) -> Relay {
    let unix = At::Unix(dir.join("readers")).to_string();
    let mut command = relay("tcp-listen://127.0.0.1:0", flags);
    command.args(["--listen", "127.0.0.1:0", "--listen", &unix]);
    Relay::run(command)
}

/// Whoever reads in small bites.
fn slowly(reader: &Stream, n: usize) -> Vec<u8> {
    let mut got = Vec::with_capacity(n);
    while got.len() < n {
        got.extend(reader.receive(1000.min(n - got.len())));
        thread::yield_now();
    }
    assert_eq!(reader.rest(), b"");
    got
}

/// Sends pieces, each when everybody who keeps up has got the one before it.
fn in_lock_step(producer: &Stream, stream: &[u8], keepers: &[Stream]) {
    for piece in stream.chunks(PIECE) {
        producer.send(piece);
        for keeper in keepers {
            same(&keeper.receive(piece.len()), piece);
        }
    }
}

fn whole(ended: &Ended, stream: &[u8]) -> bool {
    (ended.start, ended.bytes, ended.missed, &*ended.why)
        == (Some(0), stream.len() as u64, 0, "done")
}

#[test]
fn with_a_recording_every_reader_of_every_kind_gets_everything() {
    let stream = pattern(6_000_000);
    for crowd in CROWDS {
        let mut scene = Scene::recorded();
        let relay = &scene.relay;
        let producer = relay.produce();
        let (fast, slow) = (relay.read_by(crowd), relay.read_by(2));
        let stopped = relay.read_by(2).into_iter().map(|reader| {
            let cat = Cat::new(reader);
            cat.stop();
            cat
        });
        let stopped: Vec<Cat> = stopped.collect();
        let (resetting, leaving) = (relay.read_by(2), relay.read_by(2));
        producer.send(&stream[..1_000_000]);
        for reader in resetting {
            same(&reader.receive(500_000), &stream[..500_000]);
            reader.reset();
        }
        for reader in leaving {
            same(&reader.receive(500_000), &stream[..500_000]);
            drop(reader);
        }
        let late = relay.read_by(2);
        // They are in: nobody is accepted after the end.
        late.iter().for_each(|reader| assert_eq!(reader.receive(1), stream[..1]));
        for reader in fast.iter().chain(&slow) {
            assert_eq!(reader.receive(1), stream[..1]);
        }
        producer.send(&stream[1_000_000..]);
        drop(producer);
        thread::scope(|scope| {
            for reader in fast.iter().chain(&late) {
                scope.spawn(|| same(&reader.rest(), &stream[1..]));
            }
            for reader in &slow {
                scope.spawn(|| same(&slowly(reader, stream.len() - 1), &stream[1..]));
            }
        });
        // Those who stood still have lost nothing, and have held up nobody.
        for cat in stopped {
            same(&cat.rest(), &stream);
        }
        drop((fast, slow, late));
        let all = scene.relay.all_ended(crowd + 10);
        assert_eq!(all.iter().filter(|ended| whole(ended, &stream)).count(), crowd + 6);
        assert_eq!(all.iter().filter(|ended| ["left", "reset"].contains(&&*ended.why)).count(), 4);
        scene.relay.is_done();
        same(&std::fs::read(scene.recording.unwrap()).unwrap(), &stream);
    }
}

#[test]
fn under_block_every_reader_that_reads_gets_everything_from_where_it_joined() {
    let stream = pattern(3_000_000);
    for crowd in CROWDS {
        let mut scene = Scene::fanned("block");
        let relay = &scene.relay;
        let producer = relay.produce();
        let (fast, slow) = (relay.read_by(crowd), relay.read_by(2));
        let (resetting, leaving) = (relay.read_by(2), relay.read_by(2));
        relay.has_joined(crowd + 6);
        let late = thread::scope(|scope| {
            let readers: Vec<_> = fast
                .iter()
                .map(|reader| scope.spawn(|| same(&reader.rest(), &stream)))
                .chain(
                    slow.iter()
                        .map(|reader| scope.spawn(|| same(&slowly(reader, stream.len()), &stream))),
                )
                .collect();
            producer.send(&stream[..1_000_000]);
            for reader in resetting {
                same(&reader.receive(300_000), &stream[..300_000]);
                reader.reset();
            }
            for reader in leaving {
                same(&reader.receive(300_000), &stream[..300_000]);
                drop(reader);
            }
            let late = relay.read_by(2);
            // Everybody else is held up by them from when they are in.
            producer.send(&stream[1_000_000..2_000_000]);
            let late = late.into_iter().map(|reader| {
                // It may have come too late.
                scope.spawn(move || reader.rest_and_end().0)
            });
            let late: Vec<_> = late.collect();
            producer.send(&stream[2_000_000..]);
            drop(producer);
            readers.into_iter().for_each(|reader| reader.join().unwrap());
            late.into_iter().map(|late| late.join().unwrap()).collect::<Vec<_>>()
        });
        for got in &late {
            same(got, &stream[stream.len() - got.len()..]);
        }
        drop((fast, slow));
        scene.relay.is_done();
        let all = std::iter::from_fn(|| scene.relay.next_ended()).collect::<Vec<_>>();
        assert_eq!(all.iter().filter(|ended| whole(ended, &stream)).count(), crowd + 2);
        for ended in all.iter().filter(|ended| ended.why == "done") {
            // Who came too late for a single byte has begun nowhere.
            let until = ended.start.map_or(stream.len() as u64, |start| start + ended.bytes);
            assert_eq!((until, ended.missed), (stream.len() as u64, 0), "{ended:?}");
        }
    }
}

/// One that is stopped among others that keep up, who get everything: what it got, and its line.
fn beside_a_stopped_one(lag: &str, crowd: usize, stream: &[u8]) -> (Vec<u8>, Ended) {
    let mut scene = Scene::fanned(lag);
    let relay = &scene.relay;
    let producer = relay.produce();
    let stopped = Cat::new(relay.readers[1].connect());
    relay.has_joined(1);
    stopped.stop();
    let keepers = relay.read_by(crowd);
    relay.has_joined(1 + crowd);
    let (body, end) = stream.split_at(stream.len() - PIECE);
    in_lock_step(&producer, body, &keepers);
    // It goes on, and has caught up when there is an end.
    stopped.signal(Signal::CONT);
    eventually(|| relay.process().pipes().0 == 0, "pipes without a byte");
    in_lock_step(&producer, end, &keepers);
    drop(producer);
    let got = stopped.rest();
    for keeper in &keepers {
        assert_eq!(keeper.rest(), b"");
    }
    drop(keepers);
    let mut all = scene.relay.all_ended(1 + crowd);
    let which = all.iter().position(|ended| !whole(ended, stream)).unwrap();
    let ended = all.remove(which);
    assert!(all.iter().all(|ended| whole(ended, stream)), "{all:?}");
    scene.relay.is_done();
    assert_eq!(ended.start, Some(0));
    assert_eq!(ended.bytes, got.len() as u64, "{ended:?}");
    (got, ended)
}

#[test]
fn under_gap_a_stopped_reader_gets_pieces_and_the_log_says_how_much_is_missing() {
    let stream = pattern(6_000_000);
    for crowd in CROWDS {
        let (got, ended) = beside_a_stopped_one("gap", crowd, &stream);
        assert_eq!(ended.why, "done");
        assert!(ended.missed > 0, "{ended:?}");
        assert_eq!(ended.missed + ended.bytes, stream.len() as u64);
        assert_eq!(left_out(&got, &stream), ended.missed);
    }
}

#[test]
fn under_detach_a_stopped_reader_gets_a_beginning() {
    let stream = pattern(6_000_000);
    for crowd in CROWDS {
        let (got, ended) = beside_a_stopped_one("detach", crowd, &stream);
        assert_eq!(ended.why, "lagged");
        same(&got, &stream[..got.len()]);
    }
}

#[test]
fn without_a_recording_descriptors_are_back_when_readers_have_gone() {
    let stream = pattern(PIECE * 3);
    for lag in ["block", "gap", "detach"] {
        let scene = Scene::fanned(lag);
        let relay = &scene.relay;
        let producer = relay.produce();
        let stays = relay.read();
        relay.has_joined(1);
        let before = relay.held();
        for piece in stream.chunks(PIECE) {
            let readers = relay.read_by(20);
            relay.has_joined(21);
            producer.send(piece);
            same(&stays.receive(piece.len()), piece);
            let mut readers = readers.into_iter();
            for reader in readers.by_ref().take(10) {
                same(&reader.receive(piece.len()), piece);
                reader.reset();
            }
            for reader in readers {
                same(&reader.receive(piece.len()), piece);
                drop(reader);
            }
            // That a TCP reader has closed shows when it is sent more: it may have closed one
            // direction only.
            producer.send(b"!");
            assert_eq!(stays.receive(1), b"!");
            let all = relay.all_ended(20);
            assert!(all.iter().all(|ended| ended.bytes >= piece.len() as u64), "{all:?}");
            relay.holds(before);
        }
    }
}
