//! Ending a transfer that waits: by a handle, by an idle timeout; and going on with it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread::{scope, spawn};
use std::time::Duration;

use fdflow::{Cancel, Report, Route, Routes, Side, Transfer, TransferError};

use support::rig::{self, Sort, catch, feed};
use support::{PORTABLE, Room, pattern, reading, watch};

const STREAMS: [Sort; 3] = [Sort::Pipe, Sort::Tcp, Sort::Unix];

fn route_sets() -> Vec<Routes> {
    let splice = (!PORTABLE).then_some(Routes::only(Route::Splice));
    [Routes::all(), Routes::only(Route::ReadWrite)].into_iter().chain(splice).collect()
}

fn pairs() -> impl Iterator<Item = (Sort, Sort, Routes)> {
    let pairs = STREAMS.into_iter().flat_map(|from| STREAMS.map(|to| (from, to)));
    pairs.flat_map(|(from, to)| route_sets().into_iter().map(move |set| (from, to, set)))
}

/// Runs the transfer on another thread; cancels it when it sleeps in poll.
fn cancelled(transfer: &mut Transfer<OwnedFd, File>, cancel: &Cancel) -> TransferError {
    scope(|scope| {
        let (hello, told) = channel();
        let run = scope.spawn(move || {
            hello.send(rustix::thread::gettid()).unwrap();
            transfer.run()
        });
        watch::until_it_polls(told.recv().unwrap());
        cancel.cancel();
        run.join().unwrap().expect_err("cancelled, and it says that it has finished")
    })
}

#[test]
fn a_cancel_wakes_a_blocking_source_that_is_dry_and_another_run_goes_on() {
    let _room = Room::enter();
    let bytes = pattern(500_000, 30);
    for (from, to, routes) in pairs() {
        let (source, mut writer) = rig::stream(from);
        let (receiver, sink) = rig::stream(to);
        let reader = reading(File::from(receiver));
        writer.write_all(&bytes[..1000]).unwrap();
        let mut transfer = Transfer::new(source, sink).routes(routes);
        let cancel = transfer.cancel_handle().unwrap();
        let error = cancelled(&mut transfer, &cancel);
        let told = (error.is_cancelled(), error.side(), error.report().bytes(), error.staged());
        assert_eq!(told, (true, None, 1000, 0), "{from:?} -> {to:?} {routes:?}");
        let (more, rest) = (writer, bytes[1000..].to_vec());
        let writer = support::writing(more, rest);
        assert_eq!(transfer.run().unwrap().bytes(), 500_000);
        writer.join().unwrap();
        drop(transfer);
        assert!(reader.join().unwrap() == bytes, "{from:?} -> {to:?} {routes:?}");
    }
}

#[test]
fn h07_a_cancel_wakes_a_blocking_sink_that_is_full_and_nothing_is_lost() {
    let _room = Room::enter();
    let bytes = pattern(9_000_000, 31);
    for (from, to, routes) in pairs() {
        let (source, writer) = rig::stream(from);
        let writer = support::writing(writer, bytes.clone());
        let (receiver, sink) = rig::stream(to);
        let stuffed = rig::stuff(&sink).len();
        let mut transfer = Transfer::new(source, sink).routes(routes);
        let cancel = transfer.cancel_handle().unwrap();
        for _ in 0..3 {
            let error = cancelled(&mut transfer, &cancel);
            assert!(error.is_cancelled() && error.report().bytes() == transfer.ledger().given());
        }
        let reader = reading(File::from(receiver));
        assert_eq!(transfer.run().unwrap().bytes(), 9_000_000, "{from:?} -> {to:?}");
        drop(transfer);
        writer.join().unwrap();
        assert!(reader.join().unwrap()[stuffed..] == bytes, "{from:?} -> {to:?} {routes:?}");
    }
}

#[test]
fn a_file_into_a_full_socket_is_cancelled_and_gone_on_with() {
    let _room = Room::enter();
    let bytes = pattern(9_000_000, 32);
    for to in STREAMS {
        for routes in route_sets() {
            let (receiver, sink) = rig::stream(to);
            let source = OwnedFd::from(support::file_of(&bytes));
            let mut transfer = Transfer::new(source, sink).routes(routes);
            let cancel = transfer.cancel_handle().unwrap();
            assert!(cancelled(&mut transfer, &cancel).is_cancelled());
            let reader = reading(File::from(receiver));
            assert_eq!(transfer.run().unwrap().bytes(), 9_000_000);
            drop(transfer);
            assert!(reader.join().unwrap() == bytes, "to {to:?} {routes:?}");
        }
    }
}

#[test]
fn a_cancel_before_the_run_ends_it_before_the_first_byte_and_only_once() {
    let _room = Room::enter();
    let sink = catch(Sort::File);
    let transfer = Transfer::new(support::file_of(b"0123456789"), &sink.fd);
    let mut transfer = transfer.routes(Routes::all());
    let cancel = transfer.cancel_handle().unwrap();
    let same = transfer.cancel_handle().unwrap();
    cancel.cancel();
    same.cancel();
    let error = transfer.run().unwrap_err();
    assert!(error.is_cancelled() && error.report().bytes() == 0);
    assert_eq!(transfer.run().unwrap().bytes(), 10);
    drop(transfer);
    assert_eq!(sink.bytes(), b"0123456789");
}

/// Every step that gives bytes is followed by a cancel, and by another run.
#[test]
fn h07_a_cancel_after_every_step_loses_nothing() {
    let _room = Room::enter();
    let bytes = pattern(3_000_000, 33);
    for (from, to, routes) in pairs() {
        let (source, sink) = (feed(from, &bytes), catch(to));
        let mut transfer = Transfer::new(&source.fd, &sink.fd).routes(routes).chunk(30_000);
        let cancel = transfer.cancel_handle().unwrap();
        let mut transfer = transfer.observe(move |_| cancel.cancel());
        let mut given = 0;
        while let Err(error) = transfer.run() {
            assert!(error.is_cancelled() && error.report().bytes() > given, "{error}");
            given = error.report().bytes();
        }
        drop(transfer);
        assert_eq!((given, source.rest().len()), (3_000_000, 0));
        assert!(sink.bytes() == bytes, "{from:?} -> {to:?} {routes:?}");
    }
}

fn timed_out(result: Result<Report, TransferError>) -> (Option<Side>, u64) {
    let error = result.expect_err("nothing moved, and it says that it has finished");
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    (error.side(), error.report().bytes())
}

#[test]
fn an_idle_timeout_names_the_end_that_was_idle_and_another_run_goes_on() {
    let _room = Room::enter();
    let bytes = pattern(9_000_000, 34);
    let idle = Duration::from_millis(20);
    for (from, to, routes) in pairs() {
        let (source, mut writer) = rig::stream(from);
        let (receiver, sink) = rig::stream(to);
        let transfer = Transfer::new(source, sink).routes(routes);
        let mut transfer = transfer.idle_timeout(idle);
        assert_eq!(timed_out(transfer.run()), (Some(Side::Source), 0), "{from:?} -> {to:?}");
        writer.write_all(&bytes[..1000]).unwrap();
        assert_eq!(timed_out(transfer.run()), (Some(Side::Source), 1000), "{from:?} -> {to:?}");
        let writer = support::writing(writer, bytes[1000..].to_vec());
        // The writer may be late now and then.
        let mut named = (0..100).map(|_| timed_out(transfer.run()).0);
        assert!(named.any(|side| side == Some(Side::Sink)), "{from:?} -> {to:?}");
        let reader = reading(File::from(receiver));
        transfer = transfer.idle_timeout(Duration::from_secs(60));
        assert_eq!(transfer.run().unwrap().bytes(), 9_000_000);
        drop(transfer);
        writer.join().unwrap();
        assert!(reader.join().unwrap() == bytes, "{from:?} -> {to:?} {routes:?}");
    }
}

/// Bytes that the kernel moves count as activity: a flow that always moves is never idle, however
/// long it takes.
#[test]
fn h27_moved_bytes_put_the_idle_timeout_off() {
    let _room = Room::enter();
    let idle = Duration::from_millis(400);
    for routes in route_sets() {
        let (source, mut writer) = rig::stream(Sort::Tcp);
        let (receiver, sink) = rig::stream(Sort::Unix);
        let mut receiver = File::from(receiver);
        let transfer = Transfer::new(source, sink).routes(routes);
        let mut transfer = transfer.idle_timeout(idle);
        let run = spawn(move || transfer.run());
        let began = std::time::Instant::now();
        // Each byte is sent when the one before it has arrived, for longer than the timeout.
        while began.elapsed() < idle + idle / 2 {
            writer.write_all(b"x").unwrap();
            receiver.read_exact(&mut [0]).unwrap();
        }
        drop(writer);
        let report = run.join().unwrap().unwrap();
        assert!(report.bytes() > 0);
    }
}

#[test]
fn the_observer_is_told_of_every_byte_and_of_its_route() {
    let _room = Room::enter();
    let bytes = pattern(1_000_000, 35);
    for (from, to, routes) in pairs() {
        let (source, sink) = (feed(from, &bytes), catch(to));
        let told = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&told);
        let transfer = Transfer::new(&source.fd, &sink.fd).routes(routes);
        let mut transfer = transfer.observe(move |progress| notes.lock().unwrap().push(progress));
        let report = transfer.run().unwrap();
        drop(transfer);
        let told = told.lock().unwrap();
        assert!(told.is_sorted_by(|one, next| one.bytes < next.bytes));
        assert_eq!(told.last().map(|last| last.bytes), Some(1_000_000));
        for leg in report.legs() {
            assert!(told.iter().any(|progress| progress.route == leg.route), "{report}");
        }
        assert!(source.rest().is_empty() && sink.bytes() == bytes);
    }
}

#[test]
fn progress_can_be_read_by_another_thread_while_it_runs() {
    let _room = Room::enter();
    let (source, mut writer) = rig::stream(Sort::Tcp);
    let (receiver, sink) = rig::stream(Sort::Tcp);
    let mut receiver = File::from(receiver);
    let seen = Arc::new(AtomicU64::new(0));
    let shown = Arc::clone(&seen);
    let transfer = Transfer::new(source, sink).routes(Routes::all());
    let mut transfer = transfer.observe(move |now| shown.store(now.bytes, Ordering::Release));
    let run = spawn(move || transfer.run());
    writer.write_all(&[1; 777]).unwrap();
    receiver.read_exact(&mut [0; 777]).unwrap();
    watch::until("the observer has been told", || seen.load(Ordering::Acquire) == 777);
    drop(writer);
    assert_eq!(run.join().unwrap().unwrap().bytes(), 777);
}
