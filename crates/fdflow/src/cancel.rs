//! Ending a transfer from another thread.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::Interest;

/// Ends a [`Transfer`](crate::Transfer) from another thread, also one that waits. Clones end the same transfer.
#[derive(Debug, Clone)]
pub struct Cancel(Arc<Bell>);

#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    reader: io::PipeReader,
    writer: io::PipeWriter,
}

impl Cancel {
    pub(crate) fn new() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        Ok(Self(Arc::new(Bell { rung: AtomicBool::new(false), reader, writer })))
    }

    /// Makes the running transfer, or the next run, fail with
    /// [`is_cancelled`](crate::TransferError::is_cancelled). What was moved stays moved, what was staged
    /// stays staged, and the run after that goes on.
    pub fn cancel(&self) {
        if !self.0.rung.swap(true, Ordering::AcqRel) {
            // One byte in a pipe of our own that holds none: there is room for it.
            let _rung = io::Write::write_all(&mut &self.0.writer, &[1]).is_ok();
        }
    }

    /// Whether it was rung; if so, makes it silent again.
    pub(crate) fn answer(&self) -> bool {
        if !self.0.rung.load(Ordering::Acquire) {
            return false;
        }
        let _silent = io::Read::read_exact(&mut &self.0.reader, &mut [0]).is_ok();
        self.0.rung.store(false, Ordering::Release);
        true
    }

    pub(crate) fn interest(&self) -> Interest<'_> {
        Interest { fd: self.0.reader.as_fd(), readable: true }
    }
}
