//! A look at all connections of a thread, a few times a second: who has waited too long.
//!
//! One timer for all of them costs a request nothing and a connection a few words, where a timer
//! each would cost both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::meter::{Meter, Order, Phase};
use super::site::Limits;
use crate::daemon::reminder::Reminder;

/// A connection where nothing went on for so long gives its buffers back.
const QUIET: Duration = Duration::from_secs(1);

/// The connections of a thread.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    connections: Mutex<Vec<Entry>>,
    came: Notify,
}

#[derive(Debug)]
struct Entry {
    meter: Arc<Meter>,
    phase: (Phase, u64),
    since: Instant,
    /// Since when the client has kept answers waiting, however little it takes at a time; or when
    /// the connection was last told to give back memory for it.
    full: Instant,
}

impl Sweep {
    /// Looks after a connection until it has ended.
    pub(super) fn add(&self, meter: Arc<Meter>) {
        let now = Instant::now();
        let entry = Entry { phase: meter.phase(), meter, since: now, full: now };
        let mut connections = self.locked();
        connections.push(entry);
        if connections.len() == 1 {
            self.came.notify_one();
        }
    }

    /// Gives an order to every connection.
    pub(super) fn all(&self, order: Order) {
        for entry in &*self.locked() {
            entry.meter.command(order);
        }
    }

    /// Looks at them, forever.
    pub(super) async fn run(&self, limits: impl Fn() -> Limits) {
        let mut reminder = Reminder::default();
        loop {
            if self.locked().is_empty() {
                self.came.notified().await;
            }
            let limits = limits();
            let shortest = limits.head.min(limits.idle).min(limits.client).min(QUIET);
            tokio::time::sleep((shortest / 4).max(Duration::from_millis(5))).await;
            reminder.looked(self.look(&limits, Instant::now()));
        }
    }

    /// Gives orders where they are due, and says how many connections are to give back memory.
    fn look(&self, limits: &Limits, now: Instant) -> usize {
        let mut parked = 0;
        let mut connections = self.locked();
        connections.retain_mut(|entry| {
            let phase = entry.meter.phase();
            if phase != entry.phase {
                (entry.phase, entry.since) = (phase, now);
            }
            if phase.0 != Phase::Taking {
                entry.full = now;
            }
            if let Some(order) = due(entry, limits, now) {
                if order == Order::Park {
                    parked += 1;
                    entry.full = now;
                }
                entry.meter.command(order);
            }
            phase.0 != Phase::Ended
        });
        if connections.capacity() > 64 && connections.len() < connections.capacity() / 4 {
            let len = connections.len();
            connections.shrink_to(len * 2);
        }
        parked
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn due(entry: &Entry, limits: &Limits, now: Instant) -> Option<Order> {
    let waited = now.duration_since(entry.since);
    match entry.phase.0 {
        Phase::Idle if !entry.meter.had_requests() && waited >= limits.head => Some(Order::Close),
        Phase::Idle if entry.meter.had_requests() && waited >= limits.idle => Some(Order::Close),
        Phase::Idle if waited >= QUIET && !entry.meter.is_parked() => Some(Order::Park),
        Phase::Head if waited >= limits.head => Some(Order::TooSlow),
        Phase::Taking | Phase::Giving if waited >= limits.client => Some(Order::Cut),
        Phase::Taking if now.duration_since(entry.full) >= QUIET && can_park(&entry.meter) => {
            Some(Order::Park)
        }
        _ => None,
    }
}

/// Whether it has not been done, and there may be but one answer on its way.
fn can_park(meter: &Meter) -> bool {
    !meter.is_parked() && !meter.is_multiplexed()
}
