//! Sealed memfds as sources of transfers: routes of a snapshot, positions, many sinks at once.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::thread::scope;

use fdflow::share::{Sealed, SealedBuilder};
use fdflow::{Counted, Plain, Reason, Report, Route, Source, Stability, Transfer};
use rustix::fs::{MemfdFlags, SealFlags};

use support::rig::{Sort, catch};
use support::{PORTABLE, Room, denied, file_of, moved, pattern};

const STREAMS: [Sort; 4] = [Sort::Tcp, Sort::Tcp6, Sort::Unix, Sort::Pipe];

/// A snapshot of all that `source` gives, moved to a sink of this sort and checked.
fn snapshot(source: impl Source, bytes: &[u8], sort: Sort) -> Option<Report> {
    let sink = catch(sort);
    let moved = moved(Transfer::new(source, &sink.fd).stability(Stability::Snapshot).run());
    let caught = sink.bytes();
    let report = moved?;
    assert!(caught == bytes, "{sort:?}: {report}");
    assert_eq!(report.bytes(), bytes.len() as u64);
    Some(report)
}

/// The route by which references go to a sink of this sort.
fn by_reference(sort: Sort) -> Route {
    if sort == Sort::Pipe { Route::Splice } else { Route::Sendfile }
}

/// Whether a route was left because a snapshot was asked for.
fn passes_references(report: &Report) -> bool {
    report.refused().iter().any(|left| left.reason == Reason::PassesReferences)
}

/// A memfd with these bytes and seals, which nothing but its descriptor tells.
fn memfd(bytes: &[u8], seals: SealFlags) -> File {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("test", flags).unwrap());
    file.write_all(bytes).unwrap();
    rustix::fs::fcntl_add_seals(&file, seals).unwrap();
    file.rewind().unwrap();
    file
}

#[test]
fn a_snapshot_of_what_is_sealed_goes_by_reference_and_of_a_file_by_copy() {
    let _room = Room::enter();
    let bytes = pattern(900_001, 1);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    for sort in STREAMS {
        let route = by_reference(sort);
        if let Some(report) = snapshot(sealed.reader(), &bytes, sort)
            && !denied().contains(route)
        {
            support::all_went_by(route, &report);
            assert!(PORTABLE || !passes_references(&report), "{report}");
        }
        if let Some(report) = snapshot(file_of(&bytes), &bytes, sort) {
            support::all_went_by(Route::ReadWrite, &report);
            assert!(passes_references(&report) || !denied().is_empty(), "{report}");
        }
    }
}

#[test]
fn the_seals_of_the_descriptor_decide_and_not_the_type() {
    let _room = Room::enter();
    let bytes = pattern(300_000, 2);
    let (write, shrink) = (SealFlags::WRITE, SealFlags::SHRINK);
    for (seals, fixed) in [
        (write | shrink, true),
        (SealFlags::empty(), false),
        (write, false),
        (SealFlags::FUTURE_WRITE | shrink | SealFlags::GROW, false),
    ] {
        let Some(report) = snapshot(memfd(&bytes, seals), &bytes, Sort::Tcp) else { continue };
        let by_reference = report.bytes_by(Route::Sendfile) + report.bytes_by(Route::Splice);
        let may = !PORTABLE && !denied().contains(Route::Sendfile);
        assert!(if fixed { !may || by_reference > 0 } else { by_reference == 0 }, "{seals:?}");
    }
}

#[test]
fn many_sinks_are_sent_the_same_memory_at_once_and_its_position_is_left_alone() {
    let _room = Room::enter();
    let bytes = pattern(3_000_000, 3);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    rustix::fs::seek(&sealed, rustix::fs::SeekFrom::Start(17)).unwrap();
    scope(|scope| {
        for sort in STREAMS.into_iter().cycle().take(12) {
            let (sealed, bytes) = (&sealed, &bytes);
            scope.spawn(move || snapshot(sealed.reader(), bytes, sort));
        }
    });
    assert_eq!(rustix::fs::tell(&sealed), Ok(17));
}

#[test]
fn a_sealed_memfd_goes_into_files_and_user_space_too() {
    let _room = Room::enter();
    let bytes = pattern(500_000, 4);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    for sort in [Sort::File, Sort::Memory] {
        snapshot(sealed.reader(), &bytes, sort);
    }
    let mut out = Plain(Vec::new());
    if moved(fdflow::copy(&mut sealed.reader(), &mut out)).is_some() {
        assert!(out.0 == bytes);
    }
}

#[test]
fn an_offset_of_the_caller_goes_before_the_beginning() {
    let _room = Room::enter();
    let bytes = pattern(400_000, 5);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    for sort in STREAMS {
        let sink = catch(sort);
        let transfer = Transfer::new(sealed.reader(), &sink.fd).source_offset(1000).limit(200_000);
        let report = moved({ transfer }.run());
        let caught = sink.bytes();
        assert!(report.is_none() || caught == bytes[1000..201_000], "{sort:?}");
    }
}

#[test]
fn a_reader_goes_on_where_it_is_whoever_moves_the_bytes() {
    let _room = Room::enter();
    let bytes = pattern(700_000, 6);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    for sort in STREAMS {
        let mut reader = sealed.reader();
        let mut head = [0; 1000];
        reader.read_exact(&mut head).unwrap();
        let sink = catch(sort);
        if moved(Transfer::new(&mut reader, &sink.fd).limit(300_000).run()).is_none() {
            drop(sink.bytes());
            continue;
        }
        assert_eq!(reader.stream_position().unwrap(), 301_000);
        reader.seek(SeekFrom::Current(-1)).unwrap();
        moved(fdflow::copy(&mut reader, &mut &sink.fd)).unwrap();
        assert_eq!(reader.stream_position().unwrap(), 700_000);
        assert!(sink.bytes() == [&bytes[1000..301_000], &bytes[300_999..]].concat());
    }
}

#[test]
fn wrappers_keep_the_position_and_the_route() {
    let _room = Room::enter();
    let bytes = pattern(600_000, 7);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    let reader = |at| {
        let mut reader = sealed.reader();
        reader.seek(SeekFrom::Start(at)).unwrap();
        reader
    };
    for sort in STREAMS {
        let counted = Counted::new(reader(5));
        let count = counted.count();
        if let Some(report) = snapshot(counted, &bytes[5..], sort)
            && !denied().contains(by_reference(sort))
        {
            support::all_went_by(by_reference(sort), &report);
            assert_eq!(count.get(), 599_995);
        }
        snapshot(reader(5).take(70_000), &bytes[5..70_005], sort);
        snapshot(Box::new(reader(9)), &bytes[9..], sort);
        let mut ahead = BufReader::with_capacity(5000, reader(3));
        assert_eq!(ahead.fill_buf().unwrap().len(), 5000);
        ahead.consume(100);
        snapshot(&mut ahead, &bytes[103..], sort);
    }
}

#[test]
fn an_offset_of_the_caller_is_about_the_file_and_not_what_was_read_ahead() {
    let _room = Room::enter();
    let bytes = pattern(100_000, 8);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    let mut ahead = BufReader::with_capacity(5000, sealed.reader());
    ahead.fill_buf().unwrap();
    let sink = catch(Sort::Unix);
    let report = moved(Transfer::new(&mut ahead, &sink.fd).source_offset(50_000).run());
    let caught = sink.bytes();
    assert!(report.is_none() || caught == bytes[50_000..]);
}

#[test]
fn a_wrapper_that_must_see_the_bytes_reads_them_through_the_mapping() {
    struct Seen<S>(S);
    impl<S: Source> Source for Seen<S> {
        fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
            None
        }
        fn read_user(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read_user(buffer)
        }
    }
    let _room = Room::enter();
    let bytes = pattern(300_000, 10);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    snapshot(Seen(sealed.reader()), &bytes, Sort::Tcp);
}

#[test]
fn a_transfer_that_was_stopped_goes_on_where_it_was() {
    let _room = Room::enter();
    let bytes = pattern(2_000_000, 11);
    let sealed = Sealed::from_bytes(&bytes).unwrap();
    for sort in STREAMS {
        let sink = catch(sort);
        let mut transfer = Transfer::new(sealed.reader(), &sink.fd).limit(0);
        let mut last = moved(transfer.run());
        for limit in [1, 70_000, 1_500_000, u64::MAX] {
            transfer.set_limit(limit);
            last = moved(transfer.run());
        }
        drop(transfer);
        let caught = sink.bytes();
        assert!(last.is_none() || caught == bytes, "{sort:?}");
    }
}

#[test]
fn a_builder_takes_what_a_transfer_gives_from_every_source() {
    let _room = Room::enter();
    let bytes = pattern(800_000, 9);
    for sort in Sort::ALL {
        let source = support::rig::feed(sort, &bytes);
        let mut builder = SealedBuilder::new().unwrap();
        builder.write_all(b"head").unwrap();
        let report = moved(Transfer::new(&source.fd, &mut builder).limit(500_000).run());
        let rest = source.rest();
        if report.is_none() {
            continue;
        }
        builder.write_all(b"tail").unwrap();
        let sealed = builder.seal().unwrap();
        assert!(sealed[4..500_004] == bytes[..500_000] && rest == bytes[500_000..], "{sort:?}");
        assert!(sealed.starts_with(b"head") && sealed.ends_with(b"tail"));
    }
}

#[test]
fn pages_on_their_way_keep_a_memfd_from_being_sealed() {
    let _room = Room::enter();
    if PORTABLE || denied().contains(Route::Splice) {
        return support::skipped("pages_on_their_way", "nothing is passed by reference");
    }
    let mut builder = SealedBuilder::new().unwrap();
    builder.write_all(&[7; 8192]).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let copied = Transfer::new(builder.as_fd(), writer).source_offset(0).run().unwrap();
    assert_eq!(copied.bytes_by(Route::Splice), 8192);
    let error = builder.seal().map(drop).expect_err("a page is in the pipe");
    assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy, "{error}");
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(error.into_builder().seal().unwrap()[..], bytes);
}

#[test]
fn a_transfer_that_fails_says_so_and_leaves_nothing_behind() {
    let _room = Room::enter();
    let directory = OwnedFd::from(File::open(".").unwrap());
    let error = Sealed::from_source(directory).unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
}
