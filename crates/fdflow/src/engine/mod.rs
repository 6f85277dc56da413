//! What moves bytes: one call at a time, without waiting and without choosing.
//!
//! [`direct`] makes one call from source to sink; [`relay`] fills the stage and drains it.
//! Both say what came of the one call; what to do about it is the transfer's.

pub(crate) mod direct;
pub(crate) mod extents;
pub(crate) mod fanout;
pub(crate) mod relay;

use rustix::io::Errno;

use crate::endpoint::Endpoint;
use crate::error::Fault;
use crate::kind::Kind;
use crate::ledger::{Imbalance, Ledger};
use crate::operation::{Operation, Side};
use crate::report::Reason;
use crate::source::{Sink, Source};
use crate::sys::errno::uninterrupted;
use crate::sys::{self, End, Kernel};
use crate::transfer::Terms;

/// What one step moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// So many bytes were given to the sink, `holes` of them without being moved.
    Given { bytes: u64, holes: u64 },
    /// So many bytes were taken into the stage.
    Staged(u64),
    /// The source gave nothing; `asked` says whether a call said so, or its length.
    Ended { operation: Operation, asked: bool },
}

/// Why a step moved nothing.
#[derive(Debug)]
pub(crate) enum Stop {
    /// An end is not ready.
    Wait(Side),
    /// A call failed.
    Call { operation: Operation, side: Option<Side>, errno: Errno },
    /// The route cannot go on, for a reason that is no errno.
    Refused(Reason),
    /// A failure that no other route can mend.
    Fault(Fault),
}

pub(crate) type Step = Result<Progress, Stop>;

/// The two ends and the ledger, as engines see them.
pub(crate) struct Ends<'a, K> {
    pub(crate) kernel: &'a K,
    pub(crate) terms: &'a Terms,
    pub(crate) source: &'a mut dyn Source,
    pub(crate) sink: &'a mut dyn Sink,
    pub(crate) from: &'a mut Endpoint,
    pub(crate) to: &'a mut Endpoint,
    pub(crate) ledger: &'a mut Ledger,
}

impl<K: Kernel> Ends<'_, K> {
    /// The source's end of the next call; `None` without a descriptor.
    pub(crate) fn source_end(&self) -> Option<End<'_>> {
        let fd = self.source.descriptor()?;
        let (kind, at) = (self.from.kind, self.from.at(self.ledger.taken()));
        Some(End { fd, kind, at, nowait: self.from.gated })
    }

    /// The sink's end of the next call; `None` without a descriptor.
    pub(crate) fn sink_end(&self) -> Option<End<'_>> {
        let fd = self.sink.descriptor()?;
        let (kind, at) = (self.to.kind, self.to.at(self.ledger.given()));
        Some(End { fd, kind, at, nowait: self.to.gated })
    }

    /// How many bytes a regular file has from here on, by the length that it had when it was
    /// last asked; `None` where that cannot be told.
    pub(crate) fn left(&self) -> Option<u64> {
        let at = self.from.position(self.ledger.taken())?;
        Some(self.from.length()?.saturating_sub(at))
    }

    /// Asks a regular file for its length again: whether it covers what has been taken.
    pub(crate) fn has_grown(&mut self) -> Result<bool, Stop> {
        let at = self.from.position(self.ledger.taken());
        let (Some(fd), Some(at)) = (self.source.descriptor(), at) else { return Ok(false) };
        if self.from.length().is_none() {
            return Ok(false);
        }
        let length = self.kernel.length(fd).map_err(call_failed(Operation::Probe, Side::Source))?;
        self.from.set_length(length);
        Ok(at <= length)
    }

    /// Keeps a call that could block, and that cannot be told not to, until poll has said that it
    /// will not.
    pub(crate) fn gate(&mut self, side: Side) -> Result<(), Stop> {
        let end = match side {
            Side::Source => &mut *self.from,
            Side::Sink => &mut *self.to,
        };
        if end.gated && !end.ready { Err(Stop::Wait(side)) } else { Ok(()) }
    }

    /// How many of `n` bytes the sink takes without blocking, where that matters; the sink's
    /// readiness is used up.
    pub(crate) fn room(&mut self, n: u64) -> Result<u64, Stop> {
        if !self.to.gated || self.to.kind == Kind::Pipe {
            return Ok(n);
        }
        self.to.ready = false;
        let Some(end) = self.sink_end() else { return Ok(n) };
        let room = self.kernel.room(end).map_err(call_failed(Operation::Probe, Side::Sink))?;
        if room == 0 { Err(Stop::Wait(Side::Sink)) } else { Ok(n.min(room as u64)) }
    }

    /// `n` bytes went past both ends in one call that could have moved `asked`.
    pub(crate) fn passed(&mut self, n: u64, asked: u64, holes: u64) -> Step {
        self.ledger.pass(n, asked)?;
        self.source.advanced(n);
        self.sink.advanced(n);
        Ok(Progress::Given { bytes: n, holes })
    }

    /// Moves the positions of files that were written to by offset but have none given.
    pub(crate) fn sync_positions(&mut self) -> Result<(), Stop> {
        let seek = |at: Option<u64>, fd, kernel: &K| match (at, fd) {
            (Some(at), Some(fd)) => kernel.set_position(fd, at),
            _ => Ok(()),
        };
        if self.from.offset().is_none() {
            let at = self.from.position(self.ledger.taken());
            seek(at, self.source.descriptor(), self.kernel)
                .map_err(call_failed(Operation::Seek, Side::Source))?;
        }
        if self.to.offset().is_none() {
            let at = self.to.position(self.ledger.given());
            seek(at, self.sink.descriptor(), self.kernel)
                .map_err(call_failed(Operation::Seek, Side::Sink))?;
        }
        Ok(())
    }
}

impl From<Imbalance> for Stop {
    fn from(imbalance: Imbalance) -> Self {
        let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, imbalance);
        Self::Fault(Fault::plain(Operation::Probe, cause))
    }
}

fn call_failed(operation: Operation, side: Side) -> impl Fn(Errno) -> Stop {
    move |errno| Stop::Call { operation, side: Some(side), errno }
}

/// Makes a call until no signal interrupts it; "would block" is told as `waits`.
fn call<T>(
    operation: Operation,
    side: Option<Side>,
    waits: Side,
    make: impl FnMut() -> sys::Result<T>,
) -> Result<T, Stop> {
    match uninterrupted(make) {
        Ok(answer) => Ok(answer),
        Err(Errno::AGAIN) => Err(Stop::Wait(waits)),
        Err(errno) => Err(Stop::Call { operation, side, errno }),
    }
}

/// `n` as the count of one call.
fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
