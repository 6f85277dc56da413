//! What is counted of a service.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use fdflow::Refusal;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::ending::{Ending, Who, Why};
use super::flow::Flow;
use super::tap::TapFigures;
use crate::daemon::by_route::{ByRoute, Sums};

/// A service's figures, of all flows that have ended.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) accepted: AtomicU64,
    /// By who ended them, and why.
    ended: [[AtomicU64; Why::ALL.len()]; Who::ALL.len()],
    /// From clients, and to them.
    up: Sums,
    down: Sums,
    /// By route and reason. There are not many: both are words of ours or the kernel's.
    refused: Mutex<BTreeMap<(&'static str, String), u64>>,
    pub(super) connect_seconds: Histogram,
    pub(super) flow_seconds: Histogram,
    /// Connections to an upstream that failed, after which another was tried.
    pub(super) retries: AtomicU64,
    pub(super) tap: TapFigures,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::new(0),
            ended: Default::default(),
            up: Sums::default(),
            down: Sums::default(),
            refused: Mutex::default(),
            connect_seconds: Histogram::new(exponential_buckets(0.000_1, 4.0, 10)),
            flow_seconds: Histogram::new(exponential_buckets(0.001, 8.0, 9)),
            retries: AtomicU64::new(0),
            tap: TapFigures::default(),
        }
    }
}

impl Figures {
    /// Counts a flow that is over.
    pub(super) fn count(&self, flow: &Flow, ending: &Ending) {
        if let Some(ended) = self.ended_as(ending.who, ending.why) {
            ended.fetch_add(1, Relaxed);
        }
        self.flow_seconds.observe(flow.began.elapsed().as_secs_f64());
        let Some(link) = flow.link.get() else { return };
        self.up.add(&link.up);
        self.down.add(&link.down);
    }

    /// Counts a refusal.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let key = (refusal.route.name(), refusal.reason.to_string());
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(key).or_default() += 1;
    }

    /// Routes that were refused, why, and how often.
    pub(super) fn refusals(&self) -> BTreeMap<(&'static str, String), u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who ended flows, why, and how many; none that has not happened.
    pub(super) fn endings(&self) -> Vec<(Who, Why, u64)> {
        let of = |(who, why)| {
            let ended = self.ended_as(who, why).map_or(0, |ended| ended.load(Relaxed));
            (ended > 0).then_some((who, why, ended))
        };
        let each = Who::ALL.into_iter().flat_map(|who| Why::ALL.map(|why| (who, why)));
        each.filter_map(of).collect()
    }

    /// Bytes from clients, and to them, of flows that have ended, in the order of `Route::ALL`.
    pub(super) fn bytes(&self) -> (ByRoute, ByRoute) {
        (self.up.load(), self.down.load())
    }

    fn ended_as(&self, who: Who, why: Why) -> Option<&AtomicU64> {
        let who = Who::ALL.iter().position(|one| *one == who)?;
        let why = Why::ALL.iter().position(|one| *one == why)?;
        self.ended.get(who)?.get(why)
    }
}
