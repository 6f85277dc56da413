//! Pipes of the program's own: filled, drained, closed, resized.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::sync::mpsc::channel;
use std::thread::{scope, spawn};

use fdflow::{Operation, Pipe, Plain, Route};
use rustix::thread::{Pid, gettid};
use support::rig::{Sort, catch, feed, stuff};
use support::{PORTABLE, Room, all_went_by, denied, file_of, moved, pattern, reading, watch};

const PAGE: usize = 4096;

/// A pipe of one page, where it can be had.
fn narrow() -> Pipe {
    let pipe = Pipe::with_capacity(PAGE).unwrap();
    assert!(PORTABLE || pipe.capacity().unwrap() == PAGE);
    pipe
}

#[test]
fn the_capacity_that_was_got_is_told_and_comes_back_from_a_round_trip() {
    let _room = Room::enter();
    let pipe = Pipe::with_capacity(100_000).unwrap();
    if PORTABLE {
        assert_eq!(pipe.capacity().unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(pipe.set_capacity(1).unwrap_err().kind(), ErrorKind::Unsupported);
        return;
    }
    assert_eq!(pipe.capacity().unwrap(), 128 << 10);
    for bytes in [PAGE, 1 << 20, 64 << 10] {
        assert_eq!(pipe.set_capacity(bytes).unwrap(), bytes);
        assert_eq!(pipe.capacity().unwrap(), bytes);
    }
    assert_eq!(pipe.set_capacity(5000).unwrap(), 2 * PAGE);
    let (reader, writer) = pipe.split();
    assert_eq!((reader.capacity().unwrap(), writer.capacity().unwrap()), (2 * PAGE, 2 * PAGE));
    // A capacity that nobody gets is no error when a pipe is made.
    assert!(Pipe::with_capacity(usize::MAX).unwrap().capacity().unwrap() >= PAGE);
    assert_eq!(Pipe::with_capacity(0).unwrap().capacity().unwrap(), PAGE);
}

#[test]
fn a_pipe_that_holds_more_than_would_fit_keeps_its_capacity_and_its_bytes() {
    let _room = Room::enter();
    let bytes = pattern(3 * PAGE, 1);
    let mut pipe = Pipe::new().unwrap();
    pipe.writer().write_all(&bytes).unwrap();
    assert_eq!(pipe.len().unwrap(), bytes.len());
    if !PORTABLE {
        assert_eq!(pipe.set_capacity(PAGE).unwrap_err().kind(), ErrorKind::ResourceBusy);
        assert_eq!(pipe.capacity().unwrap(), 64 << 10);
    }
    let mut read = Vec::new();
    pipe.close_write().read_to_end(&mut read).unwrap();
    assert!(read == bytes);
}

#[test]
fn what_a_pipe_holds_is_told_at_either_end() {
    let _room = Room::enter();
    let mut pipe = Pipe::new().unwrap();
    assert!(pipe.is_empty().unwrap());
    pipe.writer().write_all(b"twelve bytes").unwrap();
    pipe.reader().read_exact(&mut [0; 7]).unwrap();
    let (reader, writer) = pipe.split();
    assert_eq!((reader.len().unwrap(), writer.len().unwrap()), (5, 5));
    assert!(!reader.is_empty().unwrap());
}

#[test]
fn h02_it_is_filled_and_drained_to_the_end_from_and_to_everything() {
    let _room = Room::enter();
    let bytes = pattern(700_001, 3);
    for (from, to) in Sort::ALL.into_iter().flat_map(|from| Sort::ALL.map(|to| (from, to))) {
        for pipe in [Pipe::new().unwrap(), narrow()] {
            let (source, sink) = (feed(from, &bytes), catch(to));
            let (mut reader, mut writer) = pipe.split();
            let (filled, drained) = scope(|scope| {
                // Closes the write end where nothing can be moved, too.
                let filling = scope.spawn(move || (moved(writer.fill_from(&source.fd)), source));
                let drained = moved(reader.drain_to(&sink.fd));
                drop(reader);
                (filling.join().unwrap(), drained)
            });
            let (arrived, rest) = (sink.bytes(), filled.1.rest());
            if let (Some(filled), Some(drained)) = (filled.0, drained) {
                assert!(arrived == bytes && rest.is_empty(), "{from:?} -> {to:?}");
                assert_eq!((filled.bytes(), drained.bytes()), (700_001, 700_001));
                if denied().is_empty() && to.is_file() && from.is_file() {
                    all_went_by(Route::Splice, &drained);
                    all_went_by(Route::Splice, &filled);
                }
            }
        }
    }
}

#[test]
fn what_has_no_descriptor_goes_through_user_space() {
    let _room = Room::enter();
    let bytes = pattern(400_000, 4);
    let (mut reader, mut writer) = Pipe::new().unwrap().split();
    let mut out = Plain(Vec::new());
    let (filled, drained) = scope(|scope| {
        let bytes = &bytes[..];
        let filling = scope.spawn(move || moved(writer.fill_from(Plain(bytes))));
        let drained = moved(reader.drain_to(&mut out));
        drop(reader);
        (filling.join().unwrap(), drained)
    });
    if filled.is_some() && drained.is_some() {
        assert!(out.0 == bytes);
    }
}

#[test]
fn a_limit_is_kept_to_the_byte_on_both_ways() {
    let _room = Room::enter();
    let bytes = pattern(20_000, 5);
    let mut source = file_of(&bytes);
    let mut pipe = Pipe::new().unwrap();
    let mut sink = tempfile::tempfile().unwrap();
    if moved(pipe.writer().fill_up_to(10_000, &source)).is_none() {
        return;
    }
    assert_eq!(pipe.len().unwrap(), 10_000);
    assert_eq!(pipe.reader().drain_up_to(0, &sink).unwrap().bytes(), 0);
    assert_eq!(pipe.reader().drain_up_to(6_001, &sink).unwrap().bytes(), 6_001);
    assert_eq!((pipe.len().unwrap(), source.stream_position().unwrap()), (3_999, 10_000));
    assert_eq!(pipe.close_write().drain_to(&sink).unwrap().bytes(), 3_999);
    let mut arrived = Vec::new();
    sink.rewind().unwrap();
    sink.read_to_end(&mut arrived).unwrap();
    assert!(arrived == bytes[..10_000]);
}

#[test]
fn it_is_filled_before_the_reader_comes_and_after() {
    let _room = Room::enter();
    let bytes = pattern(30_000, 6);
    let (mut reader, mut writer) = Pipe::new().unwrap().split();
    if moved(writer.fill_from(file_of(&bytes))).is_none() {
        return;
    }
    let sink = catch(Sort::Tcp);
    let (said, tid) = channel();
    let draining = {
        let fd = sink.fd.try_clone().unwrap();
        spawn(move || {
            said.send(gettid()).unwrap();
            reader.drain_to(&fd).unwrap().bytes()
        })
    };
    let tid: Pid = tid.recv().unwrap();
    watch::until("what was there is drained", || writer.is_empty().unwrap());
    watch::until("the drain sleeps", || watch::is_in(tid, &watch::WAITS));
    assert_eq!(writer.fill_from(file_of(&bytes)).unwrap().bytes(), 30_000);
    drop(writer);
    assert_eq!(draining.join().unwrap(), 60_000);
    assert!(sink.bytes() == [&bytes[..], &bytes[..]].concat());
}

#[test]
fn h25_a_fill_that_sleeps_for_its_source_keeps_nobody_from_what_the_pipe_holds() {
    let _room = Room::enter();
    for sort in [Sort::Pipe, Sort::Tcp, Sort::Unix] {
        let (source, mut far) = support::rig::stream(sort);
        let (mut reader, mut writer) = Pipe::new().unwrap().split();
        let (said, tid) = channel();
        let filling = spawn(move || {
            said.send(gettid()).unwrap();
            writer.fill_from(&source).unwrap().bytes()
        });
        let tid = tid.recv().unwrap();
        far.write_all(b"first").unwrap();
        watch::until("the first bytes are in the pipe", || reader.len().unwrap() == 5);
        watch::until("the fill sleeps", || watch::is_in(tid, &watch::WAITS));
        let mut first = [0; 5];
        reader.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"first");
        far.write_all(b"second").unwrap();
        drop(far);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!((&rest[..], filling.join().unwrap()), (&b"second"[..], 11), "{sort:?}");
    }
}

#[test]
fn h25_a_fill_that_sleeps_for_room_in_a_full_pipe_goes_on_when_it_is_read() {
    let _room = Room::enter();
    let bytes = pattern(300_000, 7);
    for sort in Sort::ALL {
        for pipe in [Pipe::new().unwrap(), narrow()] {
            let (reader, mut writer) = pipe.split();
            let stuffing = stuff(&writer);
            let source = feed(sort, &bytes);
            let (said, tid) = channel();
            let filling = spawn(move || {
                said.send(gettid()).unwrap();
                let filled = moved(writer.fill_from(&source.fd));
                drop(writer);
                (filled, source.rest())
            });
            let tid = tid.recv().unwrap();
            watch::until("the fill sleeps", || {
                filling.is_finished() || watch::is_in(tid, &watch::WAITS)
            });
            assert_eq!(reader.len().unwrap(), stuffing.len());
            let arrived = reading(reader).join().unwrap();
            let (filled, rest) = filling.join().unwrap();
            if filled.is_some() {
                assert!(arrived == [&stuffing[..], &bytes[..]].concat() && rest.is_empty());
            }
        }
    }
}

#[test]
fn a_closed_read_end_is_a_broken_pipe_and_what_was_taken_is_handed_out() {
    let _room = Room::enter();
    let bytes = pattern(50_000, 8);
    for sort in Sort::ALL {
        let source = feed(sort, &bytes);
        let mut writer = Pipe::new().unwrap().close_read();
        let error = writer.fill_from(&source.fd).unwrap_err();
        if error.kind() == ErrorKind::Unsupported {
            continue;
        }
        assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{sort:?}: {error}");
        assert_eq!(error.report().bytes(), 0);
        let all = [error.into_undelivered(), source.rest()].concat();
        assert!(all == bytes, "{sort:?}: {} of {}", all.len(), bytes.len());
    }
}

#[test]
fn h01_a_sink_that_refuses_splices_loses_nothing() {
    let _room = Room::enter();
    let bytes = pattern(200_000, 9);
    let mut sink = tempfile::tempfile().unwrap();
    support::rig::appending(&sink);
    let (mut reader, mut writer) = Pipe::new().unwrap().split();
    let writing = {
        let bytes = bytes.clone();
        spawn(move || drop(writer.write_all(&bytes)))
    };
    let drained = moved(reader.drain_to(&sink));
    drop(reader);
    writing.join().unwrap();
    if drained.is_some() {
        let mut arrived = Vec::new();
        sink.rewind().unwrap();
        sink.read_to_end(&mut arrived).unwrap();
        assert!(arrived == bytes);
    }
}

#[test]
fn a_full_disk_is_told_and_the_rest_is_in_the_pipe_or_in_the_error() {
    let _room = Room::enter();
    let bytes = pattern(40_000, 10);
    let mut pipe = Pipe::new().unwrap();
    pipe.writer().write_all(&bytes).unwrap();
    let mut reader = pipe.close_write();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = reader.drain_to(&full).unwrap_err();
    if error.kind() == ErrorKind::Unsupported {
        return;
    }
    assert_eq!((error.kind(), error.report().bytes()), (ErrorKind::StorageFull, 0));
    assert_ne!(error.operation(), Operation::Plan);
    let mut all = error.into_undelivered();
    reader.read_to_end(&mut all).unwrap();
    assert!(all == bytes);
}

#[test]
fn it_is_made_of_the_ends_of_the_standard_library_and_becomes_them() {
    let _room = Room::enter();
    let mut pipe = Pipe::from(io::pipe().unwrap());
    pipe.writer().write_all(b"there").unwrap();
    let (reader, writer): (io::PipeReader, io::PipeWriter) = pipe.into();
    drop(writer);
    assert_eq!(io::read_to_string(reader).unwrap(), "there");
}
