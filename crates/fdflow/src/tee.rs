//! A pipe whose bytes go to a mirror too, whichever way they leave it.

mod mirror;
#[cfg(test)]
mod scripted;

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};

use crate::error::TransferError;
use crate::kind::Kind;
use crate::operation::Operation;
use crate::pipe::{ReadEnd, WriteEnd};
use crate::policy::Policy;
use crate::report::{Reason, Refusal, Report};
use crate::route::{Route, Routes};
use crate::source::{Buffered, Sink, Source};
use crate::stage::Buffer;
use crate::sys::errno::uninterrupted;
use crate::sys::{End, Kernel, System};
use crate::transfer::Transfer;

/// The read end of a pipe that is mirrored: [`ReadEnd::tee`].
///
/// Every byte that leaves the pipe goes to the mirror exactly once, however it leaves: by
/// [`drain_to`](Self::drain_to), which splices, or by [`Read`]. There is no other way out: the
/// descriptor is not handed out, and a [`Transfer`] from a `Teed` goes through its `read`.
///
/// A mirror that is a pipe gets its bytes by `tee(2)`, without a copy; any other descriptor by
/// `tee` into a private pipe and a splice from there; a `Write` ([`Plain`](crate::Plain)) by `tee` and
/// a read. Where the kernel refuses or `FDFLOW_DENY` names `splice`, bytes are copied.
///
/// * **Blocking and backpressure.** The mirror gets bytes first; what it does not take, the pipe
///   does not give to anyone. A slow mirror slows the drain down, a stopped one stops it. For
///   mirrors that nobody should wait for see [`Fanout`](crate::Fanout).
/// * **Errors.** The first failure of the mirror ends the drain with an error whose
///   [`operation`](TransferError::operation) is [`Operation::Tee`]. Bytes that the mirror did
///   not take all of are still to be had: drain again, to try it once more, or
///   [`detach`](Self::detach) the mirror and go on without it.
/// * **End.** The mirror stays open at the pipe's end; it is closed when this is dropped, or given
///   back by [`detach`](Self::detach).
///
/// ```
/// use std::io::{Read, Write};
/// use fdflow::Pipe;
/// let (reader, mut writer) = Pipe::new()?.split();
/// let (mut copies, mirror) = Pipe::new()?.split();
/// writer.write_all(b"both see this")?;
/// drop(writer);
///
/// # let dir = tempfile::tempdir()?;
/// # let mut file = std::fs::File::create(dir.path().join("f"))?;
/// let mut teed = reader.tee(mirror);
/// teed.drain_to(&mut file)?;
/// assert_eq!(teed.mirrored(), 13);
/// drop(teed); // closes the mirror
///
/// let mut text = String::new();
/// copies.read_to_string(&mut text)?;
/// assert_eq!(text, "both see this");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Teed<M, K = System> {
    kernel: K,
    routes: Routes,
    reader: ReadEnd,
    mirror: Mirror<M, K>,
    /// Why `tee` is not used; `None` while it is.
    refused: Option<Refusal>,
    /// Bytes that were copied out of the pipe because `tee` was refused: they come before those
    /// that are in it.
    ahead: Buffer,
    /// So many of the next bytes, those of `ahead` first, has the mirror got already.
    credit: u64,
    /// So many behind these are on their way to it.
    pending: u64,
    mirrored: u64,
}

#[derive(Debug)]
enum Mirror<M, K> {
    /// A pipe, or what has to be written to.
    Raw(M),
    /// Fed from a private pipe.
    Staged { feed: WriteEnd, transfer: Box<Transfer<PipeReader, M, K>>, fed: u64 },
}

/// A mirrored pipe taken apart.
#[derive(Debug)]
#[non_exhaustive]
pub struct Detached<M> {
    /// The read end of the pipe.
    pub reader: ReadEnd,
    /// The mirror.
    pub mirror: M,
    /// Bytes that had left the pipe for the mirror but were not drained: they come before those
    /// of `reader`. Empty unless bytes were copied.
    pub ahead: Vec<u8>,
    /// Bytes that the mirror was given.
    pub mirrored: u64,
    /// So many of the next bytes (of `ahead`, then of `reader`) has the mirror got. Not 0 only
    /// after an error of a sink, or where the mirror failed in the middle of its bytes.
    pub in_advance: u64,
}

impl<M: Sink> Teed<M> {
    pub(crate) fn new(reader: ReadEnd, mirror: M) -> Self {
        Self::on(System, Policy::default().routes, reader, mirror)
    }
}

impl<M: Sink, K: Kernel + Copy> Teed<M, K> {
    fn on(kernel: K, routes: Routes, reader: ReadEnd, mirror: M) -> Self {
        let kind = match mirror.descriptor().map(|fd| kernel.traits(fd)) {
            Some(Ok(traits)) => traits.kind,
            _ => Kind::User,
        };
        let mut refused =
            (!routes.contains(Route::Splice)).then(|| Refusal::new(Route::Splice, Reason::Denied));
        let mut stage = None;
        if kind != Kind::Pipe && refused.is_none() {
            let capacity = kernel.capacity(reader.as_fd()).unwrap_or_default();
            match kernel.pipe(capacity) {
                Ok(pipe) => stage = Some(pipe),
                Err(errno) => {
                    let reason = Reason::Errno { operation: Operation::Pipe, errno };
                    refused = Some(Refusal::new(Route::Splice, reason));
                }
            }
        }
        let mirror = match stage {
            None => Mirror::Raw(mirror),
            Some(stage) => {
                let (from, feed) = (PipeReader::from(stage.reader), PipeWriter::from(stage.writer));
                let transfer = Box::new(Transfer::on(kernel, from, mirror).routes(routes));
                Mirror::Staged { feed: feed.into(), transfer, fed: 0 }
            }
        };
        let ahead = Buffer::default();
        Self { kernel, routes, reader, mirror, refused, ahead, credit: 0, pending: 0, mirrored: 0 }
    }

    /// Moves all that comes out of the pipe into `sink`, and into the mirror too, until the write
    /// end is closed and the pipe is empty.
    ///
    /// The report is of what went into `sink`, as that of [`ReadEnd::drain_to`].
    ///
    /// # Errors
    ///
    /// The first failure of the sink or, as [`Operation::Tee`], of the mirror. What the sink was
    /// given the mirror has got too. After a failure of the sink its
    /// [`undelivered`](TransferError::undelivered) bytes had left the pipe; the mirror has got
    /// them, and none twice if draining goes on.
    pub fn drain_to(&mut self, sink: impl Sink) -> Result<Report, TransferError> {
        self.drain_up_to(u64::MAX, sink)
    }

    /// As [`drain_to`](Self::drain_to), but at most `limit` bytes, and not a byte more is taken
    /// or mirrored.
    ///
    /// # Errors
    ///
    /// As for [`drain_to`](Self::drain_to).
    pub fn drain_up_to(&mut self, limit: u64, sink: impl Sink) -> Result<Report, TransferError> {
        let (kernel, routes) = (self.kernel, self.routes);
        let transfer = Transfer::on(kernel, Credited(self), sink);
        let mut transfer = transfer.routes(routes).limit(limit);
        loop {
            let left = limit.saturating_sub(transfer.ledger().taken());
            if let Err(fault) = transfer.source.0.mirror_up_to(left) {
                return Err(transfer.failed(fault));
            }
            let more = left > 0 && transfer.source.0.credit > 0;
            // Once more at the end: it flushes the sink and checks that the two fit.
            if let Err(error) = transfer.run() {
                let undelivered = transfer.take_undelivered();
                return Err(error.with_undelivered(undelivered));
            }
            if !more {
                return Ok(transfer.report().clone());
            }
        }
    }

    /// How many bytes the mirror has been given.
    pub fn mirrored(&self) -> u64 {
        match &self.mirror {
            Mirror::Raw(_) => self.mirrored,
            Mirror::Staged { transfer, .. } => transfer.report().bytes(),
        }
    }

    /// Why bytes are copied to the mirror; `None` while `tee(2)` does it.
    pub fn refused(&self) -> Option<Refusal> {
        self.refused
    }

    /// How many bytes the pipe holds now; see [`Pipe::len`](crate::Pipe::len).
    ///
    /// # Errors
    ///
    /// As for [`Pipe::len`](crate::Pipe::len).
    pub fn len(&self) -> io::Result<usize> {
        Ok(self.ahead.bytes().len() + self.kernel.held(self.reader.as_fd())?)
    }

    /// Whether there are no bytes to be drained now.
    ///
    /// # Errors
    ///
    /// As for [`Pipe::len`](crate::Pipe::len).
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Ends the mirroring: the pipe and the mirror, each on its own again.
    pub fn detach(self) -> Detached<M> {
        let Self { reader, mirror, ahead, credit, mirrored, .. } = self;
        let (mirror, given) = match mirror {
            Mirror::Raw(mirror) => (mirror, mirrored),
            Mirror::Staged { transfer, .. } => {
                let parts = transfer.into_parts();
                (parts.sink, parts.report.bytes())
            }
        };
        let in_advance = credit + given.saturating_sub(mirrored);
        let ahead = ahead.bytes().to_vec();
        Detached { reader, mirror, ahead, mirrored: given, in_advance }
    }
}

/// A `read` that the mirror sees too. Without bytes in the pipe it blocks.
impl<M: Sink, K: Kernel + Copy> Read for Teed<M, K> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.mirror_up_to(buffer.len() as u64).map_err(|fault| fault.cause)?;
        let most = usize::try_from(self.credit).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let n = match self.take_ahead(&mut buffer[..most]) {
            0 => {
                let from = end(self.reader.as_fd());
                uninterrupted(|| self.kernel.read(from, &mut buffer[..most]))?
            }
            n => return Ok(n),
        };
        self.credit -= n as u64;
        Ok(n)
    }
}

/// Through its `read`, so that the mirror gets what a [`Transfer`] moves;
/// [`drain_to`](Teed::drain_to) is the faster way.
impl<M: Sink, K: Kernel + Copy> Source for Teed<M, K> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}

impl<M, K> Teed<M, K> {
    /// Bytes that left the pipe before and that the mirror has got.
    fn take_ahead(&mut self, buffer: &mut [u8]) -> usize {
        let most = usize::try_from(self.credit).unwrap_or(usize::MAX).min(buffer.len());
        let bytes = self.ahead.bytes();
        let n = bytes.len().min(most);
        buffer[..n].copy_from_slice(&bytes[..n]);
        self.ahead.consume(n);
        self.credit -= n as u64;
        n
    }
}

/// The pipe as far as the mirror has got its bytes, for the transfer that moves them.
struct Credited<'a, M, K>(&'a mut Teed<M, K>);

impl<M, K> Source for Credited<'_, M, K> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.reader.as_fd())
    }
    fn may_buffer(&self) -> bool {
        !self.0.ahead.bytes().is_empty()
    }
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        let n = self.0.take_ahead(buffer);
        Ok(Buffered { n, more: self.0.credit > 0 && self.may_buffer() })
    }
    fn limit(&self) -> Option<u64> {
        Some(self.0.credit)
    }
    fn advanced(&mut self, n: u64) {
        self.0.credit = self.0.credit.saturating_sub(n);
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut self.0.reader, buffer)
    }
}

/// A pipe as an end of a call that may wait for it.
fn end(fd: BorrowedFd<'_>) -> End<'_> {
    End { fd, kind: Kind::Pipe, at: None, nowait: false }
}
