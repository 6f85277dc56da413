//! Explicit offsets: bytes come from there and go there, and positions are left alone.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test binary: panics are its failures")]

#[path = "support/kinds.rs"]
mod kinds;
#[path = "support/observed.rs"]
mod observed;
mod support;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::thread;

use fdflow::{Side, Sink, Source, Transfer};
use kinds::{Catch, Feed, SINKS, SOURCES, contents, memfd};
use observed::{Case, State, same};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use support::{Room, file_of, moved, pattern};

const LENGTH: usize = 100_000;
/// Offsets in, at and behind the borders of blocks and of the file.
const OFFSETS: [usize; 7] = [0, 1, 4095, 4096, LENGTH - 1, LENGTH, LENGTH + 5];
/// Where the descriptor's own position is put.
const POSITION: u64 = 17;

#[test]
fn a_source_offset_leaves_the_position_alone() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 2);
    let mut holed = bytes.clone();
    holed[20_480..61_440].fill(0);
    let sources = [
        ("file", tempfile::tempfile().unwrap(), &bytes),
        ("tmpfs", tempfile::tempfile_in("/dev/shm").unwrap(), &bytes),
        ("memfd", memfd(), &bytes),
        ("sparse", tempfile::tempfile().unwrap(), &holed),
    ];
    for (name, mut source, bytes) in sources {
        fill(&source, bytes);
        source.seek(SeekFrom::Start(POSITION)).unwrap();
        for sink in SINKS {
            for (offset, limit) in OFFSETS.iter().flat_map(|at| [(*at, None), (*at, Some(9999))]) {
                let _case = Case(format!("{name} -> {}, from {offset}, {limit:?}", sink.name));
                from_offset(&source, bytes, (sink.open)(), offset, limit);
            }
        }
    }
}

/// The position belongs to whoever else reads by it, also while holes are looked for.
#[test]
fn a_source_offset_leaves_the_position_to_others_meanwhile() {
    let _room = Room::enter();
    let mut bytes = pattern(2 << 20, 5);
    bytes.chunks_mut(8192).for_each(|chunk| chunk[4096..].fill(0));
    let source = tempfile::tempfile().unwrap();
    fill(&source, &bytes);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut block = [0; 1000];
            for _ in 0..20 {
                (&source).rewind().unwrap();
                for expected in bytes.chunks_exact(block.len()) {
                    (&source).read_exact(&mut block).unwrap();
                    same("what somebody else reads", &block, expected);
                }
            }
        });
        for _ in 0..10 {
            let sink = memfd();
            let report = moved(Transfer::new(&source, &sink).source_offset(0).run());
            if report.is_some() {
                same("the sink", &contents(&sink), &bytes);
            }
        }
    });
}

/// Writes all but blocks of zeros.
fn fill(file: &File, bytes: &[u8]) {
    file.set_len(bytes.len() as u64).unwrap();
    for (i, block) in bytes.chunks(4096).enumerate() {
        if block.iter().any(|byte| *byte != 0) {
            file.write_all_at(block, i as u64 * 4096).unwrap();
        }
    }
}

fn from_offset(source: &File, bytes: &[u8], sink: Catch, offset: usize, limit: Option<usize>) {
    let Catch { mut output, head, collector } = sink;
    let collector = collector.map(thread::spawn);
    let was = State::of(Some(source.as_fd()));
    let mut transfer = Transfer::new(source, &mut *output).source_offset(offset as u64);
    if let Some(limit) = limit {
        transfer = transfer.limit(limit as u64);
    }
    let report = moved(transfer.run());
    let fdflow::Parts { undelivered, report: told, .. } = transfer.into_parts();
    let there = bytes.get(offset..).unwrap_or_default();
    let expected = &there[..there.len().min(limit.unwrap_or(usize::MAX))];
    let given = usize::try_from(told.bytes()).unwrap();
    if report.is_some() {
        assert_eq!(given, expected.len(), "{told}");
    }
    was.check("source", Some(source.as_fd()), |was| was);
    let contents = output.contents();
    drop(output);
    if let Some(arrived) = collector.map(|thread| thread.join().unwrap()).or(contents) {
        same("the sink", &arrived, &[head, &expected[..given]].concat());
    }
    assert!(expected[given..].starts_with(&undelivered));
}

#[test]
fn a_sink_offset_leaves_the_position_alone() {
    let _room = Room::enter();
    let input = pattern(70_000, 3);
    let old = vec![0xee; 200_000];
    for source in SOURCES {
        for make in [|| tempfile::tempfile().unwrap(), || memfd()] {
            for offset in [0, 1, 4096, 150_000, 250_000] {
                let _case = Case(format!("{} -> file, at {offset}", source.name));
                let mut sink = make();
                sink.write_all(&old).unwrap();
                sink.seek(SeekFrom::Start(POSITION)).unwrap();
                to_offset((source.open)(&input), &sink, old.clone(), offset);
            }
        }
    }
}

fn to_offset(feed: Feed<'_>, sink: &File, mut expected: Vec<u8>, offset: usize) {
    let Feed { mut input, bytes, gives, start, feeder } = feed;
    thread::scope(|scope| {
        let feeder = feeder.map(|feed| scope.spawn(feed));
        let (was, to_was) = (State::of(input.descriptor()), State::of(Some(sink.as_fd())));
        let mut transfer =
            Transfer::new(&mut *input, sink).sink_offset(offset as u64).limit(gives as u64);
        let report = moved(transfer.run());
        let parts = transfer.into_parts();
        let given = usize::try_from(parts.report.bytes()).unwrap();
        let taken = given + parts.undelivered.len();
        assert!(report.is_none() || given == gives, "{}", parts.report);
        same("undelivered", &parts.undelivered, &bytes[given..taken]);
        was.check("source", input.descriptor(), |was| was.max(start + taken as u64));
        to_was.check("sink", Some(sink.as_fd()), |was| was);
        same("the rest", &input.rest(bytes.len() - taken), &bytes[taken..]);
        if given > 0 {
            expected.resize(expected.len().max(offset + given), 0);
            expected[offset..offset + given].copy_from_slice(&bytes[..given]);
        }
        same("the sink", &contents(sink), &expected);
        drop(input);
        feeder.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn a_source_offset_is_about_the_file_and_not_about_what_was_read_ahead() {
    let _room = Room::enter();
    let bytes = pattern(LENGTH, 4);
    let mut source = BufReader::new(file_of(&bytes));
    let mut first = [0; 10];
    source.read_exact(&mut first).unwrap();
    let (_reader, writer) = io::pipe().unwrap();
    let report = moved(Transfer::new(&mut source, writer).source_offset(50_000).limit(100).run());
    assert!(report.is_none_or(|report| report.bytes() == 100));
    let mut rest = Vec::new();
    source.read_to_end(&mut rest).unwrap();
    same("the reader's rest", &rest, &bytes[10..]);
}

#[test]
fn a_stream_has_no_offsets() {
    let _room = Room::enter();
    for source in SOURCES {
        let Feed { input, start, feeder, .. } = (source.open)(b"");
        feeder.into_iter().for_each(|feed| feed());
        if State::of(input.descriptor()).is_file() {
            continue;
        }
        let error = Transfer::new(input, memfd()).source_offset(start).limit(0).run().unwrap_err();
        refused(source.name, &error, Side::Source, "has no offsets");
    }
    for sink in SINKS {
        let Catch { output, .. } = (sink.open)();
        if State::of(output.descriptor()).is_file() {
            continue;
        }
        let error = Transfer::new(memfd(), output).sink_offset(0).run().unwrap_err();
        refused(sink.name, &error, Side::Sink, "has no offsets");
    }
}

/// The kernel would ignore the offset and write at the end.
#[test]
fn an_appending_sink_has_no_offsets() {
    let _room = Room::enter();
    let sink = file_of(b"there before");
    fcntl_setfl(&sink, fcntl_getfl(&sink).unwrap() | OFlags::APPEND).unwrap();
    let error = Transfer::new(file_of(b"new"), &sink).sink_offset(0).run().unwrap_err();
    refused("append", &error, Side::Sink, "append");
    assert_eq!(contents(&sink), b"there before");
}

fn refused(name: &str, error: &fdflow::TransferError, side: Side, why: &str) {
    assert_eq!((error.kind(), error.side()), (ErrorKind::InvalidInput, Some(side)), "{name}");
    assert!(error.to_string().contains(why), "{name}: {error}");
}

#[test]
fn a_position_that_was_moved_between_two_runs_is_where_the_next_one_goes_on() {
    let _room = Room::enter();
    let bytes = pattern(300_000, 9);
    let (mut from, mut to) = (file_of(&bytes), file_of(&[]));
    let mut transfer = Transfer::new(&mut from, &mut to).limit(100_000);
    let Some(_) = moved(transfer.run()) else { return };
    let parts = transfer.into_parts();
    parts.source.seek(SeekFrom::Start(250_000)).unwrap();
    let mut transfer = Transfer::new(parts.source, parts.sink).limit(10);
    moved(transfer.run()).unwrap();
    // The same transfer, after its file was moved behind its back.
    let mut same = file_of(&bytes);
    let again = same.try_clone().unwrap();
    let mut transfer = Transfer::new(&again, &mut to).limit(1000);
    moved(transfer.run()).unwrap();
    same.seek(SeekFrom::Start(299_000)).unwrap();
    transfer.set_limit(5000);
    assert_eq!(moved(transfer.run()).unwrap().bytes(), 2000, "to the end, and no further");
    drop(transfer);
    to.rewind().unwrap();
    let expected = [&bytes[..100_000], &bytes[250_000..250_010], &bytes[..1000], &bytes[299_000..]];
    let mut got = Vec::new();
    to.read_to_end(&mut got).unwrap();
    assert!(got == expected.concat());
}
