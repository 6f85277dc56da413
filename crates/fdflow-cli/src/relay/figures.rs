//! Sums over readers that have ended.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use fdflow::Route;

use super::ending::{Ending, Why};
use super::reader::Reader;

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Figures {
    ended: [AtomicU64; Why::ALL.len()],
    bytes: [AtomicU64; Route::ALL.len()],
    missed: AtomicU64,
}

impl Figures {
    /// Adds one that has ended.
    pub(super) fn count(&self, reader: &Reader, ending: &Ending) {
        if let Some(place) = Why::ALL.iter().position(|why| *why == ending.why) {
            self.ended[place].fetch_add(1, Relaxed);
        }
        self.missed.fetch_add(reader.missed(), Relaxed);
        let Some(counters) = reader.counters() else { return };
        for (route, bytes) in Route::ALL.iter().zip(&self.bytes) {
            bytes.fetch_add(counters.bytes_by(*route), Relaxed);
        }
    }
}
