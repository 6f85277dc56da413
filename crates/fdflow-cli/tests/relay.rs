//! `fdflow relay`: its flags, where readers begin, the files of a recording, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use support::ends::{At, Stream};
use support::relay::{Cat, Relay, relay, same};
use support::server::{eventually, refusal};
use support::{pattern, stderr};

/// More than sockets hold.
const MUCH: usize = 12 << 20;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn flags_that_do_not_go_together_are_refused_with_advice() {
    let cases: [(&str, &[&str], &str); 12] = [
        ("-", &[], "add --listen, --http or --record"),
        ("-", &["--listen", "127.0.0.1:0", "--start", "beginning"], "add --record FILE"),
        ("-", &["--listen", "127.0.0.1:0", "--rotate", "1G"], "add --record FILE"),
        ("-", &["--listen", "127.0.0.1:0", "--keep", "3"], "add --record FILE"),
        ("-", &["--listen", "127.0.0.1:0", "--sync", "1s"], "add --record FILE"),
        ("-", &["--record", "/tmp/x", "--keep", "3"], "add --rotate SIZE or --rotate DURATION"),
        ("-", &["--record", "/tmp/x", "--reconnect", "1s"], "- comes once; name an address"),
        ("fd://0", &["--record", "/tmp/x", "--reconnect", "1s"], "fd://0 comes once"),
        ("-", &["--listen", "127.0.0.1:0", "--lag", "drop"], "there are block, gap and detach"),
        ("http://x", &["--listen", "127.0.0.1:0"], "unknown kind `http://`"),
        ("tcp://x", &["--listen", "127.0.0.1:0"], "`x` is no address"),
        ("-", &["--record", "/nowhere/x"], "cannot record to /nowhere/x: "),
    ];
    for (from, flags, advice) in cases {
        let output = refusal(relay(from, flags));
        assert!(stderr(&output).contains(advice), "{flags:?}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
    }
}

#[test]
fn a_recording_that_another_process_writes_is_not_written_by_a_second_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let flags = ["--record", text(&path), "--listen", "127.0.0.1:0"];
    let first = Relay::run(relay("tcp-listen://127.0.0.1:0", &flags));
    let output = refusal(relay("tcp-listen://127.0.0.1:0", &flags));
    assert!(stderr(&output).contains("another process records to it"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(2));
    drop(first);
}

#[test]
fn readers_begin_where_start_says_in_a_recording_that_is_gone_on_with() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let stream = pattern(400_000);
    std::fs::write(&path, &stream[..100_000]).unwrap();
    let cases = [("beginning", 0), ("4096-back", 95_904), ("1G-back", 0), ("live", 100_000)];
    let mut end = 100_000;
    for (start, back) in cases {
        let mut relay = Relay::start(&["--record", text(&path), "--start", start]);
        let expected = if back == 95_904 { end - 4096 } else { back };
        let producer = relay.produce();
        let reader = relay.read();
        // Before more comes, where there is something already.
        let first = if start == "live" { 0 } else { 4096 };
        let mut got = reader.receive(first);
        producer.send(&stream[end..end + 50_000]);
        end += 50_000;
        drop(producer);
        got.extend(reader.rest());
        let ended = relay.ended_by("done");
        let began = usize::try_from(ended.start.unwrap()).unwrap();
        assert!(began == expected || start == "live" && began >= end - 50_000, "{start}: {began}");
        same(&got, &stream[began..end]);
        drop(reader);
        relay.is_done();
    }
    same(&std::fs::read(&path).unwrap(), &stream[..end]);
}

#[test]
fn what_came_within_a_time_is_where_a_reader_begins() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let mut relay = Relay::start(&["--record", text(&path), "--start", "10m-back"]);
    let (producer, bytes) = (relay.produce(), pattern(50_000));
    let first = relay.read();
    producer.send(&bytes);
    same(&first.receive(50_000), &bytes);
    // All of it came within ten minutes.
    same(&relay.read().receive(50_000), &bytes);
    drop((producer, first));
    assert!(relay.all_ended(2).iter().all(|ended| ended.start == Some(0)));
    relay.is_done();
}

#[test]
fn files_are_rotated_at_their_size_and_as_many_kept_as_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cam.ts");
    let flags = ["--record", text(&path), "--rotate", "64K", "--keep", "2", "--start", "beginning"];
    let mut relay = Relay::start(&flags);
    let (producer, bytes) = (relay.produce(), pattern(300_000));
    let reader = relay.read();
    for piece in bytes.chunks(10_000) {
        producer.send(piece);
        assert_eq!(reader.receive(piece.len()), piece);
    }
    // A file that is removed is there as long as somebody reads it.
    drop(producer);
    assert_eq!(reader.rest(), b"");
    drop(reader);
    relay.is_done();
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().collect::<Result<_, _>>().unwrap();
    names.sort_by_key(std::fs::DirEntry::file_name);
    let names: Vec<_> = names.iter().map(std::fs::DirEntry::file_name).collect();
    assert_eq!(names, ["cam.000004.ts", "cam.000004.ts.index", "cam.ts", "cam.ts.index"]);
    let mut kept = std::fs::read(dir.path().join("cam.000004.ts")).unwrap();
    assert_eq!(kept.len(), 64 << 10);
    kept.extend(std::fs::read(&path).unwrap());
    same(&kept, &bytes[3 * (64 << 10)..]);
}

/// With and without a recording; the latter waits for readers. All of them begin with byte 0.
fn both_ways(flags: &[&str], test: impl Fn(&mut Relay, Option<&Path>)) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let record = ["--record", text(&path), "--start", "beginning"];
    test(&mut Relay::start(&[flags, &record].concat()), Some(&path));
    // Sockets that do not hold much.
    let from = format!("unix-listen://{}", dir.path().join("from").display());
    let listen = At::Unix(dir.path().join("listen")).to_string();
    let block = ["--lag", "block", "--listen", &listen];
    test(&mut Relay::run(relay(&from, &[flags, &block].concat())), None);
}

/// A reader that is stopped, and a stream that is ended by a signal once the relay has more of it than
/// that reader's socket takes. It returns when nobody is accepted any more.
fn end_with_a_stopped_reader(relay: &Relay, recording: Option<&Path>, stream: &[u8]) -> Cat {
    let producer = relay.produce();
    let reader = relay.read();
    begin(&producer, std::slice::from_ref(&reader), &stream[..1000]);
    let stopped = Cat::new(reader);
    stopped.stop();
    match recording {
        Some(path) => {
            producer.send(&stream[1000..]);
            let much = stream.len() as u64;
            eventually(|| path.metadata().unwrap().len() == much, "a recording");
        }
        None => drop(relay.fill(&producer, &stream[1000..])),
    }
    let before = relay.held().descriptors;
    relay.signal(Signal::TERM);
    eventually(|| relay.held().descriptors < before, "no more readers");
    stopped
}

/// A first piece of the stream, which every reader has got.
fn begin(producer: &Stream, readers: &[Stream], piece: &[u8]) {
    producer.send(&piece[..1]);
    // Under `block` the first reader may come before the others.
    for reader in readers {
        assert_eq!(reader.receive(1), piece[..1]);
    }
    producer.send(&piece[1..]);
    for reader in readers {
        same(&reader.receive(piece.len() - 1), &piece[1..]);
    }
}

#[test]
fn a_signal_ends_the_stream_and_readers_get_what_there_is() {
    both_ways(&[], |relay, _| {
        let (producer, stream) = (relay.produce(), pattern(MUCH));
        let reader = relay.read();
        begin(&producer, std::slice::from_ref(&reader), &stream[..1000]);
        let mut got = stream[..1000].to_vec();
        thread::scope(|scope| {
            // Until nobody reads it any more.
            scope.spawn(|| producer.try_send(&stream[1000..]).is_ok());
            got.extend(reader.receive(100_000));
            relay.signal(Signal::TERM);
            got.extend(reader.rest());
        });
        same(&got, &stream[..got.len()]);
        assert_eq!(relay.ended_by("done").bytes, got.len() as u64);
        drop(reader);
        relay.is_done();
    });
}

#[test]
fn a_signal_ends_one_that_waits_for_readers_and_producers_at_once() {
    let flags = ["--reconnect", "10ms", "--lag", "block", "--linger", "10m"];
    let mut idle = Relay::start(&flags);
    idle.signal(Signal::TERM);
    idle.is_done();
    let mut left = Relay::start(&flags);
    let (producer, reader) = (left.produce(), left.read());
    begin(&producer, std::slice::from_ref(&reader), b"some");
    drop(reader);
    // Nobody gets this any more.
    producer.send(&pattern(1000));
    left.signal(Signal::TERM);
    left.wait();
    assert!(!left.errors().contains("readers cut"), "{}", left.errors());
}

#[test]
fn a_second_signal_cuts_readers_that_are_still_there() {
    both_ways(&[], |relay, path| {
        let stream = pattern(MUCH);
        let stopped = end_with_a_stopped_reader(relay, path, &stream);
        relay.signal(Signal::TERM);
        assert_eq!(relay.wait().code(), Some(1), "{}", relay.errors());
        relay.said("readers cut: 1");
        relay.ended_by("drained");
        let got = stopped.rest();
        same(&got, &stream[1000..1000 + got.len()]);
    });
}

#[test]
fn a_reader_that_takes_nothing_after_the_end_is_let_go() {
    both_ways(&["--linger", "200ms"], |relay, path| {
        let stream = pattern(MUCH);
        let stopped = end_with_a_stopped_reader(relay, path, &stream);
        let ended = relay.ended_by("stalled");
        relay.is_done();
        let got = stopped.rest();
        assert_eq!(ended.bytes, 1000 + got.len() as u64);
        same(&got, &stream[1000..1000 + got.len()]);
    });
}

/// It takes a little all the time, and all of it takes longer than anybody may take nothing.
#[test]
fn a_reader_that_is_slow_after_the_end_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    // A socket that does not hold much.
    let listen = At::Unix(dir.path().join("listen")).to_string();
    let record = ["--record", text(&path), "--start", "beginning", "--linger", "2s"];
    let flags = [&record[..], &["--listen", &listen]].concat();
    let mut relay = Relay::run(relay("tcp-listen://127.0.0.1:0", &flags));
    let (producer, stream) = (relay.produce(), pattern(MUCH));
    let reader = relay.read();
    begin(&producer, std::slice::from_ref(&reader), &stream[..1000]);
    producer.send(&stream[1000..]);
    drop(producer);
    let mut got = Vec::new();
    for _ in 0..40 {
        got.extend(reader.receive(200_000));
        thread::sleep(Duration::from_millis(100));
    }
    got.extend(reader.rest());
    same(&got, &stream[1000..]);
    drop(reader);
    assert_eq!(relay.ended().why, "done");
    relay.is_done();
}

#[test]
fn a_reader_that_takes_nothing_when_no_more_producers_are_to_come_is_let_go() {
    both_ways(&["--linger", "200ms", "--reconnect", "10ms"], |relay, path| {
        let stream = pattern(MUCH);
        let stopped = end_with_a_stopped_reader(relay, path, &stream);
        relay.ended_by("stalled");
        // Without a recording there may have been more than could be given, which is an error.
        relay.wait();
        let got = stopped.rest();
        same(&got, &stream[1000..1000 + got.len()]);
    });
}

#[test]
fn a_reader_that_nobody_waits_for_is_let_go_in_the_same_way() {
    let dir = tempfile::tempdir().unwrap();
    let listen = At::Unix(dir.path().join("socket")).to_string();
    // More than a Unix socket holds, and less than its pipe does.
    let stream = pattern(700_000);
    for lag in ["gap", "detach"] {
        let flags = ["--lag", lag, "--linger", "200ms", "--listen", &listen];
        let mut relay = Relay::run(relay("tcp-listen://127.0.0.1:0", &flags));
        let (producer, stopped) = (relay.produce(), relay.read());
        relay.has_joined(1);
        producer.send(&stream);
        drop(producer);
        let ended = relay.ended_by("stalled");
        assert_eq!((ended.start, ended.missed), (Some(0), 0));
        relay.is_done();
        let (got, _) = stopped.rest_and_end();
        assert_eq!(ended.bytes, got.len() as u64);
        same(&got, &stream[..got.len()]);
    }
}

#[test]
fn sockets_of_a_service_manager_are_where_readers_come() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = At::Tcp(listener.local_addr().unwrap());
    let inner = relay("tcp-listen://127.0.0.1:0", &["--lag", "block"]);
    let mut command = Command::new("sh");
    command.args(["-c", "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let mut relay = Relay::run_with(command, 2, OwnedFd::from(listener).into());
    assert_eq!(relay.readers, [at]);
    let (producer, reader) = (relay.produce(), relay.read());
    relay.has_joined(1);
    producer.send(b"a film");
    drop(producer);
    assert_eq!(reader.rest(), b"a film");
    drop(reader);
    relay.is_done();
}
