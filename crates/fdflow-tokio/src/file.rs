//! Files as sources: always ready, but a call that finds a page missing waits for the disk, and
//! with it every other task of the thread. So it is looked whether the next bytes are in the page
//! cache, and where they are not, a thread that may wait reads them first.

use std::future::Future;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::FileType;
use tokio::task::JoinHandle;

/// So much is looked at, and read ahead, at once.
const WINDOW: u64 = 512 << 10;

/// Refuses a file that is none: its calls would block the runtime.
pub(crate) fn check(fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let Some(fd) = fd else { return Ok(()) };
    let waits = match FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode) {
        FileType::Fifo | FileType::Socket => true,
        FileType::CharacterDevice => rustix::termios::isatty(fd),
        _ => false,
    };
    if waits {
        let message = "a File that is a pipe, a socket or a terminal would block the runtime: \
                       use pipe::Receiver, pipe::Sender, a stream or AsyncFd";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(())
}

/// How far a file is known to be in the page cache.
#[derive(Debug, Default)]
pub(crate) struct Cached {
    until: u64,
    reading: Option<JoinHandle<()>>,
}

impl Cached {
    /// How many bytes of `file` from `at` on can be had without waiting for a disk.
    pub(crate) fn poll(
        &mut self,
        file: BorrowedFd<'_>,
        at: u64,
        cx: &mut Context<'_>,
    ) -> Poll<u64> {
        let window = self.until.saturating_sub(WINDOW)..self.until;
        if window.contains(&at) && self.reading.is_none() {
            return Poll::Ready(self.until - at);
        }
        let ahead = at..at.saturating_add(WINDOW);
        if self.reading.is_none() && !fdflow::sys::answers_at_once(file, ahead) {
            // Without a descriptor to spare the caller itself has to wait.
            let duplicate = file.try_clone_to_owned().ok();
            self.reading =
                duplicate.map(|file| tokio::task::spawn_blocking(move || read_ahead(&file, at)));
        }
        if let Some(reading) = &mut self.reading {
            // An error is found again, and told, by the call that needs the bytes.
            let _read = ready!(Pin::new(reading).poll(cx)).is_ok();
            self.reading = None;
        }
        self.until = at.saturating_add(WINDOW);
        Poll::Ready(WINDOW)
    }
}

fn read_ahead(file: &OwnedFd, at: u64) {
    let mut block = vec![0; 64 << 10];
    let end = at.saturating_add(WINDOW);
    let mut at = at;
    while at < end
        && let Ok(n @ 1..) = rustix::io::pread(file, &mut block, at)
    {
        at += n as u64;
    }
}
