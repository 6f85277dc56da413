//! How far those who follow a recording are.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Start;
use super::shared::Shared;
use crate::counters::Counters;

/// How far a reader is, for others to see; clones see the same.
#[derive(Debug, Clone)]
pub struct Following {
    place: Arc<Place>,
    /// Of one that no reader moves: it is there as long as a clone of it is.
    _stay: Option<Arc<Stay>>,
}

/// Where somebody is.
#[derive(Debug)]
pub(super) struct Place {
    start: u64,
    missed: AtomicU64,
    counters: Counters,
}

impl Place {
    pub(super) fn new(start: u64) -> Self {
        Self { start, missed: AtomicU64::new(0), counters: Counters::new() }
    }

    pub(super) fn at(&self) -> u64 {
        self.start + self.missed.load(Ordering::Relaxed) + self.counters.bytes()
    }

    pub(super) fn skip(&self, bytes: u64) {
        self.missed.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// A place that the recording knows of, until this is dropped.
#[derive(Debug)]
pub(super) struct Stay {
    pub(super) shared: Arc<Shared>,
    pub(super) place: Arc<Place>,
}

impl Stay {
    pub(super) fn begin(shared: &Arc<Shared>, start: Start) -> io::Result<Self> {
        let place = shared.enter(start)?;
        Ok(Self { shared: Arc::clone(shared), place })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.shared.leave(&self.place);
    }
}

impl Following {
    /// Of a reader, which may be gone before it.
    pub(super) fn of(stay: &Stay) -> Self {
        Self { place: Arc::clone(&stay.place), _stay: None }
    }

    /// Of somebody who sends in ways of their own.
    pub(super) fn alone(stay: Stay) -> Self {
        Self { place: Arc::clone(&stay.place), _stay: Some(Arc::new(stay)) }
    }

    /// So many bytes are left out: for those who send in ways of their own.
    pub fn skip(&self, bytes: u64) {
        self.place.skip(bytes);
    }

    /// The byte of the stream that it began with.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.place.start
    }

    /// The byte of the stream that its sink is given next.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.place.at()
    }

    /// How many bytes it has skipped.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.place.missed.load(Ordering::Relaxed)
    }

    /// The bytes that its sink was given, by route.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.place.counters
    }
}
