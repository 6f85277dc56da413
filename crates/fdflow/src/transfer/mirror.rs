//! A mirror of what is staged: for drivers that give every byte to a pipe too, before the sink has
//! it.
//!
//! A mirrored transfer takes bytes into its stage only, never past it. What is staged is given to
//! the sink as far as the mirror has got it, so that a mirror that takes nothing holds the sink
//! up, until the driver goes on without it.

use std::io;
use std::os::fd::BorrowedFd;

use super::Transfer;
use crate::engine::{Stop, fanout};
use crate::error::Fault;
use crate::operation::Operation;
use crate::plan::Way;
use crate::report::Reason;
use crate::source::{Sink, Source};
use crate::sys::Kernel;
use crate::sys::errno::{Verdict, verdict};

impl<S: Source, D: Sink, K: Kernel> Transfer<S, D, K> {
    /// From now on no byte but the first `skip` is given to the sink that was not
    /// [mirrored](Self::mirror) before. To be called before the first run; between two streams only.
    #[doc(hidden)]
    pub fn begin_mirror(&mut self, skip: u64) {
        self.rare.get_or_insert_default().mirrored = Some(skip);
    }

    /// No more bytes need be mirrored.
    #[doc(hidden)]
    pub fn end_mirror(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.mirrored = None;
        }
    }

    /// Whether the next step needs bytes to be mirrored first.
    #[doc(hidden)]
    #[must_use]
    pub fn owes_mirror(&self) -> bool {
        self.giveable() == 0 && self.ledger.staged() > 0
    }

    /// Gives the pipe `to`, which must not block, as much of the staged bytes as it takes, and
    /// says how much that was. Moves nothing on to the sink. Where it is 0, nothing is owed, or
    /// another call may find more to do.
    ///
    /// # Errors
    ///
    /// `WouldBlock`: the pipe is full. Any other: it is broken; the bytes are still staged.
    #[doc(hidden)]
    pub fn mirror(&mut self, to: BorrowedFd<'_>) -> io::Result<u64> {
        if !self.owes_mirror() {
            return Ok(0);
        }
        let bytes = self.stage.buffer.bytes();
        let given = match self.stage.pipe.as_ref().and_then(|pipe| Some((pipe.reader()?, pipe))) {
            _ if !bytes.is_empty() => fanout::write(&self.kernel, bytes, to),
            Some((from, pipe)) if self.drains_by_splicing() => {
                fanout::tee(&self.kernel, from.fd, to, pipe.len())
            }
            // The route was left: its bytes pass through the buffer, and are mirrored there.
            _ => return self.unload_to_mirror(),
        };
        match given {
            Ok(n) => {
                self.credit(n);
                Ok(n)
            }
            Err(Stop::Wait(_)) => Err(io::ErrorKind::WouldBlock.into()),
            Err(Stop::Call { operation, errno, .. })
                if self.stage.buffer.bytes().is_empty()
                    && verdict(operation, errno, false) == Verdict::Refused =>
            {
                self.refuse(Way::SpliceStaged, Reason::Errno { operation, errno });
                Ok(0)
            }
            Err(Stop::Call { errno, .. }) => Err(errno.into()),
            Err(Stop::Fault(fault)) => Err(fault.cause),
            Err(Stop::Refused(_)) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    fn unload_to_mirror(&mut self) -> io::Result<u64> {
        match self.unload() {
            Some(Err(Stop::Call { errno, .. })) => Err(errno.into()),
            Some(Err(Stop::Fault(fault))) => Err(fault.cause),
            Some(Err(_)) | None => Err(io::ErrorKind::InvalidData.into()),
            Some(Ok(())) => Ok(0),
        }
    }

    /// How many of the staged bytes may be given to the sink.
    pub(super) fn giveable(&self) -> u64 {
        self.rare.as_ref().and_then(|rare| rare.mirrored).unwrap_or(u64::MAX)
    }

    pub(super) fn is_mirrored(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.mirrored.is_some())
    }

    fn credit(&mut self, n: u64) {
        if let Some(mirrored) = self.rare.as_mut().and_then(|rare| rare.mirrored.as_mut()) {
            *mirrored = mirrored.saturating_add(n);
        }
    }

    /// The sink was given so many of the bytes that the mirror has got.
    pub(super) fn spend(&mut self, n: u64) {
        if let Some(mirrored) = self.rare.as_mut().and_then(|rare| rare.mirrored.as_mut()) {
            *mirrored = mirrored.saturating_sub(n);
        }
    }

    /// A step without the mirror would give it bytes too late.
    pub(super) fn mirror_is_owed(&self) -> Fault {
        let cause = "the mirror has to get its bytes first";
        Fault::plain(Operation::Tee, io::Error::new(io::ErrorKind::InvalidInput, cause))
    }
}
