//! What is said of two directions: which, where, and what became of the bytes.

use std::error::Error;
use std::{fmt, io};

use fdflow::{Report, Side, TransferError};

/// One of the two directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the first end to the second.
    AToB,
    /// From the second end to the first.
    BToA,
}

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The first.
    A,
    /// The second.
    B,
}

impl Direction {
    pub(super) fn end(self, side: Side) -> End {
        match (self, side) {
            (Self::AToB, Side::Source) | (Self::BToA, Side::Sink) => End::A,
            (Self::AToB, Side::Sink) | (Self::BToA, Side::Source) => End::B,
        }
    }
}

/// Something for each direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Both<T> {
    /// From the first end to the second.
    pub a_to_b: T,
    /// From the second end to the first.
    pub b_to_a: T,
}

/// Two directions that did not both come to their end: the first error of either, and what both
/// had done by then.
#[derive(Debug)]
pub struct BidirectionalError {
    pub(super) inner: Box<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) direction: Option<Direction>,
    pub(super) error: TransferError,
    pub(super) reports: Both<Report>,
    pub(super) undelivered: Both<Vec<u8>>,
}

impl BidirectionalError {
    /// The direction that failed; `None` after a timeout, which is of both.
    #[must_use]
    pub fn direction(&self) -> Option<Direction> {
        self.inner.direction
    }

    /// The end that failed; `None` where it was neither.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        Some(self.inner.direction?.end(self.inner.error.side()?))
    }

    /// What went wrong in that direction.
    #[must_use]
    pub fn error(&self) -> &TransferError {
        &self.inner.error
    }

    /// The cause's kind; `TimedOut` after a timeout.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.inner.error.kind()
    }

    /// What both directions had done.
    #[must_use]
    pub fn reports(&self) -> &Both<Report> {
        &self.inner.reports
    }

    /// Bytes taken and not given, after [`copy_bidirectional`](crate::copy_bidirectional); empty
    /// after [`Bidirectional::run`](crate::Bidirectional::run), which keeps them.
    #[must_use]
    pub fn undelivered(&self) -> &Both<Vec<u8>> {
        &self.inner.undelivered
    }
}

impl fmt::Display for BidirectionalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inner.direction {
            Some(Direction::AToB) => f.write_str("first end to second: ")?,
            Some(Direction::BToA) => f.write_str("second end to first: ")?,
            None => {}
        }
        self.inner.error.fmt(f)
    }
}

impl Error for BidirectionalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.inner.error)
    }
}

impl From<BidirectionalError> for io::Error {
    fn from(error: BidirectionalError) -> Self {
        Self::new(error.kind(), error)
    }
}
