//! A look at the flows of a thread, now and then: which of them are late, are over, or are quiet.
//!
//! One timer for all of them: one for each would cost a short flow more than its bytes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::flow::{Flow, Order};
use crate::daemon::live::Served;
use crate::daemon::reminder::Reminder;

/// A flow in which nothing moved for so long is told to rest.
const QUIET: Duration = Duration::from_millis(500);
/// How often it is looked, or a quarter of the shortest time that matters.
const LOOK: Duration = Duration::from_millis(250);
const LEAST: Duration = Duration::from_millis(5);

/// The flows of a thread that do not rest.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    flows: Mutex<Vec<Entry>>,
    /// The shortest time that matters to any of them, in milliseconds; 0 for none.
    shortest: AtomicU64,
    came: Notify,
}

#[derive(Debug)]
struct Entry {
    flow: Weak<Flow>,
    /// What it was told at, lest it be told again before anything has moved.
    told: Option<Instant>,
}

impl Entry {
    /// Tells the flow what is due. Whether that is to rest.
    fn look(&mut self, flow: &Flow, now: Instant) -> bool {
        if flow.is_late(now) {
            flow.wake();
            return false;
        }
        if flow.link.get().is_none() {
            return false;
        }
        if let Some(why) = flow.over(now) {
            flow.command(Order::Over(why));
            return false;
        }
        let active = flow.last_activity();
        let quiet = now.saturating_duration_since(active) >= QUIET;
        if !quiet || self.told == Some(active) {
            return false;
        }
        self.told = Some(active);
        flow.command(Order::Rest);
        true
    }
}

impl Sweep {
    /// Looks after a flow until it rests or ends.
    pub(super) fn add(&self, flow: &Arc<Flow>) {
        if flow.is_swept.swap(true, Relaxed) {
            return;
        }
        let shortest = u64::try_from(flow.service.times.shortest().as_millis()).unwrap_or(u64::MAX);
        let mut flows = self.locked();
        if flows.is_empty() || shortest < self.shortest.load(Relaxed) {
            self.shortest.store(shortest, Relaxed);
        }
        flows.push(Entry { flow: Arc::downgrade(flow), told: None });
        if flows.len() == 1 {
            self.came.notify_one();
        }
    }

    /// Looks at them, forever.
    pub(super) async fn run(&self) {
        let mut reminder = Reminder::default();
        loop {
            if self.locked().is_empty() && !reminder.is_due() {
                self.came.notified().await;
            }
            let shortest = Duration::from_millis(self.shortest.load(Relaxed));
            tokio::time::sleep((shortest / 4).clamp(LEAST, LOOK)).await;
            reminder.looked(self.look(Instant::now()));
        }
    }

    /// Tells those that are quiet, and says how many they were.
    fn look(&self, now: Instant) -> usize {
        let mut told = 0;
        let mut flows = self.locked();
        flows.retain_mut(|entry| {
            let Some(flow) = entry.flow.upgrade() else { return false };
            if !flow.is_relayed() {
                flow.is_swept.store(false, Relaxed);
                return false;
            }
            told += usize::from(entry.look(&flow, now));
            true
        });
        if flows.capacity() > 64 && flows.len() < flows.capacity() / 4 {
            let len = flows.len();
            flows.shrink_to(len * 2);
        }
        told
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
