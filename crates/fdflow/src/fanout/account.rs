//! What is known of a lane while it runs, for whoever looks at it from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::report::{SinkEnd, SinkReport};
use crate::report::Report;

/// Live amounts of one lane, in bytes; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Account(Arc<Amounts>);

#[derive(Debug, Default)]
struct Amounts {
    accepted: AtomicU64,
    taken: AtomicU64,
    missed: AtomicU64,
    gaps: AtomicU64,
    closed: AtomicBool,
}

impl Account {
    /// Bytes that its sink has taken.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Bytes that went into its pipe and that its sink has not taken.
    #[must_use]
    pub fn behind(&self) -> u64 {
        // In this order: what is taken has been accepted before.
        let taken = self.taken();
        self.0.accepted.load(Ordering::Relaxed).saturating_sub(taken)
    }

    /// Bytes in all of its gaps.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.0.missed.load(Ordering::Relaxed)
    }

    /// How many gaps there are.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.0.gaps.load(Ordering::Relaxed)
    }

    /// Whether its pipe, or what has been taken out of it, holds anything: bytes, or its end.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.behind() > 0 || self.0.closed.load(Ordering::Relaxed)
    }

    /// Nothing more goes into its pipe.
    pub(super) fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn accepted(&self) -> u64 {
        self.0.accepted.load(Ordering::Relaxed)
    }

    /// Only the hub accepts, so that nothing is added in between.
    pub(super) fn accept(&self, bytes: u64) {
        self.0.accepted.store(self.accepted() + bytes, Ordering::Relaxed);
    }

    pub(super) fn took_up_to(&self, bytes: u64) {
        self.0.taken.store(bytes, Ordering::Relaxed);
    }

    /// `opens`: it is a gap of its own, not more of the last one.
    pub(super) fn miss(&self, bytes: u64, opens: bool) {
        self.0.missed.store(self.missed() + bytes, Ordering::Relaxed);
        self.0.gaps.store(self.gaps() + u64::from(opens), Ordering::Relaxed);
    }
}

impl SinkReport {
    /// Of a sink that no byte was relayed to.
    #[doc(hidden)]
    #[must_use]
    pub fn of_nothing(end: SinkEnd) -> Self {
        let (gaps, report) = (Vec::new(), Report::default());
        Self { bytes: 0, gaps, missed: 0, unsent: 0, end, report }
    }
}
