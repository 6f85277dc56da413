//! One source to several sinks: every byte to each, whatever fails.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "support/fanned.rs"]
mod fanned;
mod support;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread::{scope, spawn};
use std::time::Duration;

use fanned::{fanned, refused};
use fdflow::{Fanout, Lag, Plain, Route, SinkEnd};
use support::rig::{Catch, Sort, catch, feed, feed_in_pieces, stream};
use support::{PORTABLE, Room, confine, denied, pattern};

const MIB: usize = 1 << 20;
/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(20);

/// Whether the environment leaves a way from and to what has no descriptor.
fn copies() -> bool {
    !denied().contains(Route::ReadWrite)
}

#[test]
fn every_sort_of_sink_gets_every_byte_of_every_sort_of_source() {
    let _room = Room::enter();
    let bytes = pattern(1_500_003, 1);
    for from in Sort::ALL {
        let source = feed(from, &bytes);
        let sinks = Sort::ALL.map(catch);
        let mut memory = Plain(Vec::new());
        let mut fanout = Fanout::new(&source.fd);
        for sink in &sinks {
            fanout = fanout.sink(&sink.fd, Lag::Block);
        }
        if copies() {
            fanout = fanout.sink(&mut memory, Lag::Block);
        }
        let report = fanned(fanout);
        let got = sinks.map(Catch::bytes);
        assert!(report.is_none() || source.rest().is_empty());
        let Some(report) = report else { continue };
        assert_eq!((report.taken, report.relayed), (1_500_003, 1_500_003), "{report}");
        assert_eq!(report.refused.is_none(), !PORTABLE && !denied().contains(Route::Splice));
        for (sink, got) in report.sinks.iter().zip(&got) {
            assert!(matches!(sink.end, SinkEnd::Complete) && sink.gaps.is_empty(), "{report}");
            assert!(got == &bytes && sink.bytes == 1_500_003, "{from:?}: {report}");
        }
        assert!(!copies() || memory.0 == bytes);
    }
}

#[test]
fn one_and_forty_sinks_get_dribbles_and_bursts_in_order() {
    let _room = Room::enter();
    let bytes = pattern(600_000, 2);
    for count in [1, 2, 40] {
        let source = feed_in_pieces(Sort::Tcp, &bytes, &[1, 7, 90_000, 3, 1400, 65_537, 2]);
        let sinks = (0..count).map(|at| catch(Sort::ALL[at % 6])).collect::<Vec<_>>();
        let mut fanout = Fanout::new(&source.fd);
        for sink in &sinks {
            fanout = fanout.sink(&sink.fd, Lag::Block);
        }
        let report = fanned(fanout);
        let got = sinks.into_iter().map(Catch::bytes).collect::<Vec<_>>();
        drop(source.rest());
        assert!(report.is_none() || got.iter().all(|got| got == &bytes), "{count}");
    }
}

#[test]
fn a_limit_is_kept_to_the_byte_and_the_rest_stays_in_the_source() {
    let _room = Room::enter();
    let bytes = pattern(200_000, 3);
    for limit in [0, 1, 65_537, 200_000, 300_000] {
        let (source, sink) = (feed(Sort::Unix, &bytes), catch(Sort::Tcp));
        let fanout = Fanout::new(&source.fd).sink(&sink.fd, Lag::Block).limit(limit);
        let report = fanned(fanout);
        let (rest, got) = (source.rest(), sink.bytes());
        if report.is_some() {
            let cut = usize::try_from(limit).unwrap().min(bytes.len());
            assert!(got == bytes[..cut] && rest == bytes[cut..], "{limit}");
        }
    }
}

#[test]
fn a_sink_that_fails_is_told_and_the_others_go_on() {
    let _room = Room::enter();
    let bytes = pattern(3 * MIB, 10);
    let full = || OwnedFd::from(File::options().write(true).open("/dev/full").unwrap());
    let closed = |sort| stream(sort).1;
    for lag in [Lag::Block, Lag::DetachAfter(LONG), Lag::DetachBeyond(MIB), Lag::DropBeyond(9999)] {
        let (source, quick) = (feed(Sort::Pipe, &bytes), catch(Sort::Unix));
        let mut fanout = Fanout::new(&source.fd).sink(&quick.fd, Lag::Block).sink(full(), lag);
        for sort in [Sort::Pipe, Sort::Unix, Sort::Tcp] {
            fanout = fanout.sink(closed(sort), lag);
        }
        let report = fanned(fanout);
        let (quick, rest) = (quick.bytes(), source.rest());
        let Some(report) = report else { continue };
        assert!(quick == bytes && rest.is_empty(), "{report}");
        let kinds = report.sinks[1..].iter().map(|sink| match &sink.end {
            SinkEnd::Failed(error) => error.kind(),
            // It may be found behind before it is found failed.
            SinkEnd::TooFarBehind if matches!(lag, Lag::DetachBeyond(_)) => ErrorKind::BrokenPipe,
            end => panic!("{end}"),
        });
        for kind in kinds {
            assert!(
                matches!(
                    kind,
                    ErrorKind::StorageFull
                        | ErrorKind::BrokenPipe
                        | ErrorKind::ConnectionReset
                        | ErrorKind::Unsupported
                ),
                "{kind:?}"
            );
        }
    }
}

#[test]
fn a_peer_that_resets_midway_takes_nobody_with_it() {
    let _room = Room::enter();
    let bytes = pattern(4 * MIB, 11);
    let (mut peer, resets) = support::tcp();
    let (source, mut far) = stream(Sort::Unix);
    let quick = catch(Sort::Tcp);
    let quick_fd = quick.fd.try_clone().unwrap();
    let fanning = spawn(move || {
        fanned(Fanout::new(source).sink(resets, Lag::Block).sink(quick_fd, Lag::Block))
    });
    let half = bytes.len() / 2;
    let first = {
        let bytes = bytes[..half].to_vec();
        spawn(move || (far.write_all(&bytes), far))
    };
    let read = peer.read_exact(&mut vec![0; 100_000]);
    // With unread bytes there: a reset.
    drop(peer);
    let (written, mut far) = first.join().unwrap();
    let second = far.write_all(&bytes[half..]);
    drop(far);
    let (report, quick) = (fanning.join().unwrap(), quick.bytes());
    let Some(report) = report else { return };
    read.and(written).and(second).unwrap();
    assert!(quick == bytes, "{report}");
    assert!(matches!(report.sinks[0].end, SinkEnd::Failed(_)), "{report}");
}

#[test]
fn without_a_sink_left_the_rest_is_in_the_source_or_in_the_error() {
    let _room = Room::enter();
    let bytes = pattern(3 * MIB, 12);
    for sort in Sort::ALL {
        let source = feed(sort, &bytes);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let error = Fanout::new(&source.fd).sink(&full, Lag::Block).run().unwrap_err();
        let rest = source.rest();
        if refused(&error) {
            continue;
        }
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{error}");
        let report = error.report();
        let relayed = usize::try_from(report.relayed).unwrap();
        assert_eq!(report.taken, (relayed + error.undelivered().len()) as u64, "{sort:?}: {error}");
        let all = [&bytes[..relayed], error.undelivered(), &rest].concat();
        assert!(all == bytes, "{sort:?}: {error}");
        assert_eq!((report.sinks[0].bytes, report.sinks[0].unsent), (0, report.relayed));
    }
    let (source, mut far) = io::pipe().unwrap();
    far.write_all(b"kept").unwrap();
    drop(far);
    assert_eq!(Fanout::new(&source).run().unwrap_err().kind(), ErrorKind::BrokenPipe);
}

/// Gives some bytes, then fails.
struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let n = buffer.len().min(self.0);
        buffer[..n].fill(b'x');
        self.0 -= n;
        Ok(n)
    }
}

#[test]
fn h18_a_source_that_fails_is_an_error_and_what_came_before_went_to_all() {
    let _room = Room::enter();
    let sinks = [catch(Sort::Tcp), catch(Sort::File)];
    let fanout = Fanout::new(Plain(Failing(300_000)));
    let fanout = sinks.iter().fold(fanout, |fanout, sink| fanout.sink(&sink.fd, Lag::Block));
    let mut fanout = fanout;
    let error = fanout.run().unwrap_err();
    drop(fanout);
    let got = sinks.map(Catch::bytes);
    if error.kind() == ErrorKind::Unsupported {
        return;
    }
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    assert_eq!((error.report().relayed, error.undelivered().len()), (300_000, 0));
    assert!(got.iter().all(|got| got == &vec![b'x'; 300_000]));
}

#[test]
fn h42_a_kernel_without_tee_copies_and_says_so() {
    let _room = Room::enter();
    let bytes = pattern(2 * MIB, 13);
    for errno in [libc::ENOSYS, libc::EPERM, libc::EINVAL] {
        let source = feed(Sort::Tcp, &bytes);
        let sinks = Sort::ALL.map(catch);
        let report = confine::on_a_thread(|| {
            confine::refuse(&[libc::SYS_tee], errno);
            let fanout = Fanout::new(&source.fd);
            fanned(sinks.iter().fold(fanout, |fan, sink| fan.sink(&sink.fd, Lag::Block)))
        });
        let (rest, got) = (source.rest(), sinks.map(Catch::bytes));
        let Some(report) = report else { continue };
        assert!(rest.is_empty() && got.iter().all(|got| got == &bytes), "{report}");
        assert!(report.refused.is_some());
    }
}

#[test]
fn a_slow_start_and_a_quiet_source_keep_no_byte_waiting() {
    let _room = Room::enter();
    let (source, mut far) = stream(Sort::Tcp);
    let (mut reader, sink) = io::pipe().unwrap();
    let (other_reader, other) = stream(Sort::Unix);
    let (said, heard) = channel();
    scope(|scope| {
        scope.spawn(move || {
            let fanout = Fanout::new(source).sink(sink, Lag::DetachAfter(SHORT));
            said.send(fanned(fanout.sink(other, Lag::DropBeyond(10)))).unwrap();
        });
        let mut other_reader = File::from(other_reader);
        for word in [&b"one"[..], b"two", b"three"] {
            if far.write_all(word).is_err() {
                break;
            }
            for reader in [&mut reader as &mut dyn Read, &mut other_reader] {
                let mut got = vec![0; word.len()];
                if reader.read_exact(&mut got).is_ok() {
                    assert_eq!(got, word);
                }
            }
        }
        drop(far);
    });
    if let Some(report) = heard.recv().unwrap() {
        assert!(report.sinks.iter().all(|sink| matches!(sink.end, SinkEnd::Complete)), "{report}");
        assert!(report.sinks.iter().all(|sink| sink.bytes == 11), "{report}");
    }
}

#[test]
fn flags_of_sources_and_sinks_stay() {
    let _room = Room::enter();
    let flags = |fd: &OwnedFd| rustix::fs::fcntl_getfl(fd.as_fd()).unwrap();
    let (source, sink) = (feed(Sort::Unix, b"bytes"), catch(Sort::Pipe));
    let before = [flags(&source.fd), flags(&sink.fd)];
    let done = fanned(Fanout::new(&source.fd).sink(&sink.fd, Lag::DetachAfter(LONG)));
    assert_eq!([flags(&source.fd), flags(&sink.fd)], before);
    assert!(source.rest().is_empty() || done.is_none());
    assert!(sink.bytes() == b"bytes" || done.is_none());
}
