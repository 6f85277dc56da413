//! Files that change while they are copied, that are one and the same, or larger than a call.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use fdflow::{Report, Route, Routes, Stability, Transfer, TransferError};

use support::rig::{self, Sort, catch};
use support::{PORTABLE, Room, all_went_by, moved, pattern};

/// Sends 60000 bytes of a file, writes others over them, and only then lets the receiver read.
fn sent_then_overwritten(file: Sort, to: Sort, stability: Stability) -> (Report, bool) {
    let (before, after) = (pattern(60_000, 11), pattern(60_000, 12));
    let mut source = rig::file(file);
    source.write_all(&before).unwrap();
    source.rewind().unwrap();
    let (receiver, sink) = rig::stream(to);
    let transfer = Transfer::new(&source, sink).routes(Routes::all());
    let report = transfer.stability(stability).run().unwrap();
    source.write_all_at(&after, 0).unwrap();
    let mut arrived = Vec::new();
    File::from(receiver).read_to_end(&mut arrived).unwrap();
    assert_eq!(arrived.len(), 60_000);
    (report, arrived == before)
}

#[test]
fn h11_a_snapshot_shows_no_later_write() {
    let _room = Room::enter();
    for file in [Sort::File, Sort::Memory] {
        for to in [Sort::Tcp, Sort::Unix, Sort::Pipe] {
            let (report, as_it_was) = sent_then_overwritten(file, to, Stability::Snapshot);
            assert!(as_it_was, "{file:?} -> {to:?}: {report}");
        }
    }
}

/// `Live` is the cheaper promise: where this fails, the kernel copies, and the two are the same.
#[test]
fn h11_live_passes_references_on_and_shows_a_later_write() {
    let _room = Room::enter();
    if PORTABLE {
        return support::skipped("h11_live", "no kernel routes in this build");
    }
    for (to, route) in
        [(Sort::Tcp, Route::Sendfile), (Sort::Unix, Route::Sendfile), (Sort::Pipe, Route::Splice)]
    {
        let (report, as_it_was) = sent_then_overwritten(Sort::Memory, to, Stability::Live);
        all_went_by(route, &report);
        assert!(!as_it_was, "to {to:?}: {report}");
    }
}

fn refused_as_the_same(result: Result<Report, TransferError>) {
    let error = result.expect_err("onto itself, and it says that all is well");
    assert_eq!((error.kind(), error.report().bytes()), (ErrorKind::InvalidInput, 0), "{error}");
    assert!(error.to_string().contains("same file"), "{error}");
}

#[test]
fn h13_a_file_onto_itself_is_refused_by_whatever_name_it_goes() {
    let _room = Room::enter();
    let dir = tempfile::tempdir().unwrap();
    let [path, hard, soft] = ["file", "hard", "soft"].map(|name| dir.path().join(name));
    let bytes = pattern(10_000, 13);
    std::fs::write(&path, &bytes).unwrap();
    std::fs::hard_link(&path, &hard).unwrap();
    std::os::unix::fs::symlink(&path, &soft).unwrap();
    for name in [&path, &hard, &soft] {
        let mut source = File::open(&path).unwrap();
        for append in [false, true] {
            let mut sink = OpenOptions::new().write(true).append(append).open(name).unwrap();
            refused_as_the_same(fdflow::copy(&mut source, &mut sink));
        }
        assert!(std::fs::read(&path).unwrap() == bytes, "{name:?}");
    }
    let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
    refused_as_the_same(fdflow::copy(&mut &file, &mut file.try_clone().unwrap()));
    refused_as_the_same(Transfer::new(&file, &file).limit(10).sink_offset(9).run());
    assert!(std::fs::read(&path).unwrap() == bytes);
}

#[test]
fn h13_ranges_of_one_file_that_are_apart_are_copied() {
    let _room = Room::enter();
    let bytes = pattern(100_000, 14);
    for sort in [Sort::File, Sort::Memory] {
        let mut file = rig::file(sort);
        file.write_all(&bytes).unwrap();
        let transfer = Transfer::new(&file, &file).limit(30_000);
        if moved(transfer.source_offset(10_000).sink_offset(40_000).run()).is_some() {
            let mut there = vec![0; 100_000];
            file.read_exact_at(&mut there, 0).unwrap();
            let expected = [&bytes[..40_000], &bytes[10_000..40_000], &bytes[70_000..]].concat();
            assert!(there == expected, "{sort:?}");
        }
    }
}

const TO: [(Sort, Sort); 6] = [
    (Sort::File, Sort::File),
    (Sort::File, Sort::Memory),
    (Sort::Memory, Sort::Tcp),
    (Sort::File, Sort::Tcp),
    (Sort::File, Sort::Unix),
    (Sort::File, Sort::Pipe),
];

fn route_sets() -> Vec<Routes> {
    let splice = (!PORTABLE).then_some(Routes::only(Route::Splice));
    [Routes::all(), Routes::only(Route::ReadWrite)].into_iter().chain(splice).collect()
}

#[test]
fn h15_a_file_that_shrinks_ends_the_transfer_short_and_the_report_is_exact() {
    let _room = Room::enter();
    let bytes = pattern(3_000_000, 15);
    for (from, to) in TO {
        for routes in route_sets() {
            let mut source = rig::file(from);
            source.write_all(&bytes).unwrap();
            source.rewind().unwrap();
            let (sink, shrinking) = (catch(to), source.try_clone().unwrap());
            let transfer = Transfer::new(&source, &sink.fd).routes(routes).chunk(100_000);
            let mut transfer = transfer.observe(move |now| {
                if now.bytes >= 500_000 {
                    shrinking.set_len(700_001).unwrap();
                }
            });
            let report = transfer.run().unwrap();
            drop(transfer);
            let arrived = sink.bytes();
            assert_eq!(report.bytes(), arrived.len() as u64);
            assert!((500_000..=1_600_000).contains(&arrived.len()), "{from:?} -> {to:?}: {report}");
            assert!(bytes.starts_with(&arrived), "{from:?} -> {to:?}: {report}");
        }
    }
}

/// Appends 100000 of `bytes` at every step until it has all of them.
fn growing(file: &File, bytes: &[u8]) -> impl FnMut(fdflow::Progress) + Send + 'static {
    let (file, bytes) = (file.try_clone().unwrap(), bytes.to_vec());
    move |_| {
        let length = file.metadata().unwrap().len();
        let start = usize::try_from(length).unwrap();
        let end = bytes.len().min(start + 100_000);
        file.write_all_at(&bytes[start..end], length).unwrap();
    }
}

#[test]
fn h16_a_growing_file_gives_exactly_the_limit() {
    let _room = Room::enter();
    let bytes = pattern(2_000_000, 16);
    for (from, to) in TO {
        for routes in route_sets() {
            let mut source = rig::file(from);
            source.write_all(&bytes[..200_000]).unwrap();
            source.rewind().unwrap();
            let sink = catch(to);
            let transfer = Transfer::new(&source, &sink.fd).routes(routes).chunk(70_000);
            let mut transfer = transfer.limit(300_001).observe(growing(&source, &bytes));
            let report = transfer.run().unwrap();
            drop(transfer);
            assert_eq!(report.bytes(), 300_001);
            assert!(sink.bytes() == bytes[..300_001], "{from:?} -> {to:?}: {report}");
        }
    }
}

#[test]
fn a_file_that_grows_is_copied_to_the_end_that_it_has_when_it_is_reached() {
    let _room = Room::enter();
    let bytes = pattern(1_000_000, 17);
    for (from, to) in TO {
        for routes in route_sets() {
            let mut source = rig::file(from);
            source.write_all(&bytes[..300_000]).unwrap();
            source.rewind().unwrap();
            let sink = catch(to);
            let transfer = Transfer::new(&source, &sink.fd).routes(routes).chunk(70_000);
            let mut transfer = transfer.observe(growing(&source, &bytes));
            let report = transfer.run().unwrap();
            drop(transfer);
            assert_eq!(report.bytes(), 1_000_000, "{from:?} -> {to:?}: {report}");
            assert!(sink.bytes() == bytes, "{from:?} -> {to:?}: {report}");
        }
    }
}

#[test]
fn h08_own_positions_are_used_and_advanced_and_explicit_offsets_leave_them_alone() {
    let _room = Room::enter();
    let bytes = pattern(300_000, 8);
    for sort in [Sort::File, Sort::Memory] {
        for (at, to_at) in [(None, None), (Some(100), None), (None, Some(9)), (Some(7), Some(8))] {
            for routes in route_sets() {
                let mut source = rig::file(Sort::File);
                source.write_all(&bytes).unwrap();
                source.seek(std::io::SeekFrom::Start(50)).unwrap();
                let mut sink = rig::file(sort);
                sink.write_all(&[b'-'; 20]).unwrap();
                let mut transfer = Transfer::new(&source, &sink).routes(routes).limit(200_000);
                if let Some(at) = at {
                    transfer = transfer.source_offset(at);
                }
                if let Some(to_at) = to_at {
                    transfer = transfer.sink_offset(to_at);
                }
                assert_eq!(transfer.run().unwrap().bytes(), 200_000);
                let positions =
                    (source.stream_position().unwrap(), sink.stream_position().unwrap());
                let after = (at.map_or(200_050, |_| 50), to_at.map_or(200_020, |_| 20));
                assert_eq!(positions, after, "{at:?} {to_at:?} {routes:?}");
                let start = usize::try_from(at.unwrap_or(50)).unwrap();
                let mut there = vec![0; 200_000];
                sink.read_exact_at(&mut there, to_at.unwrap_or(20)).unwrap();
                assert!(there == bytes[start..start + 200_000], "{at:?} {to_at:?} {routes:?}");
            }
        }
    }
}

#[test]
fn an_empty_file_and_a_position_past_the_end_give_nothing() {
    let _room = Room::enter();
    for (from, to) in TO {
        for at in [0, 5_000_000_000] {
            for routes in route_sets() {
                let (source, sink) = (rig::file(from), catch(to));
                let transfer = Transfer::new(&source, &sink.fd).routes(routes);
                assert_eq!(transfer.source_offset(at).run().unwrap().bytes(), 0);
                assert!(sink.bytes().is_empty());
            }
        }
    }
}

/// Three GiB of nothing, in a file that takes no space.
fn vast(path: &Path) -> File {
    let file = File::create_new(path).unwrap();
    file.set_len(VAST).unwrap();
    drop(file);
    File::open(path).unwrap()
}

const VAST: u64 = 3 << 30;

#[test]
fn h43_more_than_one_call_can_move_is_moved_by_several() {
    let _room = Room::enter();
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let source = vast(&dir.path().join("vast"));
    for routes in route_sets() {
        let null = File::options().write(true).open("/dev/null").unwrap();
        let transfer = Transfer::new(source.as_fd(), null).routes(routes).source_offset(0);
        let mut transfer = transfer.chunk(usize::MAX).limit(u64::MAX);
        assert_eq!(transfer.run().unwrap().bytes(), VAST);
    }
}

/// The kernel answers EINVAL to a count that is negative as a signed number.
#[test]
fn h43_a_count_without_bound_does_not_cost_the_route() {
    let _room = Room::enter();
    let bytes = pattern(300_000, 43);
    for (from, to) in [(Sort::Pipe, Sort::Tcp), (Sort::Tcp, Sort::Pipe), (Sort::Tcp, Sort::File)] {
        let (source, sink) = (rig::feed(from, &bytes), catch(to));
        let transfer = Transfer::new(&source.fd, &sink.fd).routes(Routes::all());
        let report = transfer.chunk(usize::MAX).limit(u64::MAX).run().unwrap();
        all_went_by(Route::Splice, &report);
        assert!(source.rest().is_empty() && sink.bytes() == bytes);
    }
}
