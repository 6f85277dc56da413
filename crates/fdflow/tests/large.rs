//! Transfers beyond the borders of 31 and 32 bits, and how much memory they take.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test binary: panics are its failures")]

#[path = "support/observed.rs"]
mod observed;
mod support;

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::thread;

use fdflow::{Route, Routes, Sink, Transfer};
use observed::{Case, same};
use support::{Room, moved, pattern, skipped};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Past 4 GiB, and no multiple of anything.
const LENGTH: u64 = 4 * GIB + 33 * MIB + 7;
/// Sentinels of this length, where a count or an offset could be cut off.
const SENTINEL: usize = 3 * 4096 + 5;
/// Around the start, 2^31 (with the most that one call moves, a page less), 2^32 and the end.
const BORDERS: [u64; 4] = [0, 1 << 31, 1 << 32, LENGTH];

/// Where the sentinels lie, and what they are.
fn sentinels() -> Vec<(u64, Vec<u8>)> {
    let half = SENTINEL as u64 / 2;
    let at = |border: u64| border.saturating_sub(half).min(LENGTH - SENTINEL as u64);
    let mut seeds = 20..;
    BORDERS.map(|border| (at(border), pattern(SENTINEL, seeds.next().unwrap()))).to_vec()
}

/// A file with nothing but sentinels in it.
fn long_file(file: File) -> File {
    file.set_len(LENGTH).unwrap();
    for (at, sentinel) in sentinels() {
        file.write_all_at(&sentinel, at).unwrap();
    }
    file
}

/// Looks at bytes as they come, and keeps none.
struct Examiner {
    seen: u64,
    expected: Vec<(u64, Vec<u8>)>,
    zeros: Vec<u8>,
}

impl Examiner {
    fn new() -> Self {
        Self { seen: 0, expected: sentinels(), zeros: vec![0; index(MIB)] }
    }

    fn read(mut self, mut from: impl Read) -> u64 {
        let mut block = vec![0; index(MIB)];
        loop {
            match from.read(&mut block).unwrap() {
                0 => return self.seen,
                n => self.look(&mut block[..n]),
            }
        }
    }

    /// Each sentinel byte as it should be, and nothing but zeros between them.
    fn look(&mut self, block: &mut [u8]) {
        let (start, end) = (self.seen, self.seen + block.len() as u64);
        for (at, sentinel) in &self.expected {
            let from = start.max(*at);
            let to = end.min(at + sentinel.len() as u64);
            if from < to {
                let got = &mut block[index(from - start)..index(to - start)];
                same(&format!("at {from}"), got, &sentinel[index(from - at)..index(to - at)]);
                got.fill(0);
            }
        }
        same(&format!("between, at {start}"), block, &self.zeros[..block.len()]);
        self.seen = end;
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap()
}

#[test]
fn h43_a_file_past_4_gib_into_a_file() {
    let _room = Room::enter();
    if cfg!(fdflow_portable) {
        return skipped("h43_a_file_past_4_gib_into_a_file", "its holes would all be written");
    }
    for chunk in [fdflow::DEFAULT_CHUNK, usize::MAX] {
        let _case = Case(format!("chunks of {chunk}"));
        let mut source = long_file(tempfile::tempfile().unwrap());
        let mut sink = tempfile::tempfile().unwrap();
        let Some(report) = moved(Transfer::new(&source, &sink).chunk(chunk).run()) else { return };
        assert_eq!(report.bytes(), LENGTH, "{report}");
        assert_eq!(source.stream_position().unwrap(), LENGTH);
        assert_eq!(sink.stream_position().unwrap(), LENGTH);
        assert_eq!(sink.metadata().unwrap().len(), LENGTH);
        for (at, sentinel) in sentinels() {
            let mut got = vec![0; SENTINEL];
            sink.read_exact_at(&mut got, at).unwrap();
            same(&format!("the sentinel at {at}"), &got, &sentinel);
        }
        assert!(sink.metadata().unwrap().blocks() * 512 < MIB, "holes stay holes: {report}");
    }
}

/// On tmpfs holes cost no pages.
fn long_tmpfs_file() -> File {
    long_file(tempfile::tempfile_in("/dev/shm").unwrap())
}

#[test]
fn h43_a_file_past_4_gib_into_streams() {
    let _room = Room::enter();
    let (pipe, piped) = io::pipe().unwrap();
    into_stream("pipe", pipe, piped);
    let (unix, connected) = UnixStream::pair().unwrap();
    into_stream("unix", unix, connected);
}

fn into_stream(name: &str, from: impl Read + Send + 'static, to: impl Sink) {
    let _case = Case(name.to_owned());
    let examiner = thread::spawn(|| Examiner::new().read(from));
    let mut source = long_tmpfs_file();
    let report = moved(Transfer::new(&source, to).chunk(usize::MAX).run());
    let seen = examiner.join().unwrap();
    if let Some(report) = report {
        assert_eq!((report.bytes(), seen), (LENGTH, LENGTH), "{report}");
        assert_eq!(source.stream_position().unwrap(), LENGTH);
    }
}

/// Where one call may take all that a call ever takes.
#[test]
fn h43_counts_past_31_bits_into_a_device() {
    let _room = Room::enter();
    let mut source = long_tmpfs_file();
    for route in [Route::Sendfile, Route::Splice, Route::ReadWrite] {
        let _case = Case(format!("by {route}"));
        source.rewind().unwrap();
        let null = File::options().write(true).open("/dev/null").unwrap();
        let routes = Routes::only(route).with(Route::ReadWrite);
        let transfer = Transfer::new(&source, null).routes(routes).chunk(usize::MAX);
        let report = transfer.limit(LENGTH - 1).run().unwrap();
        assert_eq!(report.bytes(), LENGTH - 1, "{report}");
        assert_eq!(source.stream_position().unwrap(), LENGTH - 1);
        assert!(cfg!(fdflow_portable) || report.bytes_by(route) == LENGTH - 1, "{report}");
    }
}

#[test]
fn h43_offsets_past_32_bits() {
    let _room = Room::enter();
    let source = long_file(tempfile::tempfile().unwrap());
    let (at, sentinel) = &sentinels()[2];
    for route in [Route::CopyFileRange, Route::Splice, Route::ReadWrite] {
        let _case = Case(format!("by {route}"));
        let sink = tempfile::tempfile().unwrap();
        // Both ends cross the border between two calls.
        let to = (1 << 32) - 5000;
        let transfer = Transfer::new(&source, &sink).source_offset(*at).sink_offset(to);
        let routes = Routes::only(route).with(Route::ReadWrite);
        let mut transfer = transfer.routes(routes).chunk(4096).limit(SENTINEL as u64);
        let report = transfer.run().unwrap();
        assert_eq!(report.bytes(), SENTINEL as u64, "{report}");
        let mut got = vec![0; SENTINEL];
        sink.read_exact_at(&mut got, to).unwrap();
        same("the sink", &got, sentinel);
        assert_eq!(sink.metadata().unwrap().len(), to + SENTINEL as u64);
    }
}

/// A transfer of `n` bytes, which is to take no memory to speak of.
type Flow = fn(n: u64);

#[test]
fn memory_does_not_grow_with_the_length() {
    let _room = Room::enter();
    let test = "memory_does_not_grow_with_the_length";
    let flows: [(&str, Flow); 4] = [
        ("file -> pipe by splice", |n| file_to_pipe(n, Route::Splice)),
        ("file -> pipe by read_write", |n| file_to_pipe(n, Route::ReadWrite)),
        ("unix -> unix by splice", |n| unix_to_unix(n, Routes::all())),
        ("unix -> unix by read_write", |n| unix_to_unix(n, Routes::only(Route::ReadWrite))),
    ];
    for (name, flow) in flows {
        let _case = Case(name.to_owned());
        flow(MIB);
        let resident = memory("VmRSS:");
        let peaks = [64 * MIB, GIB].map(|n| {
            // Sets the high-water mark back to what is resident now.
            let reset = std::fs::write("/proc/self/clear_refs", "5");
            reset.map(|()| flow(n)).map(|()| memory("VmHWM:"))
        });
        let [Ok(short), Ok(long)] = peaks else {
            return skipped(test, "the high-water mark cannot be reset");
        };
        assert!(long < short + 4 * MIB, "{long} bytes after {short} bytes");
        assert!(long < resident + 4 * MIB, "{long} bytes after {resident} bytes");
    }
}

/// A line of the process's status, in bytes.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn file_to_pipe(n: u64, route: Route) {
    let source = tempfile::tempfile_in("/dev/shm").unwrap();
    source.set_len(n).unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let counter = thread::spawn(|| count(reader));
    let routes = Routes::only(route).with(Route::ReadWrite);
    let report = Transfer::new(&source, writer).routes(routes).run().unwrap();
    assert_eq!((report.bytes(), counter.join().unwrap()), (n, n), "{report}");
}

fn unix_to_unix(n: u64, routes: Routes) {
    let ((mut feeding, source), (sink, reader)) = (support::unix(), support::unix());
    let feeder = thread::spawn(move || {
        let block = vec![7; index(MIB)];
        (0..n / MIB).for_each(|_| feeding.write_all(&block).unwrap());
    });
    let counter = thread::spawn(|| count(reader));
    let report = Transfer::new(source, sink).routes(routes).run().unwrap();
    feeder.join().unwrap();
    assert_eq!((report.bytes(), counter.join().unwrap()), (n, n), "{report}");
}

fn count(mut from: impl Read) -> u64 {
    let mut block = vec![0; 256 << 10];
    let mut seen = 0;
    loop {
        match from.read(&mut block).unwrap() {
            0 => return seen,
            n => seen += n as u64,
        }
    }
}
