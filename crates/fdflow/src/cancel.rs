//! Ending a transfer from another thread.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::Interest;

/// Ends a [`Transfer`](crate::Transfer) or a [`Fanout`](crate::Fanout) from another thread, also one
/// that waits. Clones end the same.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Bell>);

/// Wakes a thread that polls. Silent until it is rung, and after it was answered.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: AtomicBool,
    reader: io::PipeReader,
    writer: io::PipeWriter,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self { rung: AtomicBool::new(false), reader, writer })
    }

    pub(crate) fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // One byte in a pipe of our own that holds none: there is room for it.
            let _rung = io::Write::write_all(&mut &self.writer, &[1]).is_ok();
        }
    }

    /// Whether it was rung; if so, makes it silent again. What was done before it was rung can be
    /// seen afterwards.
    pub(crate) fn answer(&self) -> bool {
        if !self.rung.load(Ordering::Acquire) {
            return false;
        }
        let _silent = io::Read::read_exact(&mut &self.reader, &mut [0]).is_ok();
        // Not a store: whoever has rung since does not ring again, and has to be heard.
        self.rung.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn interest(&self) -> Interest<'_> {
        Interest { fd: self.reader.as_fd(), readable: true }
    }
}

impl Cancel {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(Bell::new()?)))
    }

    /// Makes the running transfer, or the next run, fail with
    /// [`is_cancelled`](crate::TransferError::is_cancelled). What was moved stays moved, what was staged
    /// stays staged, and the run after that goes on.
    pub fn cancel(&self) {
        self.0.ring();
    }

    pub(crate) fn answer(&self) -> bool {
        self.0.answer()
    }

    pub(crate) fn interest(&self) -> Interest<'_> {
        self.0.interest()
    }
}
