//! Blocking transfers between sockets: few bytes, many writes of every size, a gigabyte; what is
//! left when one ends.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::thread::scope;

use fdflow::Transfer;
use support::rig::{Sort, stream};
use support::{Room, moved, pattern};

const GIB: u64 = 1 << 30;

fn pairs() -> impl Iterator<Item = (Sort, Sort)> {
    let sockets = [Sort::Tcp, Sort::Unix];
    sockets.into_iter().flat_map(move |from| sockets.map(|to| (from, to)))
}

/// Reads until the end and compares with `block`, again and again.
fn count_repeats(mut from: File, block: &[u8]) -> u64 {
    let (mut buffer, mut seen) = (vec![0; 256 << 10], 0_u64);
    loop {
        let n = from.read(&mut buffer).unwrap();
        if n == 0 {
            return seen;
        }
        let mut got = &buffer[..n];
        while !got.is_empty() {
            let at = usize::try_from(seen % block.len() as u64).unwrap();
            let n = got.len().min(block.len() - at);
            assert!(got[..n] == block[at..at + n], "other bytes from {seen} on");
            (got, seen) = (&got[n..], seen + n as u64);
        }
    }
}

/// Writes `total` bytes in writes of `block`, through a transfer that is read to its end.
fn through(from: Sort, to: Sort, block: &[u8], total: u64) {
    let (source, mut far) = stream(from);
    let (receiver, sink) = stream(to);
    scope(|scope| {
        scope.spawn(move || {
            let mut left = total;
            while left > 0 {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
                // Where nothing can be moved, nobody reads.
                if far.write_all(&block[..n]).is_err() {
                    return;
                }
                left -= n as u64;
            }
        });
        let reading = scope.spawn(|| count_repeats(File::from(receiver), block));
        let report = moved(Transfer::new(source, sink).run());
        let arrived = reading.join().unwrap();
        if let Some(report) = report {
            assert_eq!((report.bytes(), arrived), (total, total), "{from:?} -> {to:?}: {report}");
        }
    });
}

#[test]
fn a_few_bytes_between_every_two_kinds_of_sockets() {
    let _room = Room::enter();
    for (from, to) in pairs() {
        through(from, to, &pattern(128, 70), 128);
    }
}

#[test]
fn many_writes_of_every_power_of_two_between_every_two_kinds_of_sockets() {
    let _room = Room::enter();
    for (from, to) in pairs() {
        for size in (12..=20).map(|power| 1_usize << power) {
            let writes = ((8 << 20) / size).clamp(32, 512) as u64;
            through(from, to, &pattern(size, 71), writes * size as u64);
        }
    }
}

#[test]
fn a_gibibyte_in_writes_of_5_mib_between_every_two_kinds_of_sockets() {
    let _room = Room::enter();
    let block = pattern(5 << 20, 72);
    for (from, to) in pairs() {
        through(from, to, &block, GIB);
    }
}

/// A source that has ended, or is to give nothing, leaves the sink as it was: it takes more.
fn leaves_the_sink_usable(limit: Option<u64>, from: Sort, to: Sort) {
    let (source, mut far) = stream(from);
    let (receiver, mut sink) = stream(to);
    let arrives = |sink: &mut File, receiver: &OwnedFd, bytes: &[u8]| {
        sink.write_all(bytes).unwrap();
        let mut got = vec![0; bytes.len()];
        File::from(receiver.try_clone().unwrap()).read_exact(&mut got).unwrap();
        assert_eq!(got, bytes);
    };
    arrives(&mut sink, &receiver, b"before");
    if limit.is_some() {
        far.write_all(b"not to be taken").unwrap();
    }
    drop(far);
    let mut transfer = Transfer::new(&source, &sink);
    if let Some(limit) = limit {
        transfer = transfer.limit(limit);
    }
    for _twice in 0..2 {
        let Some(report) = moved(transfer.run()) else { return };
        assert_eq!((report.bytes(), report.legs().len()), (0, 0), "{from:?} -> {to:?}: {report}");
    }
    drop(transfer);
    arrives(&mut sink, &receiver, b"after");
    let rest = std::io::read_to_string(File::from(source)).unwrap();
    assert_eq!(rest, if limit.is_some() { "not to be taken" } else { "" });
}

#[test]
fn a_source_at_its_end_or_a_limit_of_nothing_leaves_the_sink_usable() {
    let _room = Room::enter();
    let streams = [Sort::Tcp, Sort::Unix, Sort::Pipe];
    for (from, to) in streams.into_iter().flat_map(|from| streams.map(|to| (from, to))) {
        leaves_the_sink_usable(None, from, to);
        leaves_the_sink_usable(Some(0), from, to);
    }
}
