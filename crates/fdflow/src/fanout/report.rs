//! What a fan-out did, sink by sink.

use std::error::Error;
use std::fmt;
use std::io;

use crate::error::{Cancelled, TransferError};
use crate::report::{Refusal, Report};

/// What a [`Fanout`](crate::Fanout) did.
#[derive(Debug)]
#[non_exhaustive]
pub struct FanoutReport {
    /// Bytes taken from the source.
    pub taken: u64,
    /// Bytes that went to all attached sinks, or into their gaps.
    pub relayed: u64,
    /// Those of them that nobody got, since no sink was attached.
    pub dropped: u64,
    /// Why bytes were copied to the sinks; `None` where `tee(2)` did it.
    pub refused: Option<Refusal>,
    /// The sinks, in the order in which they were added.
    pub sinks: Vec<SinkReport>,
}

/// What one sink got.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SinkReport {
    /// Bytes that it took.
    pub bytes: u64,
    /// What it missed, in order: the first 1024 gaps.
    pub gaps: Vec<Gap>,
    /// Bytes in all of its gaps.
    pub missed: u64,
    /// Bytes relayed to it that it did not take before it failed or was detached. They lie behind
    /// those that it took.
    pub unsent: u64,
    /// How it ended.
    pub end: SinkEnd,
    /// The routes by which it got its bytes.
    pub report: Report,
}

/// A stretch of the source's bytes that a sink missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Gap {
    /// Where it begins, counted in bytes from the first one that the source gave.
    pub at: u64,
    /// How long it is.
    pub bytes: u64,
}

/// How a sink's part in a fan-out ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum SinkEnd {
    /// It took everything but its gaps.
    Complete,
    /// It was detached: it would have been more bytes behind than it may.
    TooFarBehind,
    /// It was detached: it took nothing for longer than it may.
    TooSlow,
    /// It failed.
    Failed(TransferError),
    /// It was detached by the program that had it join.
    Left,
    /// It has not ended: the fan-out was cancelled, and another run goes on; or the fan-out was
    /// dropped.
    Cancelled,
}

impl Clone for SinkEnd {
    fn clone(&self) -> Self {
        match self {
            Self::Complete => Self::Complete,
            Self::TooFarBehind => Self::TooFarBehind,
            Self::TooSlow => Self::TooSlow,
            Self::Failed(error) => Self::Failed(error.again()),
            Self::Left => Self::Left,
            Self::Cancelled => Self::Cancelled,
        }
    }
}

impl fmt::Display for SinkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::TooFarBehind => f.write_str("detached: too many bytes behind"),
            Self::TooSlow => f.write_str("detached: it took nothing for too long"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Left => f.write_str("left"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl fmt::Display for FanoutReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes relayed", self.relayed)?;
        if self.dropped > 0 {
            write!(f, ", {} of them to nobody", self.dropped)?;
        }
        if let Some(refusal) = &self.refused {
            write!(f, ", copied: {}", refusal.reason)?;
        }
        for (index, sink) in self.sinks.iter().enumerate() {
            let SinkReport { bytes, missed, unsent, end, .. } = sink;
            write!(f, "\n  sink {index}: {bytes} bytes, {missed} missed, {unsent} unsent; {end}")?;
        }
        Ok(())
    }
}

/// A fan-out that did not come to its end.
#[derive(Debug)]
pub struct FanoutError {
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    cause: io::Error,
    report: FanoutReport,
    undelivered: Vec<u8>,
}

impl FanoutError {
    pub(super) fn new(cause: io::Error, report: FanoutReport, undelivered: Vec<u8>) -> Self {
        Self { inner: Box::new(Inner { cause, report, undelivered }) }
    }

    /// The cause: the source's error; `BrokenPipe` where no sink was left; see
    /// [`is_cancelled`](Self::is_cancelled).
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.inner.cause
    }

    /// The cause's kind.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.inner.cause.kind()
    }

    /// Whether a [`Cancel`](crate::Cancel) handle ended it, so that another run goes on.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cause.get_ref().is_some_and(|cause| cause.is::<Cancelled>())
    }

    /// What had been done until then.
    #[must_use]
    pub fn report(&self) -> &FanoutReport {
        &self.inner.report
    }

    /// Bytes that were taken from the source and not relayed, in order: they lie behind the
    /// [`relayed`](FanoutReport::relayed) ones. Empty after a cancel: the fan-out keeps them.
    #[must_use]
    pub fn undelivered(&self) -> &[u8] {
        &self.inner.undelivered
    }
}

/// Nothing was taken from the source.
impl From<io::Error> for FanoutError {
    fn from(cause: io::Error) -> Self {
        let report =
            FanoutReport { taken: 0, relayed: 0, dropped: 0, refused: None, sinks: Vec::new() };
        Self::new(cause, report, Vec::new())
    }
}

impl fmt::Display for FanoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.inner.cause, self.inner.report)
    }
}

impl Error for FanoutError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.inner.cause)
    }
}

impl From<FanoutError> for io::Error {
    fn from(error: FanoutError) -> Self {
        Self::new(error.kind(), error)
    }
}
