//! What can go wrong, on which side, and what became of the bytes.

use std::error::Error;
use std::fmt;
use std::io;

use crate::operation::{Operation, Side};
use crate::report::Report;

/// A transfer that did not come to its end.
///
/// Nothing is lost with it: [`report`](Self::report) tells what the sink has,
/// [`staged`](Self::staged) how many bytes were taken from the source but not given. After
/// [`copy`](crate::copy) those bytes are in the error ([`into_undelivered`](Self::into_undelivered));
/// after [`Transfer::run`](crate::Transfer::run) they are in the transfer, which can be run again
/// or taken apart.
#[derive(Debug)]
pub struct TransferError {
    // Boxed: an error is rare and large, a success is common and should not pay for its size.
    inner: Box<Inner>,
}

#[derive(Debug)]
struct Inner {
    cause: io::Error,
    operation: Operation,
    side: Option<Side>,
    staged: u64,
    undelivered: Vec<u8>,
    report: Report,
}

impl TransferError {
    pub(crate) fn new(fault: Fault, staged: u64, report: Report) -> Self {
        let Fault { cause, operation, side } = fault;
        let undelivered = Vec::new();
        Self { inner: Box::new(Inner { cause, operation, side, staged, undelivered, report }) }
    }

    /// The error with these bytes, for a driver that gives the transfer up with it.
    #[must_use]
    pub fn with_undelivered(mut self, bytes: Vec<u8>) -> Self {
        self.inner.undelivered = bytes;
        self
    }

    /// The same, for another report: the cause as far as it can be told twice.
    pub(crate) fn again(&self) -> Self {
        let Inner { cause, operation, side, staged, report, .. } = &*self.inner;
        let cause = match cause.raw_os_error() {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::new(cause.kind(), cause.to_string()),
        };
        let fault = Fault { cause, operation: *operation, side: *side };
        Self::new(fault, *staged, report.clone())
    }

    /// The cause; its `kind()` is `TimedOut` after an idle timeout, `Unsupported` where no route
    /// fits, `InvalidInput` where the two ends cannot be joined.
    #[must_use]
    pub fn cause(&self) -> &io::Error {
        &self.inner.cause
    }

    /// The cause's kind.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.inner.cause.kind()
    }

    /// What was being done.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.inner.operation
    }

    /// The end that failed; `None` where it was neither (a cancel) or where they do not fit
    /// together.
    #[must_use]
    pub fn side(&self) -> Option<Side> {
        self.inner.side
    }

    /// What had been done until then; its total is exactly what the sink was given.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.inner.report
    }

    /// Bytes taken from the source and not given to the sink.
    #[must_use]
    pub fn staged(&self) -> u64 {
        self.inner.staged
    }

    /// The bytes taken from the source and not given to the sink, after [`copy`](crate::copy);
    /// empty after [`Transfer::run`](crate::Transfer::run), which keeps them.
    #[must_use]
    pub fn undelivered(&self) -> &[u8] {
        &self.inner.undelivered
    }

    /// As [`undelivered`](Self::undelivered), by value.
    #[must_use]
    pub fn into_undelivered(self) -> Vec<u8> {
        self.inner.undelivered
    }

    /// Whether a [`Cancel`](crate::Cancel) handle ended it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cause.get_ref().is_some_and(|cause| cause.is::<Cancelled>())
    }
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { cause, operation, side, staged, report, .. } = &*self.inner;
        write!(f, "{operation}")?;
        if let Some(side) = side {
            write!(f, " ({side})")?;
        }
        write!(f, ": {cause}; {} bytes arrived", report.bytes())?;
        if *staged > 0 {
            write!(f, ", {staged} more were taken and are kept")?;
        }
        Ok(())
    }
}

impl Error for TransferError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.inner.cause)
    }
}

impl From<TransferError> for io::Error {
    fn from(error: TransferError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// The cause of a transfer that a [`Cancel`](crate::Cancel) handle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cancelled")
    }
}

impl Error for Cancelled {}

/// A failure on its way out of a step, before the report is joined to it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) cause: io::Error,
    pub(crate) operation: Operation,
    pub(crate) side: Option<Side>,
}

impl Fault {
    pub(crate) fn new(operation: Operation, side: Side, cause: impl Into<io::Error>) -> Self {
        Self { cause: cause.into(), operation, side: Some(side) }
    }

    pub(crate) fn plain(operation: Operation, cause: io::Error) -> Self {
        Self { cause, operation, side: None }
    }
}
