//! A stage in the kernel: a private pipe.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::pool;
use crate::kind::Kind;
use crate::sys::errno::uninterrupted;
use crate::sys::{End, Interest, Kernel, NewPipe, Result};

/// What a stage's pipe should hold: the most that an unprivileged process may ask for.
pub(crate) const WIDE: usize = 1 << 20;
/// What a pipe holds that nobody has resized: few slots, whose content tells the size of pieces.
pub(crate) const NARROW: usize = 64 << 10;

/// A private pipe and the count of the bytes in it.
///
/// Dropped empty, it goes back to the pool; dropped with bytes in it, it is closed, so that they
/// can never reach another transfer.
#[derive(Debug)]
pub(crate) struct PipeStage {
    ends: Option<(OwnedFd, OwnedFd)>,
    reusable: bool,
    // No pipe is larger than 2 GiB.
    capacity: u32,
    len: u32,
    asked: u32,
    _counted: pool::InUse,
}

impl PipeStage {
    /// A pipe of about `capacity` bytes.
    pub(crate) fn open<K: Kernel>(kernel: &K, capacity: usize) -> Result<Self> {
        let NewPipe { reader, writer, capacity: got, reusable } = kernel.pipe(capacity)?;
        let (asked, got) = (saturated(capacity as u64), saturated(got as u64));
        let (ends, _counted) = (Some((reader, writer)), pool::InUse::new());
        Ok(Self { ends, reusable, capacity: got, len: 0, asked, _counted })
    }

    /// The capacity that was asked for; what was got may be less.
    pub(crate) fn asked(&self) -> usize {
        self.asked as usize
    }

    pub(crate) fn len(&self) -> u64 {
        self.len.into()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// The end to splice into.
    pub(crate) fn writer(&self) -> Option<End<'_>> {
        self.ends.as_ref().map(|(_, writer)| end(writer))
    }

    /// The end to splice out of.
    pub(crate) fn reader(&self) -> Option<End<'_>> {
        self.ends.as_ref().map(|(reader, _)| end(reader))
    }

    /// Whether no slot is free.
    pub(crate) fn is_full<K: Kernel>(&self, kernel: &K) -> bool {
        let Some(writer) = self.writer() else { return false };
        let room = Interest { fd: writer.fd, readable: false };
        kernel.poll(&[room], Some(Duration::ZERO)) == Ok(0)
    }

    pub(crate) fn filled(&mut self, n: u64) {
        self.len = self.len.saturating_add(saturated(n));
    }

    pub(crate) fn drained(&mut self, n: u64) {
        self.len = self.len.saturating_sub(saturated(n));
    }

    /// Appends what the pipe holds to `bytes` and forgets the pipe.
    pub(crate) fn take_into<K: Kernel>(mut self, kernel: &K, bytes: &mut Vec<u8>) {
        let mut block = [0; 4096];
        while self.len > 0
            && let Some(reader) = self.reader()
        {
            // The bytes are there and nobody else knows the pipe: it can only run dry.
            let wanted = block.len().min(self.len as usize);
            match uninterrupted(|| kernel.read(reader, &mut block[..wanted])) {
                Ok(n @ 1..) => {
                    bytes.extend_from_slice(&block[..n]);
                    self.drained(n as u64);
                }
                _ => return,
            }
        }
    }
}

fn saturated(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn end(fd: &impl AsFd) -> End<'_> {
    End { fd: fd.as_fd(), kind: Kind::Pipe, at: None, nowait: true }
}

impl Drop for PipeStage {
    fn drop(&mut self) {
        if self.len == 0
            && self.reusable
            && let Some((reader, writer)) = self.ends.take()
        {
            let capacity = self.capacity as usize;
            pool::give(NewPipe { reader, writer, capacity, reusable: true });
        }
    }
}
