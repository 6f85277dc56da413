//! Sums over readers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::ending::{Ending, Why};
use super::reader::Reader;
use crate::daemon::by_route::Sums;

/// The sums: of all that came, and of those that have ended.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) accepted: AtomicU64,
    ended: [AtomicU64; Why::ALL.len()],
    pub(super) bytes: Sums,
    pub(super) missed: AtomicU64,
}

impl Figures {
    /// Adds one that has come.
    pub(super) fn came(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// Adds one that has ended.
    pub(super) fn count(&self, reader: &Reader, ending: &Ending) {
        if let Some(place) = Why::ALL.iter().position(|why| *why == ending.why) {
            self.ended[place].fetch_add(1, Relaxed);
        }
        self.missed.fetch_add(reader.missed(), Relaxed);
        if let Some(counters) = reader.counters() {
            self.bytes.add(&counters);
        }
    }

    /// How many ended for each reason.
    pub(super) fn endings(&self) -> [(Why, u64); Why::ALL.len()] {
        let mut ended = self.ended.iter();
        Why::ALL.map(|why| (why, ended.next().map_or(0, |ended| ended.load(Relaxed))))
    }
}
