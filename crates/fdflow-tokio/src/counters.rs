//! What can be seen of a flow from outside while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use fdflow::Route;
use tokio::time::Instant;

/// Live counters of one direction; clones are the same counters.
///
/// Reading them costs a few loads and disturbs nobody. They are exact once the run has ended.
#[derive(Debug, Clone)]
pub struct Counters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Bytes by each route, in the order of [`Route::ALL`].
    bytes: [AtomicU64; Route::ALL.len()],
    /// One more than the route's place in [`Route::ALL`]; 0 before the first byte.
    route: AtomicU8,
    /// When they were made: instants do not fit into atomics, differences do.
    since: Instant,
    active: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl Counters {
    /// Counters of what begins now.
    #[must_use]
    pub fn new() -> Self {
        Self::since(Instant::now())
    }

    /// Counters of what begins then.
    pub(crate) fn since(since: Instant) -> Self {
        let (route, active) = (AtomicU8::new(0), AtomicU64::new(0));
        Self(Arc::new(Inner { bytes: Default::default(), route, since, active }))
    }

    /// Bytes given to the sink.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum()
    }

    /// Those of them that went by this route.
    #[must_use]
    pub fn bytes_by(&self, route: Route) -> u64 {
        place(route).map_or(0, |place| self.0.bytes[place].load(Ordering::Relaxed))
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

    /// So many bytes went by this route: for those who send in ways of their own. It does not count
    /// as [activity](Self::last_activity).
    pub fn add(&self, route: Route, bytes: u64) {
        let Some(place) = place(route) else { return };
        self.0.route.store(u8::try_from(place + 1).unwrap_or(0), Ordering::Relaxed);
        self.0.bytes[place].fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn was_active(&self, now: Instant) {
        let since = now.saturating_duration_since(self.0.since).as_nanos();
        self.0.active.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

fn place(route: Route) -> Option<usize> {
    Route::ALL.iter().position(|one| *one == route)
}
