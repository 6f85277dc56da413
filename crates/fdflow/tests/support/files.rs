//! Files for tests: made, compared, looked into for holes.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};

use fdflow::{Policy, Report, Route, Routes, Transfer, TransferError};
use rustix::fs::tell;
use rustix::io::Errno;

use crate::mounts::Place;
use crate::observed::same;
use crate::support::{moved, pattern};

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;

/// The routes of the environment, then each that can move between files, with a way out.
pub fn route_sets() -> [Routes; 4] {
    [
        Policy::default().routes,
        Routes::only(Route::CopyFileRange).with(Route::ReadWrite),
        Routes::only(Route::ReadWrite),
        if cfg!(fdflow_portable) { Routes::all() } else { Routes::only(Route::Splice) },
    ]
}

/// What a transfer between files has to do, and did.
pub struct Copy<'a> {
    pub sink: &'a File,
    /// What is expected to be moved.
    pub bytes: &'a [u8],
    /// What the sink holds before.
    pub old: &'a [u8],
    /// Where in the sink the bytes are expected.
    pub at: usize,
}

impl Copy<'_> {
    /// Runs it, and compares all of the sink. `None` where the environment forbids every route:
    /// then nothing may be lost.
    pub fn run(self, transfer: Transfer<&File, &File>) -> Option<Report> {
        self.run_with(transfer, moved)
    }

    /// As [`run`](Self::run), where it is not the environment that may have forbidden every route.
    pub fn run_or_refuse(self, transfer: Transfer<&File, &File>) -> Option<Report> {
        self.run_with(transfer, |result| match result {
            Err(error) if error.kind() == ErrorKind::Unsupported => None,
            result => Some(result.unwrap()),
        })
    }

    fn run_with(
        self,
        mut transfer: Transfer<&File, &File>,
        moved: impl FnOnce(Result<Report, TransferError>) -> Option<Report>,
    ) -> Option<Report> {
        let Self { sink, bytes, old, at } = self;
        let report = moved(transfer.run());
        let parts = transfer.into_parts();
        let given = usize::try_from(parts.report.bytes()).unwrap();
        let taken = given + parts.undelivered.len();
        if report.is_some() {
            assert_eq!((given, taken), (bytes.len(), bytes.len()), "{}", parts.report);
        }
        same("undelivered", &parts.undelivered, &bytes[given..taken]);
        let end = if given == 0 { 0 } else { at + given };
        let mut expected = vec![0; old.len().max(end)];
        expected[..old.len()].copy_from_slice(old);
        expected[at.min(end)..end].copy_from_slice(&bytes[..given]);
        same("the sink", &contents(sink), &expected);
        report
    }
}

pub fn contents(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// A file of these bytes, its position at its beginning; blocks of zeros are holes if `sparse`.
pub fn file_on(place: &Place, bytes: &[u8], sparse: bool) -> File {
    let zeros = [0; 64 * KIB];
    let file = place.file();
    file.set_len(bytes.len() as u64).unwrap();
    for (i, block) in bytes.chunks(64 * KIB).enumerate() {
        if !sparse || block != &zeros[..block.len()] {
            file.write_all_at(block, (i * 64 * KIB) as u64).unwrap();
        }
    }
    file
}

/// Data and long runs of zeros, beginning and ending with zeros.
pub fn holed() -> Vec<u8> {
    let mut bytes = vec![0; 3 * MIB + MIB / 2];
    bytes[MIB..MIB + 192 * KIB].copy_from_slice(&pattern(192 * KIB, 5));
    bytes[2 * MIB..2 * MIB + 64 * KIB].copy_from_slice(&pattern(64 * KIB, 6));
    bytes
}
/// How much of it is data.
pub const HOLED_DATA: u64 = 256 << 10;

/// Where the file holds data, and not holes.
pub fn data_of(mut file: &File) -> Vec<Range<u64>> {
    let before = tell(file).unwrap();
    let mut found = Vec::new();
    let mut end = 0;
    loop {
        match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(end)) {
            Ok(start) => {
                end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start)).unwrap();
                found.push(start..end);
            }
            Err(Errno::NXIO) => break,
            Err(errno) => panic!("looking for data: {errno}"),
        }
    }
    file.seek(SeekFrom::Start(before)).unwrap();
    found
}

/// Bytes that the filesystem has set aside for it.
pub fn allocated(file: &File) -> u64 {
    file.metadata().unwrap().blocks() * 512
}
