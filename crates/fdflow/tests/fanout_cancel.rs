//! Ending a fan-out that waits, from another thread; and going on with it.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "support/fanned.rs"]
mod fanned;
mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::channel;
use std::thread::{scope, spawn, yield_now};
use std::time::Duration;

use fanned::{fanned, refused};
use fdflow::{Cancel, Fanout, FanoutError, FanoutReport, Lag, SinkEnd, SinkReport};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::Shutdown;
use support::rig::{Catch, Sort, catch, feed, feed_in_pieces, stream, stuff};
use support::{PORTABLE, Room, denied, pattern, reading, watch, writing};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const MIB: usize = 1 << 20;
const STREAMS: [Sort; 3] = [Sort::Pipe, Sort::Tcp, Sort::Unix];

type Ran = Result<FanoutReport, FanoutError>;

/// Whether it could not be made because the environment denies its routes.
fn is_denied(ran: &Ran) -> bool {
    !denied().is_empty() && ran.as_ref().is_err_and(refused)
}

/// Runs it on another thread and cancels it when it sleeps in poll; `until`: not before this.
fn cancelled(fanout: &mut Fanout<'_, OwnedFd>, cancel: &Cancel, until: impl Fn() -> bool) -> Ran {
    scope(|scope| {
        let (hello, told) = channel();
        let run = scope.spawn(move || {
            hello.send(rustix::thread::gettid()).unwrap();
            fanout.run()
        });
        let thread = told.recv().unwrap();
        watch::until("it sleeps in poll", || {
            run.is_finished() || until() && watch::is_in(thread, &watch::POLLS)
        });
        cancel.cancel();
        run.join().unwrap()
    })
}

/// What is kept between two runs: each sink has, or will get, all but its gaps.
fn balanced(ran: Ran) -> FanoutError {
    let error = ran.expect_err("cancelled, and it says that it has finished");
    assert!(error.is_cancelled() && error.undelivered().is_empty(), "{error}");
    let report = error.report();
    assert!(report.taken >= report.relayed, "{report}");
    for SinkReport { bytes, missed, unsent, end, .. } in &report.sinks {
        let offset = bytes + missed + unsent;
        let going = matches!(end, SinkEnd::Cancelled);
        assert!(!going || (report.relayed..=report.taken).contains(&offset), "{report}");
    }
    error
}

#[test]
fn h07_a_cancel_wakes_a_fan_out_that_waits_for_a_sink_and_another_run_goes_on() {
    let _room = Room::enter();
    let bytes = pattern(9 * MIB, 40);
    for lag in [Lag::Block, Lag::DetachAfter(LONG)] {
        for (from, to) in STREAMS.into_iter().flat_map(|from| STREAMS.map(|to| (from, to))) {
            let (source, writer) = stream(from);
            let writer = writing(writer, bytes.clone());
            let (receiver, slow) = stream(to);
            let stuffed = stuff(&slow).len();
            let quick = catch(Sort::Unix);
            let quick_fd = quick.fd.try_clone().unwrap();
            let look = source.try_clone().unwrap();
            let mut fanout = Fanout::new(source).sink(slow, lag).sink(quick_fd, Lag::Block);
            let cancel = fanout.cancel_handle().unwrap();
            let mut relayed = 0;
            let mut rounds_of_nothing = 0;
            // Until nothing goes on any more: what it waits for is the sink.
            while relayed == 0 || rounds_of_nothing < 3 {
                let waits_for_sink = || !is_empty(&look) || writer.is_finished();
                let error = balanced(cancelled(&mut fanout, &cancel, waits_for_sink));
                // A stuffed TCP socket may find a little room later, when its peer has acknowledged.
                let nothing = error.report().relayed == relayed;
                rounds_of_nothing = if nothing { rounds_of_nothing + 1 } else { 0 };
                relayed = error.report().relayed;
            }
            drop(look);
            let reader = reading(File::from(receiver));
            let ran = fanout.run();
            drop(fanout);
            writer.join().unwrap();
            let (slow, quick) = (reader.join().unwrap(), quick.bytes());
            let report = ran.unwrap();
            assert!(slow[stuffed..] == bytes && quick == bytes, "{from:?} {to:?}: {report}");
            assert_eq!((report.taken, report.relayed), (bytes.len() as u64, bytes.len() as u64));
        }
    }
}

#[test]
fn a_cancel_wakes_a_fan_out_that_waits_for_its_source_whatever_the_policy_and_drops_nothing() {
    let _room = Room::enter();
    let bytes = pattern(400_000, 41);
    let lags = [Lag::Block, Lag::DetachAfter(LONG), Lag::DetachBeyond(MIB), Lag::DropBeyond(MIB)];
    // The portable backend's pipes hold no MiB, and a sink that is given one at once lags too far.
    let lags = &lags[..if PORTABLE { 2 } else { 4 }];
    for lag in lags.iter().copied() {
        for (from, to) in STREAMS.into_iter().flat_map(|from| STREAMS.map(|to| (from, to))) {
            let (source, mut writer) = stream(from);
            let (receiver, slow) = stream(to);
            let stuffed = stuff(&slow).len();
            // To be had while the first sink has nothing.
            let (mut other, quick) = std::io::pipe().unwrap();
            let mut fanout = Fanout::new(source).sink(slow, lag).sink(quick, Lag::Block);
            let cancel = fanout.cancel_handle().unwrap();
            writer.write_all(&bytes[..30_000]).unwrap();
            let mut first = vec![0; 30_000];
            let error = scope(|scope| {
                let (first, other) = (&mut first, &mut other);
                let read = scope.spawn(move || other.read_exact(first));
                let ran = cancelled(&mut fanout, &cancel, || read.is_finished());
                read.join().unwrap().unwrap();
                balanced(ran)
            });
            let slow = &error.report().sinks[0];
            assert!(matches!(slow.end, SinkEnd::Cancelled), "{error}");
            // A stuffed TCP socket may find a little room later.
            let had = slow.bytes + slow.unsent;
            assert_eq!((error.report().relayed, had, slow.missed), (30_000, 30_000, 0));
            let (reader, other) = (reading(File::from(receiver)), reading(other));
            let writer = writing(writer, bytes[30_000..].to_vec());
            let ran = fanout.run();
            drop(fanout);
            writer.join().unwrap();
            let (slow, quick) = (reader.join().unwrap(), other.join().unwrap());
            assert!(ran.is_ok(), "{lag:?} {from:?} {to:?}: {ran:?}");
            assert!(slow[stuffed..] == bytes, "{lag:?} {from:?} {to:?}: {}", slow.len());
            assert!([first, quick].concat() == bytes, "{lag:?} {from:?} {to:?}");
        }
    }
}

#[test]
fn h07_a_cancel_while_sinks_run_dry_leaves_them_their_bytes_and_another_run_gives_them() {
    let _room = Room::enter();
    // What a sink's pipe holds while nobody reads: the portable backend's are as the system has them.
    let bytes = pattern(if PORTABLE { 50_000 } else { 200_000 }, 42);
    for lag in [Lag::Block, Lag::DetachAfter(LONG), Lag::DropBeyond(MIB), Lag::DetachBeyond(MIB)] {
        for to in STREAMS {
            let source = feed(Sort::Pipe, &bytes);
            let source_fd = source.fd.try_clone().unwrap();
            let (receiver, slow) = stream(to);
            let stuffed = stuff(&slow).len();
            let quick = catch(Sort::Tcp);
            let quick_fd = quick.fd.try_clone().unwrap();
            let fanout = Fanout::new(source_fd).sink(slow, lag).sink(quick_fd, Lag::Block);
            let mut fanout = fanout.linger(LONG);
            let cancel = fanout.cancel_handle().unwrap();
            for _ in 0..3 {
                // The end is seen when all of the source has been relayed.
                let error = balanced(cancelled(&mut fanout, &cancel, || is_empty(&source.fd)));
                assert!(matches!(error.report().sinks[0].end, SinkEnd::Cancelled), "{error}");
            }
            let reader = reading(File::from(receiver));
            let ran = fanout.run();
            drop(fanout);
            let (slow, quick, rest) = (reader.join().unwrap(), quick.bytes(), source.rest());
            let report = ran.unwrap();
            assert!(slow[stuffed..] == bytes && quick == bytes && rest.is_empty(), "{report}");
            assert!(report.sinks.iter().all(|sink| matches!(sink.end, SinkEnd::Complete)));
        }
    }
}

fn is_empty(stream: &OwnedFd) -> bool {
    rustix::io::ioctl_fionread(stream).unwrap() == 0
}

#[test]
fn h07_cancelled_at_any_time_again_and_again_every_sink_gets_every_byte() {
    let _room = Room::enter();
    let bytes = pattern(3 * MIB, 43);
    for from in Sort::ALL {
        let source = feed_in_pieces(from, &bytes, &[1, 7, 90_000, 3, 1400, 65_537, 2]);
        let sinks = Sort::ALL.map(catch);
        let mut fanout = Fanout::new(&source.fd);
        for (at, sink) in sinks.iter().enumerate() {
            let lag = [Lag::Block, Lag::DetachAfter(LONG)][at % 2];
            fanout = fanout.sink(sink.fd.try_clone().unwrap(), lag);
        }
        let cancel = fanout.cancel_handle().unwrap();
        let ran = scope(|scope| {
            let ringing = scope.spawn(move || {
                for pause in 0..100 {
                    (0..pause * 3).for_each(|_| yield_now());
                    cancel.cancel();
                }
            });
            loop {
                match fanout.run() {
                    Err(error) if error.is_cancelled() => drop(balanced(Err(error))),
                    ran => {
                        ringing.join().unwrap();
                        break ran;
                    }
                }
            }
        });
        drop(fanout);
        let got = sinks.map(Catch::bytes);
        let rest = source.rest();
        if is_denied(&ran) {
            continue;
        }
        let report = ran.unwrap();
        assert!(got.iter().all(|got| got == &bytes) && rest.is_empty(), "{from:?}: {report}");
        assert_eq!((report.taken, report.relayed), (bytes.len() as u64, bytes.len() as u64));
    }
}

#[test]
fn h07_what_a_cancelled_fan_out_holds_is_handed_out_by_its_parts() {
    let _room = Room::enter();
    let bytes = pattern(9 * MIB, 44);
    for to in STREAMS {
        let (source, writer) = stream(Sort::Tcp);
        let writer = writing(writer, bytes.clone());
        let (receiver, slow) = stream(to);
        let stuffed = stuff(&slow).len();
        let quick = catch(Sort::Pipe);
        let quick_fd = quick.fd.try_clone().unwrap();
        let mut fanout = Fanout::new(source).sink(slow, Lag::Block).sink(quick_fd, Lag::Block);
        let cancel = fanout.cancel_handle().unwrap();
        let report = balanced(cancelled(&mut fanout, &cancel, || true));
        let parts = fanout.into_parts();
        // None left where all of it was on its way.
        let rest = parts.source.map(|source| reading(File::from(source)).join().unwrap());
        let rest = rest.unwrap_or_default();
        writer.join().unwrap();
        let (reader, mut received) = (reading(File::from(receiver)), Vec::new());
        for (at, sink) in parts.sinks.into_iter().enumerate() {
            let sink = sink.unwrap();
            assert_eq!(sink.undelivered.len() as u64, report.report().sinks[at].unsent);
            drop(sink.sink);
            let behind = usize::try_from(sink.in_advance).unwrap();
            received.push([&sink.undelivered, &parts.undelivered[behind..], &rest].concat());
        }
        let (slow, quick) = (reader.join().unwrap(), quick.bytes());
        assert!([&slow[stuffed..], &received[0]].concat() == bytes, "{to:?}");
        assert!([quick, received.swap_remove(1)].concat() == bytes, "{to:?}");
    }
}

#[test]
fn a_cancel_before_the_run_ends_it_before_the_first_byte_and_only_once() {
    let _room = Room::enter();
    let (source, sink) = (feed(Sort::Unix, b"bytes"), catch(Sort::Pipe));
    let mut fanout = Fanout::new(&source.fd).sink(sink.fd.try_clone().unwrap(), Lag::Block);
    let cancel = fanout.cancel_handle().unwrap();
    cancel.cancel();
    cancel.cancel();
    let error = balanced(fanout.run());
    assert_eq!(error.report().relayed, 0);
    let report = fanout.run().unwrap();
    let again = fanout.run().unwrap_err();
    drop(fanout);
    assert!(sink.bytes() == b"bytes" && source.rest().is_empty(), "{report}");
    assert_eq!((again.kind(), again.is_cancelled()), (ErrorKind::InvalidInput, false));
}

/// Whether the far end of this stream is closed.
fn is_hung_up(fd: &impl AsFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::empty())];
    rustix::event::poll(&mut fds, Some(&Timespec::default())).unwrap();
    fds[0].revents().contains(PollFlags::HUP)
}

#[test]
fn a_sink_that_has_failed_or_was_detached_stays_so_and_one_that_comes_later_misses_the_beginning() {
    let _room = Room::enter();
    let (source, mut writer) = stream(Sort::Unix);
    let (mut reader, sink) = std::io::pipe().unwrap();
    // Its far end reads no more, and lives to see it closed.
    let (deaf, broken) = stream(Sort::Unix);
    rustix::net::shutdown(&deaf, Shutdown::Read).unwrap();
    let (stopped_reader, stopped) = stream(Sort::Tcp);
    let stuffed = stuff(&stopped).len();
    let mut fanout = Fanout::new(source)
        .sink(sink, Lag::Block)
        .sink(broken, Lag::Block)
        .sink(stopped, Lag::DetachBeyond(0));
    let cancel = fanout.cancel_handle().unwrap();
    writer.write_all(b"first").unwrap();
    let mut first = [0; 5];
    let report = scope(|scope| {
        let (first, reader) = (&mut first, &mut reader);
        let read = scope.spawn(move || reader.read_exact(first));
        let ran = cancelled(&mut fanout, &cancel, || read.is_finished() && is_hung_up(&deaf));
        read.join().unwrap().unwrap();
        balanced(ran)
    });
    let ends = |report: &FanoutReport| {
        let [_, broken, stopped, ..] = &report.sinks[..] else { panic!("{report}") };
        assert!(matches!(&broken.end, SinkEnd::Failed(e) if e.kind() == ErrorKind::BrokenPipe));
        assert!(matches!(stopped.end, SinkEnd::TooFarBehind), "{report}");
        assert_eq!((broken.bytes, broken.unsent, stopped.bytes), (0, 5, 0), "{report}");
    };
    ends(report.report());
    // A detached sink that is owned is closed by then.
    assert_eq!(reading(File::from(stopped_reader)).join().unwrap().len(), stuffed);
    let (late_reader, late) = std::io::pipe().unwrap();
    let writing = spawn(move || writer.write_all(b" second").unwrap());
    let report = fanned(fanout.sink(late, Lag::Block)).unwrap();
    writing.join().unwrap();
    ends(&report);
    assert_eq!(std::io::read_to_string(reader).unwrap(), " second");
    assert_eq!(std::io::read_to_string(late_reader).unwrap(), " second");
    let late = &report.sinks[3];
    let gaps: Vec<_> = late.gaps.iter().map(|gap| (gap.at, gap.bytes)).collect();
    assert_eq!((late.bytes, late.missed, &gaps[..]), (7, 5, &[(0, 5)][..]));
}
