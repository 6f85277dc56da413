//! Holes stay holes, or not, as was asked for; what is read is always the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::io::Seek;
use std::os::unix::fs::{FileExt, MetadataExt};

use fdflow::{Route, Routes, Sparse, Transfer};

use support::rig::{self, Sort};
use support::{PORTABLE, Room, confine, moved, pattern};

const MIB: usize = 1 << 20;

/// Data, hole, data, hole to the end: 8 MiB of which 2 are there.
fn sparse(sort: Sort) -> (File, Vec<u8>) {
    let mut expected = vec![0; 8 * MIB];
    expected[..MIB].copy_from_slice(&pattern(MIB, 1));
    expected[4 * MIB..5 * MIB].copy_from_slice(&pattern(MIB, 2));
    let file = rig::file(sort);
    for at in [0, 4 * MIB] {
        file.write_all_at(&expected[at..at + MIB], at as u64).unwrap();
    }
    file.set_len(expected.len() as u64).unwrap();
    // Blocks that are allocated late count only when they are.
    file.sync_all().unwrap();
    (file, expected)
}

fn contents(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

fn allocated(file: &File) -> u64 {
    file.sync_all().unwrap();
    file.metadata().unwrap().blocks() * 512
}

fn route_sets() -> Vec<Routes> {
    let splice = (!PORTABLE).then_some(Routes::only(Route::Splice));
    [Routes::all(), Routes::only(Route::ReadWrite)].into_iter().chain(splice).collect()
}

#[test]
fn holes_stay_holes_and_are_told_on_every_route() {
    let _room = Room::enter();
    for (from, to) in
        [(Sort::File, Sort::File), (Sort::Memory, Sort::File), (Sort::File, Sort::Memory)]
    {
        for routes in route_sets() {
            for offsets in [false, true] {
                let (mut source, expected) = sparse(from);
                source.rewind().unwrap();
                let sink = rig::file(to);
                let mut transfer = Transfer::new(&source, &sink).routes(routes);
                if offsets {
                    transfer = transfer.source_offset(0).sink_offset(0);
                }
                let report = transfer.run().unwrap();
                let holes: u64 = report.legs().iter().map(|leg| leg.holes).sum();
                assert!(contents(&sink) == expected && report.bytes() == 8 * MIB as u64);
                if !PORTABLE {
                    assert_eq!(holes, 6 * MIB as u64, "{from:?} -> {to:?}: {report}");
                    assert!(allocated(&sink) < 3 * MIB as u64, "{}", allocated(&sink));
                }
                let after = source.stream_position().unwrap();
                assert_eq!(after, if offsets { 0 } else { 8 * MIB as u64 });
            }
        }
    }
}

#[test]
fn a_hole_over_old_bytes_of_the_sink_reads_as_zeros() {
    let _room = Room::enter();
    for routes in route_sets() {
        let (mut source, expected) = sparse(Sort::File);
        source.rewind().unwrap();
        let mut sink = support::file_of(&vec![b'-'; 9 * MIB]);
        Transfer::new(&source, &sink).routes(routes).run().unwrap();
        assert_eq!(sink.stream_position().unwrap(), 8 * MIB as u64);
        let there = contents(&sink);
        assert!(there[..8 * MIB] == expected && there[8 * MIB..] == vec![b'-'; MIB]);
    }
}

#[test]
fn a_limit_and_an_offset_inside_holes_are_kept() {
    let _room = Room::enter();
    for routes in route_sets() {
        for (start, limit) in [(2 * MIB + 5, MIB), (MIB / 2, 4 * MIB + 3), (7 * MIB, 5 * MIB)] {
            let (source, expected) = sparse(Sort::File);
            let sink = rig::file(Sort::File);
            let transfer = Transfer::new(&source, &sink).routes(routes);
            let transfer = transfer.source_offset(start as u64).limit(limit as u64);
            let report = { transfer }.run().unwrap();
            let end = expected.len().min(start + limit);
            assert!(contents(&sink) == expected[start..end], "{start} {limit}: {report}");
        }
    }
}

#[test]
fn zeros_become_holes_or_blocks_when_asked_for() {
    let _room = Room::enter();
    let (source, expected) = sparse(Sort::File);
    let mut full = support::file_of(&expected);
    let sink = rig::file(Sort::File);
    let transfer = Transfer::new(&full, &sink).sparse(Sparse::Always);
    let report = { transfer }.routes(Routes::all()).run().unwrap();
    assert!(contents(&sink) == expected);
    if !PORTABLE {
        assert!(allocated(&sink) < 3 * MIB as u64 && report.legs()[0].holes == 6 * MIB as u64);
    }
    full.rewind().unwrap();
    for routes in route_sets() {
        let sink = rig::file(Sort::File);
        let transfer = Transfer::new(&source, &sink).sparse(Sparse::Never).source_offset(0);
        let report = { transfer }.routes(routes).run().unwrap();
        assert!(contents(&sink) == expected && allocated(&sink) >= 8 * MIB as u64, "{report}");
    }
}

#[test]
fn a_file_with_holes_is_sent_whole_to_streams() {
    let _room = Room::enter();
    for to in [Sort::Pipe, Sort::Tcp, Sort::Unix] {
        let (mut source, expected) = sparse(Sort::File);
        source.rewind().unwrap();
        let sink = rig::catch(to);
        if moved(Transfer::new(&source, &sink.fd).run()).is_some() {
            assert!(sink.bytes() == expected, "to {to:?}");
        }
    }
}

#[test]
fn h42_holes_that_a_sandbox_forbids_to_make_are_written_as_zeros() {
    let _room = Room::enter();
    for errno in [libc::EPERM, libc::ENOSYS] {
        for asked_for in [Sparse::Auto, Sparse::Always] {
            let (source, expected) = sparse(Sort::File);
            let sink = rig::file(Sort::File);
            let report = confine::on_a_thread(|| {
                confine::refuse(&[libc::SYS_ftruncate, libc::SYS_fallocate], errno);
                let transfer = Transfer::new(&source, &sink).sparse(asked_for);
                transfer.routes(Routes::all()).source_offset(0).run().unwrap()
            });
            assert!(contents(&sink) == expected && report.bytes() == 8 * MIB as u64, "{report}");
        }
    }
}
