//! Sinks that lag behind the others: waited for, detached or left out, exactly as they were to be.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "support/fanned.rs"]
mod fanned;
mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::thread::spawn;
use std::time::Duration;

use fanned::fanned;
use fdflow::{Fanout, Lag, SinkEnd, SinkReport};
use support::rig::{Sort, catch, feed, stream, stuff};
use support::{PORTABLE, Room, pattern, reading};

const MIB: usize = 1 << 20;
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(20);

/// What a sink must hold: the source's bytes without its gaps.
fn but_for_gaps(bytes: &[u8], sink: &SinkReport) -> Vec<u8> {
    let (mut expected, mut at) = (Vec::new(), 0);
    for gap in &sink.gaps {
        let (from, to) = (usize::try_from(gap.at).unwrap(), usize::try_from(gap.bytes).unwrap());
        expected.extend_from_slice(&bytes[at..from]);
        at = from + to;
    }
    expected.extend_from_slice(&bytes[at..]);
    expected.truncate(usize::try_from(sink.bytes).unwrap());
    assert_eq!(sink.gaps.iter().map(|gap| gap.bytes).sum::<u64>(), sink.missed);
    expected
}

#[test]
fn an_owned_sink_is_closed_when_it_has_everything_though_another_has_not() {
    let _room = Room::enter();
    // Fits into a pipe of any size.
    let bytes = pattern(30_000, 4);
    let (slow_reader, slow) = stream(Sort::Tcp);
    let stuffing = stuff(&slow);
    let (reader, quick) = stream(Sort::Unix);
    let source = feed(Sort::Pipe, &bytes);
    let fanning = spawn(move || {
        let fanout = Fanout::new(&source.fd).sink(slow, Lag::Block).sink(quick, Lag::Block);
        let report = fanned(fanout).is_some();
        drop(source.rest());
        report
    });
    // Ends while the slow one has nothing yet.
    let quick = reading(File::from(reader)).join().unwrap();
    let slow = reading(File::from(slow_reader)).join().unwrap();
    if fanning.join().unwrap() {
        assert!(quick == bytes && slow == [&stuffing[..], &bytes[..]].concat());
    }
}

#[test]
fn a_blocked_sink_holds_the_source_back_and_misses_nothing() {
    let _room = Room::enter();
    let bytes = pattern(8 * MIB, 5);
    let (slow_reader, slow) = stream(Sort::Tcp);
    let (source, mut far) = stream(Sort::Pipe);
    let quick = catch(Sort::File);
    let quick_fd = quick.fd.try_clone().unwrap();
    let fanning = spawn(move || {
        let fanout = Fanout::new(source).sink(slow, Lag::Block).sink(quick_fd, Lag::Block);
        fanned(fanout)
    });
    // The slow one is not read until the source can take no more.
    support::rig::nonblocking(&far, true);
    let mut rest = &bytes[..];
    let mut idle = 0;
    while idle < 10_000 && !rest.is_empty() && !fanning.is_finished() {
        match far.write(rest) {
            Ok(n) => (rest, idle) = (&rest[n..], 0),
            Err(_) => idle += 1,
        }
        std::thread::yield_now();
    }
    support::rig::nonblocking(&far, false);
    let reader = reading(File::from(slow_reader));
    let written = far.write_all(rest);
    drop(far);
    let (slow, report) = (reader.join().unwrap(), fanning.join().unwrap());
    let quick = quick.bytes();
    if let Some(report) = report {
        written.unwrap();
        assert!(slow == bytes && quick == bytes, "{report}");
    }
}

#[test]
fn a_sink_that_stops_is_detached_after_its_time_and_the_others_get_everything() {
    let _room = Room::enter();
    let bytes = pattern(12 * MIB, 6);
    for sort in [Sort::Pipe, Sort::Tcp, Sort::Unix] {
        let (stopped_reader, stopped) = stream(sort);
        // From a pipe: pieces of a page each. Those of a socket can be so large that the pipe of a
        // sink holds many times its capacity, and nobody is held up.
        let (source, quick) = (feed(Sort::Pipe, &bytes), catch(Sort::Unix));
        let fanout = Fanout::new(&source.fd)
            .sink(stopped, Lag::DetachAfter(SHORT))
            .sink(&quick.fd, Lag::Block);
        let report = fanned(fanout);
        let (quick, rest) = (quick.bytes(), source.rest());
        let stopped = reading(File::from(stopped_reader)).join().unwrap();
        let Some(report) = report else { continue };
        assert!(quick == bytes && rest.is_empty(), "{sort:?}: {report}");
        let slow = &report.sinks[0];
        assert!(matches!(slow.end, SinkEnd::TooSlow), "{report}");
        assert_eq!(stopped.len() as u64, slow.bytes);
        assert!(stopped == bytes[..stopped.len()] && slow.unsent > 0 && slow.missed == 0);
    }
}

#[test]
fn a_sink_too_many_bytes_behind_is_detached_and_nobody_waits_for_it() {
    let _room = Room::enter();
    let bytes = pattern(4 * MIB, 7);
    for most in [0, 1, 10_000, 100_000] {
        let (stopped_reader, stopped) = stream(Sort::Unix);
        let stuffing = stuff(&stopped);
        let (source, quick) = (feed(Sort::Pipe, &bytes), catch(Sort::File));
        let fanout = Fanout::new(&source.fd)
            .sink(stopped, Lag::DetachBeyond(most))
            .sink(&quick.fd, Lag::Block);
        let report = fanned(fanout);
        let (quick, rest) = (quick.bytes(), source.rest());
        let stopped = reading(File::from(stopped_reader)).join().unwrap();
        let Some(report) = report else { continue };
        assert!(quick == bytes && rest.is_empty(), "{report}");
        let slow = &report.sinks[0];
        assert!(matches!(slow.end, SinkEnd::TooFarBehind), "{report}");
        // Where its pipe could be made large enough; else it was full before.
        assert!(slow.unsent == most as u64 || PORTABLE && slow.unsent < most as u64, "{report}");
        assert_eq!((slow.bytes, slow.missed), (0, 0), "{report}");
        assert!(stopped == stuffing);
    }
}

#[test]
fn the_gaps_of_a_sink_that_drops_are_exact() {
    let _room = Room::enter();
    let bytes = pattern(6 * MIB, 8);
    for most in [0, 1, 4096, 100_000, 700_000] {
        let (slow_reader, slow) = stream(Sort::Unix);
        let (source, quick) = (feed(Sort::Tcp, &bytes), catch(Sort::File));
        let mut slow_reader = File::from(slow_reader);
        // Reads a little, now and then: gaps of every size, and a tail.
        let reading = spawn(move || {
            let (mut got, mut block) = (Vec::new(), vec![0; 3000]);
            loop {
                for _ in 0..got.len() % 7 {
                    std::thread::yield_now();
                }
                match slow_reader.read(&mut block).unwrap() {
                    0 => return got,
                    n => got.extend_from_slice(&block[..n]),
                }
            }
        });
        let fanout = Fanout::new(&source.fd)
            .sink(slow, Lag::DropBeyond(most))
            .sink(&quick.fd, Lag::Block)
            .linger(LONG);
        let report = fanned(fanout);
        let (quick, rest, got) = (quick.bytes(), source.rest(), reading.join().unwrap());
        let Some(report) = report else { continue };
        assert!(quick == bytes && rest.is_empty(), "{report}");
        let slow = &report.sinks[0];
        assert!(matches!(slow.end, SinkEnd::Complete), "{report}");
        assert_eq!(slow.bytes + slow.missed, bytes.len() as u64, "{report}");
        if slow.gaps.len() < 1024 {
            assert!(got == but_for_gaps(&bytes, slow), "{most}: {report}");
        }
        assert!(most > 0 || slow.bytes == 0);
    }
}

#[test]
fn a_sink_that_drops_and_never_reads_again_is_left_behind_at_the_end() {
    let _room = Room::enter();
    let bytes = pattern(5 * MIB, 9);
    let (stopped_reader, stopped) = stream(Sort::Tcp);
    let (source, quick) = (feed(Sort::Unix, &bytes), catch(Sort::Tcp));
    let fanout = Fanout::new(&source.fd)
        .sink(stopped, Lag::DropBeyond(200_000))
        .sink(&quick.fd, Lag::Block)
        .linger(SHORT);
    let report = fanned(fanout);
    let (quick, rest) = (quick.bytes(), source.rest());
    let got = reading(File::from(stopped_reader)).join().unwrap();
    let Some(report) = report else { return };
    let slow = &report.sinks[0];
    assert!(quick == bytes && rest.is_empty(), "{report}");
    assert!(slow.unsent <= 200_000, "{report}");
    assert_eq!(slow.bytes + slow.unsent + slow.missed, bytes.len() as u64, "{report}");
    assert!(got == but_for_gaps(&bytes, slow), "{report}");
}
