//! What becomes of holes and of zeros between files, on and between filesystems.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test binary: panics are its failures")]

#[path = "support/files.rs"]
mod files;
#[path = "support/mounts.rs"]
mod mounts;
#[path = "support/observed.rs"]
mod observed;
mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::fd::AsFd;

use fdflow::{Report, Route, Sparse, Transfer};
use files::{Copy, HOLED_DATA, KIB, MIB, allocated, contents, data_of, file_on, holed, route_sets};
use mounts::Mounts;
use observed::{Case, State, same};
use rustix::fs::tell;
use support::{Room, moved, writing};

#[test]
fn holes_stay_holes() {
    let _room = Room::enter();
    let mounts = Mounts::new("holes_stay_holes");
    let bytes = holed();
    for (from, to) in mounts.pairs() {
        let source = file_on(from, &bytes, true);
        let (map, most) = (data_of(&source), allocated(&source) + 64 * KIB as u64);
        assert_eq!(map.iter().map(|data| data.end - data.start).sum::<u64>(), HOLED_DATA);
        for (routes, offset) in route_sets().into_iter().flat_map(|set| [(set, false), (set, true)])
        {
            let _case = Case(format!("{} -> {}, {routes:?}, {offset}", from.name, to.name));
            (&source).rewind().unwrap();
            let sink = to.file();
            let was = State::of(Some(source.as_fd()));
            let mut transfer = Transfer::new(&source, &sink).routes(routes);
            if offset {
                transfer = transfer.source_offset(0);
            }
            let copy = Copy { sink: &sink, bytes: &bytes, old: b"", at: 0 };
            let Some(report) = copy.run(transfer) else { continue };
            let length = bytes.len() as u64;
            was.check("source", Some(source.as_fd()), |was| if offset { was } else { length });
            assert_eq!(tell(&sink).unwrap(), length);
            if cfg!(fdflow_portable) {
                continue;
            }
            assert_eq!(data_of(&sink), map, "{report}");
            assert!(allocated(&sink) <= most, "{} > {most}: {report}", allocated(&sink));
            let holes = report.legs().iter().map(|leg| leg.holes).sum::<u64>();
            let shared = report.bytes_by(Route::Reflink);
            assert!(shared == length || holes == length - HOLED_DATA, "{report}");
        }
    }
}

#[test]
fn zeros_become_holes_where_asked() {
    let _room = Room::enter();
    let mounts = Mounts::new("zeros_become_holes_where_asked");
    let bytes = holed();
    for (from, to) in mounts.some_pairs() {
        for old in [vec![], vec![0xee; 4 * MIB]] {
            let _case = Case(format!("{} -> {}, over {}", from.name, to.name, old.len()));
            let source = file_on(from, &bytes, false);
            let sink = file_on(to, &old, false);
            let transfer = Transfer::new(&source, &sink).sparse(Sparse::Always);
            let copy = Copy { sink: &sink, bytes: &bytes, old: &old, at: 0 };
            let Some(report) = copy.run(transfer) else { continue };
            assert_eq!(tell(&sink).unwrap(), bytes.len() as u64);
            holds_little(&sink, &report, (old.len().max(bytes.len()) - bytes.len()) as u64);
        }
    }
}

/// Of all but the `rest` of the file only the data is on the disk.
fn holds_little(sink: &File, report: &Report, rest: u64) {
    if cfg!(fdflow_portable) {
        return;
    }
    let data = data_of(sink).iter().map(|data| data.end - data.start).sum::<u64>();
    assert_eq!(data, HOLED_DATA + rest, "{report}");
    assert!(allocated(sink) <= HOLED_DATA + rest + 64 * KIB as u64, "{report}");
}

#[test]
fn zeros_out_of_a_pipe_become_holes_where_asked() {
    let _room = Room::enter();
    let mounts = Mounts::new("zeros_out_of_a_pipe_become_holes_where_asked");
    for place in &mounts.places {
        let _case = Case(place.name.to_owned());
        let (mut reader, writer) = std::io::pipe().unwrap();
        let writing = writing(writer, holed());
        let sink = place.file();
        let mut transfer = Transfer::new(&reader, &sink).sparse(Sparse::Always);
        let report = moved(transfer.run());
        let undelivered = transfer.into_parts().undelivered;
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        writing.join().unwrap();
        same("all", &[contents(&sink), undelivered, rest].concat(), &holed());
        if let Some(report) = report.filter(|report| report.bytes_by(Route::ReadWrite) > 0) {
            assert_eq!(tell(&sink).unwrap(), 3 * MIB as u64 + MIB as u64 / 2);
            holds_little(&sink, &report, 0);
        }
    }
}

#[test]
fn no_block_is_left_unwritten_where_none_may_be() {
    let _room = Room::enter();
    let mounts = Mounts::new("no_block_is_left_unwritten_where_none_may_be");
    let bytes = holed();
    for (from, to) in mounts.pairs() {
        let _case = Case(format!("{} -> {}", from.name, to.name));
        let (source, sink) = (file_on(from, &bytes, true), to.file());
        let transfer = Transfer::new(&source, &sink).sparse(Sparse::Never);
        let copy = Copy { sink: &sink, bytes: &bytes, old: b"", at: 0 };
        let Some(report) = copy.run(transfer) else { continue };
        let [data] = &data_of(&sink)[..] else { panic!("not one piece: {report}") };
        assert_eq!(*data, 0..bytes.len() as u64, "{report}");
        assert!(allocated(&sink) >= bytes.len() as u64, "{report}");
        assert!(report.legs().iter().all(|leg| leg.holes == 0), "{report}");
    }
}

/// A reader that has read ahead stands elsewhere in the file than its descriptor does.
#[test]
fn holes_behind_what_was_read_ahead_stay_holes() {
    let _room = Room::enter();
    let mounts = Mounts::new("holes_behind_what_was_read_ahead_stay_holes");
    let bytes = holed();
    for (from, to) in mounts.some_pairs() {
        for (routes, ahead) in route_sets().into_iter().flat_map(|set| [(set, 1), (set, 9000)]) {
            let _case = Case(format!("{} -> {}, {routes:?}, {ahead}", from.name, to.name));
            let mut source = BufReader::with_capacity(ahead, file_on(from, &bytes, true));
            assert_eq!(source.fill_buf().unwrap().len(), ahead);
            let sink = to.file();
            let transfer = Transfer::new(&mut source, &sink).routes(routes);
            let Some(report) = moved(transfer.limit(3 * MIB as u64).run()) else { continue };
            same("the sink", &contents(&sink), &bytes[..3 * MIB]);
            assert_eq!(source.stream_position().unwrap(), 3 * MIB as u64, "{report}");
            assert_eq!(tell(&sink).unwrap(), 3 * MIB as u64, "{report}");
            assert!(cfg!(fdflow_portable) || report.legs().iter().any(|leg| leg.holes > 0));
        }
    }
}

/// Holes at the source are zeros, whatever the sink held there before.
#[test]
fn holes_go_over_old_data_and_nowhere_else() {
    let _room = Room::enter();
    let mounts = Mounts::new("holes_go_over_old_data_and_nowhere_else");
    let bytes = holed();
    let old = vec![0xee; 4 * MIB];
    for (from, to) in mounts.some_pairs() {
        let source = file_on(from, &bytes, true);
        for (routes, at) in route_sets().into_iter().flat_map(|set| [(set, 0), (set, 4097)]) {
            for range in [0..bytes.len(), MIB - 5..MIB + 300 * KIB + 1, 100..200 * KIB] {
                let _case = Case(format!("{} -> {}, {routes:?}, {range:?}", from.name, to.name));
                let sink = file_on(to, &old, false);
                let transfer = Transfer::new(&source, &sink)
                    .routes(routes)
                    .source_offset(range.start as u64)
                    .limit(range.len() as u64)
                    .sink_offset(at as u64);
                let copy = Copy { sink: &sink, bytes: &bytes[range], old: &old, at };
                copy.run(transfer);
            }
        }
    }
}
