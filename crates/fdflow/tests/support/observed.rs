//! Telling what a transfer did from outside: flags, positions, bytes, and which case it was.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

use std::os::fd::BorrowedFd;
use std::thread;

use rustix::fs::{FileType, OFlags, fcntl_getfl, fstat, tell};

/// What is running, told when it fails.
pub struct Case(pub String);

impl Drop for Case {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the case: {}", self.0);
        }
    }
}

/// What a transfer may not change of a descriptor, or must change by exactly what it moved.
pub struct State {
    flags: Option<OFlags>,
    position: Option<u64>,
}

impl State {
    pub fn of(fd: Option<BorrowedFd<'_>>) -> Self {
        let flags = fd.map(|fd| fcntl_getfl(fd).unwrap());
        let is_file = |fd: &BorrowedFd<'_>| {
            FileType::from_raw_mode(fstat(fd).unwrap().st_mode) == FileType::RegularFile
        };
        Self { flags, position: fd.filter(is_file).map(|fd| tell(fd).unwrap()) }
    }

    /// Expects the same flags, and the position `moved` made of the one before.
    pub fn check(self, end: &str, fd: Option<BorrowedFd<'_>>, moved: impl FnOnce(u64) -> u64) {
        let now = Self::of(fd);
        assert_eq!(now.flags, self.flags, "the {end}'s flags");
        assert_eq!(now.position, self.position.map(moved), "the {end}'s position");
    }

    /// Whether it is a regular file, which alone has a position.
    pub fn is_file(&self) -> bool {
        self.position.is_some()
    }

    /// Whether every write goes to the end.
    pub fn appends(&self) -> bool {
        self.flags.is_some_and(|flags| flags.contains(OFlags::APPEND))
    }
}

/// Says where two rows of bytes differ, rather than printing them.
pub fn same(what: &str, got: &[u8], expected: &[u8]) {
    if got == expected {
        return;
    }
    let at = got.iter().zip(expected).position(|(got, expected)| got != expected);
    let at = at.unwrap_or(got.len().min(expected.len()));
    let lengths = (got.len(), expected.len());
    panic!("{what} differs from what it should be at byte {at}; the lengths are {lengths:?}");
}
