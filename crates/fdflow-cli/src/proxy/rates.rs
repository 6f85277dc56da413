//! How fast flows are: what moved between two looks at them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::flow::Flow;

/// Looks that are nearer to each other tell nothing, and those that are farther apart no longer
/// how it is now.
const NEAREST: Duration = Duration::from_secs(1);
const FARTHEST: Duration = Duration::from_secs(60);

/// The latest looks. There are some only where somebody looks, so that nobody else pays.
#[derive(Debug, Default)]
pub(super) struct Rates {
    looks: Mutex<Vec<Arc<Look>>>,
}

/// What had moved at a time, from the client and to it, by the flows' ids.
#[derive(Debug)]
struct Look {
    at: Instant,
    bytes: HashMap<u64, (u64, u64)>,
}

/// Bytes per second of a flow, and of how many seconds that is the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rate {
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) seconds: f64,
}

/// Looks at flows: their rates since a look that is at least a second and at most a minute old,
/// else since each was connected.
#[derive(Debug)]
pub(super) struct Now {
    at: Instant,
    before: Option<Arc<Look>>,
}

impl Rates {
    pub(super) fn look(&self, flows: &[Arc<Flow>]) -> Now {
        let at = Instant::now();
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let age = |look: &Look| at.saturating_duration_since(look.at);
        looks.retain(|look| age(look) <= FARTHEST);
        let before = looks.iter().rev().find(|look| age(look) >= NEAREST).cloned();
        if looks.last().is_none_or(|look| age(look) >= NEAREST) {
            let bytes = flows.iter().filter_map(|flow| Some((flow.id, moved(flow)?))).collect();
            looks.push(Arc::new(Look { at, bytes }));
            // The one before is for those who look sooner than it takes for this to be of use.
            let old = looks.len().saturating_sub(2);
            looks.drain(..old);
        }
        Now { at, before }
    }
}

impl Now {
    /// The rate of one; `None` while it has no upstream.
    pub(super) fn rate(&self, flow: &Flow) -> Option<Rate> {
        let (up, down) = moved(flow)?;
        let before = self.before.as_ref();
        let before = before.and_then(|look| Some((look.at, *look.bytes.get(&flow.id)?)));
        let (since, (up_then, down_then)) =
            before.unwrap_or_else(|| (flow.link.get().map_or(self.at, |l| l.connected), (0, 0)));
        let span = self.at.saturating_duration_since(since);
        let per_second = |bytes: u64| {
            let rate = u128::from(bytes) * 1000 / span.as_millis().max(1);
            u64::try_from(rate).unwrap_or(u64::MAX)
        };
        Some(Rate {
            up: per_second(up.saturating_sub(up_then)),
            down: per_second(down.saturating_sub(down_then)),
            seconds: span.as_millis() as f64 / 1e3,
        })
    }
}

fn moved(flow: &Flow) -> Option<(u64, u64)> {
    flow.link.get().map(|link| (link.up.bytes(), link.down.bytes()))
}
