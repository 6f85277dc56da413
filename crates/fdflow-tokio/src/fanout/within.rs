//! The ends of the pipes within a fan-out.
//!
//! The runtime is not asked about them: what is at the other end of such a pipe is polled by the
//! same task, which comes back to this end whenever that has moved something. Nor is the system
//! asked in vain: a call that finds nothing costs as much as one that moves, and after many of
//! them a flow takes its route for stuck.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use fdflow::{Account, ReadEnd, WriteEnd};

use crate::end::{AsyncSink, AsyncSource};

/// The end of the hub's pipe that the source's bytes go into.
#[derive(Debug)]
pub(super) struct Inlet {
    end: WriteEnd,
    /// It has taken nothing, and nothing was relayed since.
    full: AtomicBool,
}

impl Inlet {
    pub(super) fn new(end: WriteEnd) -> Self {
        Self { end, full: AtomicBool::new(false) }
    }

    /// Something was relayed, and may have left room.
    pub(super) fn has_room(&self) {
        self.full.store(false, Ordering::Relaxed);
    }
}

impl AsyncSink for Inlet {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.end.as_fd())
    }
    fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        call()
    }
    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.full.store(true, Ordering::Relaxed);
        Poll::Pending
    }
}

/// The end of a lane's pipe that is emptied into its sink.
#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) end: ReadEnd,
    pub(super) account: Account,
}

impl AsyncSource for Outlet {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.end.as_fd())
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        if self.account.has_more() { call() } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}
