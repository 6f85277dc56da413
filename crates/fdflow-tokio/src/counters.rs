//! What can be seen of a flow from outside while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use fdflow::{Progress, Route};
use tokio::time::Instant;

/// Live counters of one direction; clones are the same counters.
///
/// Reading them costs a few loads and disturbs nobody. They are exact once the run has ended.
#[derive(Debug, Clone)]
pub struct Counters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes: AtomicU64,
    /// One more than the route's place in [`Route::ALL`]; 0 before the first byte.
    route: AtomicU8,
    /// When bytes had last moved when they were made: instants do not fit into atomics, differences do.
    since: Instant,
    active: AtomicU64,
}

impl Counters {
    /// Counters of a flow that has come so far, and in which bytes last moved `since` then.
    pub(crate) fn new(so_far: Progress, since: Instant) -> Self {
        let counters = Self::since(since);
        if so_far.bytes > 0 {
            counters.saw(so_far);
        }
        counters
    }

    /// Counters of what begins then.
    pub(crate) fn since(since: Instant) -> Self {
        let (bytes, route, active) = (AtomicU64::new(0), AtomicU8::new(0), AtomicU64::new(0));
        Self(Arc::new(Inner { bytes, route, since, active }))
    }

    /// Bytes given to the sink.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// The route of the latest of them; `None` before the first.
    #[must_use]
    pub fn route(&self) -> Option<Route> {
        let place = usize::from(self.0.route.load(Ordering::Relaxed)).checked_sub(1)?;
        Route::ALL.get(place).copied()
    }

    /// When bytes were last taken or given; before the first, when the flow was made.
    #[must_use]
    pub fn last_activity(&self) -> Instant {
        self.0.since + Duration::from_nanos(self.0.active.load(Ordering::Relaxed))
    }

    pub(crate) fn saw(&self, progress: Progress) {
        let place = Route::ALL.iter().position(|route| *route == progress.route);
        let place = place.and_then(|place| u8::try_from(place + 1).ok()).unwrap_or(0);
        self.0.route.store(place, Ordering::Relaxed);
        self.0.bytes.store(progress.bytes, Ordering::Relaxed);
    }

    pub(crate) fn was_active(&self, now: Instant) {
        let since = now.saturating_duration_since(self.0.since).as_nanos();
        self.0.active.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
