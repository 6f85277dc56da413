//! How fast bytes move: what moved between two looks.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Looks that are nearer to each other tell nothing, and those that are farther apart no longer
/// how it is now.
const NEAREST: Duration = Duration::from_secs(1);
const FARTHEST: Duration = Duration::from_secs(60);

/// The latest looks at things that have ids, and `N` counts of bytes each. There are some only where
/// somebody looks, so that nobody else pays.
#[derive(Debug, Default)]
pub(crate) struct Rates<const N: usize> {
    looks: Mutex<Vec<Arc<Look<N>>>>,
}

/// What had moved at a time, by the ids.
#[derive(Debug)]
struct Look<const N: usize> {
    at: Instant,
    bytes: HashMap<u64, [u64; N]>,
}

/// Bytes per second, and of how many seconds that is the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate<const N: usize> {
    pub(crate) bytes: [u64; N],
    pub(crate) seconds: f64,
}

/// A look: rates since one that is at least a second and at most a minute old, else since each thing
/// began.
#[derive(Debug)]
pub(crate) struct Now<const N: usize> {
    at: Instant,
    before: Option<Arc<Look<N>>>,
}

impl<const N: usize> Rates<N> {
    /// Looks at what has moved.
    pub(crate) fn look(&self, moved: impl Iterator<Item = (u64, [u64; N])>) -> Now<N> {
        let at = Instant::now();
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |look: &Look<N>| at.saturating_duration_since(look.at);
        looks.retain(|look| age(look) <= FARTHEST);
        let before = looks.iter().rev().find(|look| age(look) >= NEAREST).cloned();
        if looks.last().is_none_or(|look| age(look) >= NEAREST) {
            looks.push(Arc::new(Look { at, bytes: moved.collect() }));
            // The one before is for those who look sooner than it takes for this to be of use.
            let old = looks.len().saturating_sub(2);
            looks.drain(..old);
        }
        Now { at, before }
    }
}

impl<const N: usize> Now<N> {
    /// The rate of one that began then and has moved so much.
    pub(crate) fn rate(&self, id: u64, began: Instant, moved: [u64; N]) -> Rate<N> {
        let before = self.before.as_ref();
        let before = before.and_then(|look| Some((look.at, *look.bytes.get(&id)?)));
        let (since, then) = before.unwrap_or((began, [0; N]));
        let span = self.at.saturating_duration_since(since);
        let mut bytes = moved;
        for (bytes, then) in bytes.iter_mut().zip(then) {
            let rate = u128::from(bytes.saturating_sub(then)) * 1000 / span.as_millis().max(1);
            *bytes = u64::try_from(rate).unwrap_or(u64::MAX);
        }
        Rate { bytes, seconds: span.as_millis() as f64 / 1e3 }
    }
}
