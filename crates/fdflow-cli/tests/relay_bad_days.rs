//! `fdflow relay` on bad days: full and failing disks, kills, no descriptors, readers without manners.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::thread;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;
use support::ends::{At, Stream};
use support::pattern;
use support::relay::{Relay, relay, same};
use support::server::eventually;

/// A filesystem of four megabytes; taken away with it.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        match mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), Some(c"size=4m")) {
            Ok(()) => Some(Self(dir)),
            Err(errno) => {
                eprintln!("SKIPPED {test}: a tmpfs cannot be mounted: {errno}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unmount(self.0.path(), UnmountFlags::DETACH).unwrap();
    }
}

fn recording_to(path: &Path, flags: &[&str]) -> Command {
    let record = ["--listen", "127.0.0.1:0", "--start", "beginning", "--record"];
    let mut command = relay("tcp-listen://127.0.0.1:0", &record);
    command.arg(path).args(flags);
    command
}

/// What this command does, by way of another program; `None` where that does not work here.
fn by_way_of(test: &str, program: &str, arguments: &[&str], command: &Command) -> Option<Command> {
    let tried = Command::new(program).args(arguments).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED {test}: {program} is not installed or may not do this");
        return None;
    }
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    Some(outer)
}

/// Sends it, and has a reader get it.
fn pass(producer: &Stream, reader: &Stream, bytes: &[u8]) {
    thread::scope(|scope| {
        scope.spawn(|| producer.send(bytes));
        same(&reader.receive(bytes.len()), bytes);
    });
}

/// The numbers of a line of standard error that begins with this.
fn numbers(errors: &str, begins: &str) -> Vec<Vec<u64>> {
    let number = |word: &str| word.trim_matches([':', ',', ';']).parse().ok();
    let lines = errors.lines().filter(|line| line.contains(begins));
    lines.map(|line| line.split(' ').filter_map(number).collect()).collect()
}

#[test]
fn a_full_disk_costs_live_readers_nothing_and_the_recording_a_gap_with_its_offsets() {
    let Some(dir) = Small::mount("a_full_disk") else { return };
    let (path, ballast) = (dir.path().join("x"), dir.path().join("ballast"));
    std::fs::write(&ballast, vec![0; 2 << 20]).unwrap();
    let mut relay = Relay::run(recording_to(&path, &["--max-lag", "1M", "--sync", "50ms"]));
    let (producer, reader) = (relay.produce(), relay.read());
    let stream = pattern(6_400_000);
    let (early, late) = stream.split_at(6_000_000);
    for piece in early.chunks(100_000) {
        pass(&producer, &reader, piece);
    }
    relay.said("No space left on device");
    relay.said("in all: the memory was full");
    std::fs::remove_file(&ballast).unwrap();
    relay.said("it goes on, and has come up to byte");
    for piece in late.chunks(100_000) {
        pass(&producer, &reader, piece);
    }
    drop(producer);
    assert_eq!(reader.rest(), b"");
    drop(reader);
    let ended = relay.ended_by("done");
    assert_eq!((ended.bytes, ended.missed), (stream.len() as u64, 0));
    relay.is_done();

    // What is there is the stream without what was said to be missing.
    let mut expected = Vec::new();
    let (mut at, errors) = (0, relay.errors());
    let gaps = numbers(&errors, "the memory was full").into_iter().map(|gap| {
        let [first, last, n] = gap[..] else { panic!("{errors}") };
        assert_eq!(n, last + 1 - first, "{errors}");
        (first, last)
    });
    // One that grows is told of again, with the same first byte.
    for (first, last) in gaps.collect::<BTreeMap<_, _>>() {
        let (from, until) = (usize::try_from(first).unwrap(), usize::try_from(last + 1).unwrap());
        assert!(at <= from && from < until, "{errors}");
        expected.extend(&stream[at..from]);
        at = until;
    }
    expected.extend(&stream[at..]);
    same(&std::fs::read(&path).unwrap(), &expected);
    let missing = (stream.len() - expected.len()) as u64;
    assert_eq!(numbers(&errors, "it goes on").last().unwrap().last(), Some(&missing));
}

#[test]
fn a_disk_that_is_full_until_the_end_is_an_error_and_readers_have_everything() {
    let Some(dir) = Small::mount("a_disk_that_is_full_until_the_end") else { return };
    let path = dir.path().join("x");
    let mut relay = Relay::run(recording_to(&path, &["--max-lag", "8M"]));
    let (producer, reader) = (relay.produce(), relay.read());
    let stream = pattern(6_000_000);
    pass(&producer, &reader, &stream);
    drop(producer);
    assert_eq!(reader.rest(), b"");
    drop(reader);
    relay.said("the recording lacks its end");
    assert_eq!(relay.wait().code(), Some(1));
    let recorded = std::fs::read(&path).unwrap();
    same(&recorded, &stream[..recorded.len()]);
}

#[test]
fn a_killed_relay_has_recorded_a_prefix_and_another_goes_on_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let stream = pattern(4_000_000);
    let mut at = 0;
    for _ in 0..3 {
        let mut relay = Relay::run(recording_to(&path, &["--sync", "50ms"]));
        let (producer, reader) = (relay.produce(), relay.read());
        same(&reader.receive(at), &stream[..at]);
        pass(&producer, &reader, &stream[at..at + 700_000]);
        // In the middle of more.
        thread::scope(|scope| {
            scope.spawn(|| producer.try_send(&stream[at + 700_000..]).is_ok());
            reader.receive(100_000);
            relay.signal(Signal::KILL);
            relay.wait();
        });
        let recorded = std::fs::read(&path).unwrap();
        // What a reader has got is in the file.
        assert!(recorded.len() >= at + 800_000);
        same(&recorded, &stream[..recorded.len()]);
        at = recorded.len().min(stream.len() - 1_000_000);
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(at as u64).unwrap();
    }
}

#[test]
fn a_disk_that_cannot_sync_is_told_of_and_stops_nobody() {
    let test = "a_disk_that_cannot_sync";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let inject = "inject=fdatasync,fsync:error=EIO";
    let strace =
        ["-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync,fsync", "-e", inject];
    let command = recording_to(&path, &["--sync", "10ms"]);
    let Some(command) = by_way_of(test, "strace", &strace, &command) else { return };
    let mut relay = Relay::run(command);
    let (producer, reader) = (relay.produce(), relay.read());
    let stream = pattern(300_000);
    pass(&producer, &reader, &stream[..100_000]);
    eventually(
        || {
            // It looks at how syncing went when it has something to do.
            relay.errors().contains("cannot put it on the disk: Input/output error")
        },
        "the error of a disk",
    );
    pass(&producer, &reader, &stream[100_000..]);
    drop(producer);
    assert_eq!(reader.rest(), b"");
    drop(reader);
    assert_eq!(relay.wait().code(), Some(1));
    relay.said("the recording lacks its end");
    same(&std::fs::read(&path).unwrap(), &stream);
}

#[test]
fn without_descriptors_accepting_rests_and_whoever_waits_is_served_later() {
    let test = "without_descriptors";
    for flags in [&["--lag", "block"][..], &["--record", "x", "--start", "beginning"]] {
        let dir = tempfile::tempdir().unwrap();
        let mut command = relay("tcp-listen://127.0.0.1:0", flags);
        command.args(["--listen", "127.0.0.1:0", "--max-readers", "1000"]);
        let limited = by_way_of(test, "prlimit", &["--nofile=70:70"], &command);
        let Some(mut limited) = limited else { return };
        limited.current_dir(&dir);
        let mut relay = Relay::run(limited);
        let producer = relay.produce();
        let mut readers = relay.read_by(80);
        relay.said("accepting rests until a connection ends");
        producer.send(b"a film");
        // Who is in has it; who leaves makes room.
        let mut served = 0;
        while served < 80 {
            let (ready, wait): (Vec<_>, Vec<_>) =
                readers.into_iter().partition(Stream::is_readable);
            for reader in ready {
                assert_eq!(reader.receive(1), b"a");
                reader.reset();
                served += 1;
            }
            readers = wait;
            if flags[0] == "--lag" {
                producer.send(b"a");
            }
        }
        drop(producer);
        if flags[0] == "--lag" {
            // What came last waits for whoever comes next.
            relay.signal(Signal::TERM);
            relay.wait();
        } else {
            relay.is_done();
        }
    }
}

#[test]
fn what_readers_send_is_thrown_away_and_their_half_close_is_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let unix = At::Unix(dir.path().join("readers")).to_string();
    let (path, stream) = (dir.path().join("x"), pattern(2_000_000));
    let record = ["--record", path.to_str().unwrap(), "--start", "beginning"];
    for flags in [&["--lag", "block"][..], &record] {
        let mut command = relay("tcp-listen://127.0.0.1:0", flags);
        command.args(["--listen", "127.0.0.1:0", "--listen", &unix]);
        let mut relay = Relay::run(command);
        let producer = relay.produce();
        let (flooding, closing) = (relay.read_by(2), relay.read_by(2));
        closing.iter().for_each(Stream::half_close);
        if flags[0] == "--lag" {
            relay.has_joined(4);
        }
        thread::scope(|scope| {
            for reader in &flooding {
                // Taken before a byte of the stream is sent.
                reader.send(&stream);
            }
            for reader in flooding.iter().chain(&closing) {
                scope.spawn(|| {
                    let mut got = reader.receive(1_000_000);
                    got.extend(reader.rest());
                    same(&got, &stream);
                });
            }
            producer.send(&stream[..1_000_000]);
            flooding.iter().for_each(|reader| reader.send(b"more"));
            producer.send(&stream[1_000_000..]);
            drop(producer);
        });
        drop((flooding, closing));
        assert!(relay.all_ended(4).iter().all(|ended| ended.why == "done"));
        relay.is_done();
    }
}

#[test]
fn a_reader_that_resets_while_nothing_is_sent_is_noticed() {
    for (flags, half_closed) in [(["--lag", "block"], false), (["--lag", "gap"], true)] {
        let relay = Relay::start(&flags);
        let (_producer, reader) = (relay.produce(), relay.read());
        relay.has_joined(1);
        if half_closed {
            reader.half_close();
        }
        let held = relay.held();
        reader.reset();
        relay.ended_by("reset");
        eventually(|| relay.held().descriptors < held.descriptors, "a descriptor less");
    }
}
