//! Files between filesystems, and within one: every pair, ranges, shared blocks, appending, files
//! that change their length meanwhile.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test binary: panics are its failures")]

#[path = "support/files.rs"]
mod files;
#[path = "support/mounts.rs"]
mod mounts;
#[path = "support/observed.rs"]
mod observed;
mod support;

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;

use fdflow::{Progress, Report, Route, Routes, Sparse, Transfer};
use files::{Copy, KIB, MIB, contents, data_of, file_on, route_sets};
use mounts::{Mounts, Place};
use observed::{Case, State, same};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use support::{Room, moved, pattern, skipped};

#[test]
fn h41_every_ordered_pair_by_every_route() {
    let _room = Room::enter();
    let mounts = Mounts::new("h41_every_ordered_pair_by_every_route");
    let input = pattern(MIB + 1, 7);
    for (from, to) in mounts.pairs() {
        for size in [0, 1, 4095, 64 * KIB + 1, MIB + 1] {
            let bytes = &input[..size];
            let source = file_on(from, bytes, false);
            for routes in route_sets().into_iter().chain([Routes::all()]) {
                let _case = Case(format!("{} -> {}, {size}, {routes:?}", from.name, to.name));
                (&source).rewind().unwrap();
                let sink = to.file();
                let (was, to_was) =
                    (State::of(Some(source.as_fd())), State::of(Some(sink.as_fd())));
                let copy = Copy { sink: &sink, bytes, old: b"", at: 0 };
                let report = copy.run(Transfer::new(&source, &sink).routes(routes));
                let Some(report) = report else { continue };
                was.check("source", Some(source.as_fd()), |_| size as u64);
                to_was.check("sink", Some(sink.as_fd()), |_| size as u64);
                if routes == Routes::all() && size > 0 && from.name != to.name {
                    let errno = |route| told(&report, route);
                    assert!(errno(Route::Reflink) && errno(Route::CopyFileRange), "{report}");
                }
            }
        }
    }
}

/// Whether the report tells the kernel's reason for not taking a route.
fn told(report: &Report, route: Route) -> bool {
    report
        .refused()
        .iter()
        .any(|refusal| refusal.route == route && refusal.reason.errno().is_some())
}

#[test]
fn ranges_land_in_the_middle_and_touch_nothing_else() {
    let _room = Room::enter();
    let mounts = Mounts::new("ranges_land_in_the_middle_and_touch_nothing_else");
    let input = pattern(300 * KIB + 3, 8);
    let old = vec![0xee; 400 * KIB];
    for (from, to) in mounts.some_pairs() {
        let (source, sink) = (file_on(from, &input, false), to.file());
        let offsets = [0, 1, 4096, 70_001].into_iter();
        let cases = offsets.flat_map(|at| [(at, 1), (at, 4096), (at, 9999), (at, 400_000)]);
        for (offset, limit) in cases {
            for (at, routes) in [0, 4096, 50_001].into_iter().zip(route_sets().into_iter().cycle())
            {
                let names = (from.name, to.name);
                let _case = Case(format!("{names:?}, {limit} from {offset} at {at}, {routes:?}"));
                sink.write_all_at(&old, 0).unwrap();
                let there = &input[offset..];
                let bytes = &there[..there.len().min(limit)];
                // The source by its position, the sink by an offset, and the other way about.
                (&source).seek(SeekFrom::Start(offset as u64)).unwrap();
                let transfer = Transfer::new(&source, &sink).routes(routes).limit(limit as u64);
                let copy = || Copy { sink: &sink, bytes, old: &old, at };
                copy().run(transfer.sink_offset(at as u64));
                sink.write_all_at(&old, 0).unwrap();
                (&sink).seek(SeekFrom::Start(at as u64)).unwrap();
                let transfer = Transfer::new(&source, &sink).routes(routes).limit(limit as u64);
                copy().run(transfer.source_offset(offset as u64));
            }
        }
    }
}

/// The filesystems that share blocks; says so where there is none.
fn sharing<'a>(mounts: &'a Mounts, test: &str) -> Vec<&'a Place> {
    let shares = |place: &&Place| matches!(place.name, "xfs" | "btrfs");
    let places = mounts.places.iter().filter(shares).collect::<Vec<_>>();
    if places.is_empty() || cfg!(fdflow_portable) {
        skipped(test, "no filesystem that shares blocks, or no call for it");
        return Vec::new();
    }
    places
}

#[test]
fn blocks_are_shared_where_the_filesystem_can() {
    let _room = Room::enter();
    let test = "blocks_are_shared_where_the_filesystem_can";
    let mounts = Mounts::new(test);
    for place in sharing(&mounts, test) {
        // Whole, up to a length that is no multiple of blocks; and part of it.
        let input = pattern(MIB + 5, 9);
        for (limit, shared) in [(u64::MAX, input.len()), (10_000, 8192), (MIB as u64, MIB)] {
            let _case = Case(format!("{}, {limit}", place.name));
            let (source, sink) = (file_on(place, &input, false), place.file());
            let bytes = &input[..input.len().min(usize::try_from(limit).unwrap())];
            let transfer = Transfer::new(&source, &sink).routes(Routes::all()).limit(limit);
            let copy = Copy { sink: &sink, bytes, old: b"", at: 0 };
            let report = copy.run(transfer).unwrap();
            assert_eq!(report.bytes_by(Route::Reflink), shared as u64, "{report}");
            let both = (tell(&source), tell(&sink));
            assert_eq!(both, (bytes.len() as u64, bytes.len() as u64), "positions");
            source.write_all_at(&[0; 9000], 0).unwrap();
            same("the sink, when the source is written to", &contents(&sink), bytes);
        }
    }
}

fn tell(file: &File) -> u64 {
    rustix::fs::tell(file).unwrap()
}

#[test]
fn blocks_are_shared_by_offset_and_holes_with_them() {
    let _room = Room::enter();
    let test = "blocks_are_shared_by_offset_and_holes_with_them";
    let mounts = Mounts::new(test);
    for place in sharing(&mounts, test) {
        let _case = Case(place.name.to_owned());
        let mut input = pattern(MIB, 10);
        input[128 * KIB..512 * KIB].fill(0);
        let source = file_on(place, &input, true);
        let old = vec![0xee; 2 * MIB];
        let sink = file_on(place, &old, false);
        let transfer = Transfer::new(&source, &sink)
            .routes(Routes::all())
            .source_offset(64 * KIB as u64)
            .sink_offset(256 * KIB as u64)
            .limit(512 * KIB as u64);
        let bytes = &input[64 * KIB..576 * KIB];
        let copy = Copy { sink: &sink, bytes, old: &old, at: 256 * KIB };
        let report = copy.run(transfer).unwrap();
        assert_eq!(report.bytes_by(Route::Reflink), bytes.len() as u64, "{report}");
        assert_eq!((tell(&source), tell(&sink)), (0, 0), "positions");
        let hole = 320 * KIB as u64..704 * KIB as u64;
        assert_eq!(data_of(&sink), [0..hole.start, hole.end..2 * MIB as u64]);
        // No reflink where blocks may not be shared with holes, or not at such borders.
        for transfer in [
            Transfer::new(&source, &sink).sparse(Sparse::Never),
            Transfer::new(&source, &sink).source_offset(1),
        ] {
            let report = transfer.routes(Routes::all()).sink_offset(0).run().unwrap();
            assert_eq!(report.bytes_by(Route::Reflink), 0, "{report}");
        }
    }
}

#[test]
fn h40_a_sink_that_appends_gets_everything_at_its_end() {
    let _room = Room::enter();
    let mounts = Mounts::new("h40_a_sink_that_appends_gets_everything_at_its_end");
    let input = pattern(200 * KIB + 1, 11);
    let append = |file: &File| fcntl_setfl(file, fcntl_getfl(file).unwrap() | OFlags::APPEND);
    for (from, to) in mounts.some_pairs() {
        for routes in route_sets() {
            // From the start; and set by somebody while the transfer runs.
            for late in [false, true] {
                let _case = Case(format!("{} -> {}, {routes:?}, {late}", from.name, to.name));
                let source = file_on(from, &input, false);
                let old = pattern(5000, 12);
                let sink = file_on(to, &old, false);
                let other = sink.try_clone().unwrap();
                if late {
                    (&sink).seek(SeekFrom::End(0)).unwrap();
                } else {
                    append(&sink).unwrap();
                }
                let set = move |_| append(&other).unwrap();
                let transfer = Transfer::new(&source, &sink).routes(routes).chunk(64 * KIB);
                let copy = Copy { sink: &sink, bytes: &input, old: &old, at: old.len() };
                let report = copy.run_or_refuse(transfer.observe(set));
                assert!(report.is_some() || !routes.contains(Route::ReadWrite));
                assert!(fcntl_getfl(&sink).unwrap().contains(OFlags::APPEND));
            }
        }
    }
}

#[test]
fn what_a_source_grows_by_is_moved_too_within_the_limit() {
    let _room = Room::enter();
    let mounts = Mounts::new("what_a_source_grows_by_is_moved_too_within_the_limit");
    let input = pattern(MIB, 13);
    for (from, to) in mounts.some_pairs() {
        for routes in route_sets().into_iter().chain([Routes::all()]) {
            // Growing at the first bytes, and when all of what was there has been moved.
            for (when, limit) in [(1, None), (600 * KIB, None), (1, Some(700 * KIB + 1))] {
                let names = (from.name, to.name);
                let _case = Case(format!("{names:?}, {routes:?}, {when}, {limit:?}"));
                let source = file_on(from, &input[..600 * KIB], false);
                let (other, rest) = (source.try_clone().unwrap(), input[600 * KIB..].to_vec());
                let sink = to.file();
                let grow = move |progress: Progress| {
                    if progress.bytes >= when as u64 {
                        other.write_all_at(&rest, 600 * KIB as u64).unwrap();
                    }
                };
                let mut transfer = Transfer::new(&source, &sink).routes(routes).observe(grow);
                transfer = transfer.chunk(64 * KIB);
                if let Some(limit) = limit {
                    transfer = transfer.limit(limit as u64);
                }
                let bytes = &input[..limit.unwrap_or(input.len())];
                Copy { sink: &sink, bytes, old: b"", at: 0 }.run(transfer);
            }
        }
    }
}

#[test]
fn a_source_that_shrinks_ends_where_it_ends() {
    let _room = Room::enter();
    let mounts = Mounts::new("a_source_that_shrinks_ends_where_it_ends");
    let input = pattern(MIB, 14);
    for (from, to) in mounts.some_pairs() {
        for routes in route_sets() {
            for left in [0, 100_001, 900_000] {
                let _case = Case(format!("{} -> {}, {routes:?}, {left}", from.name, to.name));
                let source = file_on(from, &input, false);
                let (other, sink) = (source.try_clone().unwrap(), to.file());
                let shrink = move |_| other.set_len(left).unwrap();
                let transfer = Transfer::new(&source, &sink).routes(routes).chunk(64 * KIB);
                let mut transfer = transfer.observe(shrink);
                let Some(report) = moved(transfer.run()) else { continue };
                // Whatever had been taken before; nothing behind, and nothing made up.
                let given = usize::try_from(report.bytes()).unwrap();
                assert!(given as u64 >= left, "{report}");
                same("the sink", &contents(&sink), &input[..given]);
                assert_eq!((tell(&source), tell(&sink)), (given as u64, given as u64));
            }
        }
    }
}
