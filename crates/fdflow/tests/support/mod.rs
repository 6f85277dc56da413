//! What the tests on real descriptors share.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part of it, and fails by panicking"
)]

pub mod child;
pub mod confine;
pub mod rig;
pub mod watch;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, spawn};

use fdflow::{Report, Route, Routes, TransferError, denied_by_environment};

/// A test's own time in the process: the tests of a binary run one after the other, so that
/// descriptors can be counted. Dropped, it checks that none is left over (H60). A test that stays
/// in it for minutes hangs, and ends the process.
pub struct Room {
    before: Vec<String>,
    _watchdog: watch::Watchdog,
    _alone: MutexGuard<'static, ()>,
}

impl Room {
    pub fn enter() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        fdflow::clear_pool();
        let watchdog = watch::Watchdog::start();
        Self { before: descriptors(), _watchdog: watchdog, _alone: alone }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        fdflow::clear_pool();
        let after = descriptors();
        assert!(after.len() <= self.before.len(), "left: {after:?}, before {:?}", self.before);
    }
}

/// What each open descriptor refers to.
pub fn descriptors() -> Vec<String> {
    let dir = std::fs::read_dir("/proc/self/fd").unwrap();
    // The descriptor of the listing itself is gone by the time its link is read.
    let links = dir.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.map(|link| link.display().to_string()).collect()
}

/// `n` bytes without a period that a lost or repeated block could hide in.
pub fn pattern(n: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(n + 8);
    while bytes.len() < n {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(n);
    bytes
}

/// A connected pair of TCP sockets.
pub fn tcp() -> (TcpStream, TcpStream) {
    connected("127.0.0.1:0")
}

/// A connected pair of TCP sockets over IPv6.
pub fn tcp6() -> (TcpStream, TcpStream) {
    connected("[::1]:0")
}

fn connected(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A connected pair of Unix stream sockets.
pub fn unix() -> (UnixStream, UnixStream) {
    UnixStream::pair().unwrap()
}

/// Reads to the end on another thread.
pub fn reading(mut from: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Writes everything on another thread, then closes.
pub fn writing(mut to: impl Write + Send + 'static, bytes: Vec<u8>) -> JoinHandle<()> {
    spawn(move || to.write_all(&bytes).unwrap())
}

/// A file of these bytes without a name, at its beginning.
pub fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    file
}

/// What the environment forbids: the suite is also run with routes denied by `FDFLOW_DENY`.
pub fn denied() -> Routes {
    denied_by_environment()
}

/// The report of a transfer, or `None` where it could not be made because the environment denies
/// every route that works for its pair. Any other error fails the test.
pub fn moved(result: Result<Report, TransferError>) -> Option<Report> {
    match result {
        Ok(report) => Some(report),
        Err(error) if error.kind() == std::io::ErrorKind::Unsupported && !denied().is_empty() => {
            eprintln!("not to be moved with FDFLOW_DENY={:?}: {error}", denied());
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Whether the library was built without kernel routes, to test its portable backend.
pub const PORTABLE: bool = cfg!(fdflow_portable);

/// Checks that everything went by this route, where the build has it.
pub fn all_went_by(route: Route, report: &Report) {
    if !(PORTABLE && route.in_kernel()) {
        assert_eq!(report.bytes_by(route), report.bytes(), "not all by {route}: {report}");
    }
}

/// Says loudly that a test did not run, and why.
pub fn skipped(test: &str, reason: &str) {
    // Not by a macro, whose output the test harness keeps to itself.
    let line = format!("SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
