//! A sink that joined: what the program sees of it, and what the fan-out tells about it.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fdflow::{Account, SinkEnd, SinkReport};
use tokio::sync::Notify;

use super::bell::Bell;
use crate::counters::Counters;
use crate::locked;

/// Not attached yet: no stream is that long.
const NOWHERE: u64 = u64::MAX;

/// A sink that has [joined](crate::Joiner::join) a fan-out. Dropping this leaves the sink where it
/// is.
///
/// All amounts are bytes. They are read without disturbing the fan-out, and are exact once the
/// sink [has ended](Self::ended).
#[derive(Debug)]
pub struct Joined {
    seat: Arc<Seat>,
    bell: Arc<Bell>,
}

/// What both sides know.
#[derive(Debug)]
struct Seat {
    account: Account,
    counters: Counters,
    at: AtomicU64,
    leaves: AtomicBool,
    report: Mutex<Option<SinkReport>>,
    told: Notify,
}

impl Joined {
    pub(super) fn new(account: Account, counters: Counters, bell: Arc<Bell>) -> (Self, Ticket) {
        let (at, leaves) = (AtomicU64::new(NOWHERE), AtomicBool::new(false));
        let told = Notify::new();
        let seat = Arc::new(Seat { account, counters, at, leaves, report: Mutex::default(), told });
        (Self { seat: Arc::clone(&seat), bell }, Ticket(seat))
    }

    /// Where in the stream its first byte is, counted from the first one that the source gave;
    /// `None` until it is attached, and for ever where the fan-out ended before.
    #[must_use]
    pub fn at(&self) -> Option<u64> {
        Some(self.seat.at.load(Ordering::Acquire)).filter(|at| *at != NOWHERE)
    }

    /// What the sink has taken, by route.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.seat.counters.clone()
    }

    /// Relayed to it, and not yet taken by it.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.seat.account.behind()
    }

    /// Relayed without it, in its [`gaps`](Self::gaps).
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.seat.account.missed()
    }

    /// How many gaps there are in what it got.
    #[must_use]
    pub fn gaps(&self) -> u64 {
        self.seat.account.gaps()
    }

    /// Detaches it: the task that runs the fan-out drops the sink when it is polled next, without
    /// giving it any more. Nothing happens where it has ended before.
    ///
    /// A fan-out looks at a sink only while it has bytes for it. A program that wants readers gone
    /// that hang up while the stream is silent watches the other half of the connection: a read
    /// that ends or fails is the time to leave.
    pub fn leave(&self) {
        self.seat.leaves.store(true, Ordering::Release);
        self.bell.ring();
    }

    /// Waits until the sink has ended and is dropped, and tells how; bytes and gaps are counted
    /// from where it joined, gaps are placed in the whole stream. [`Cancelled`](SinkEnd::Cancelled)
    /// where the fan-out was dropped, or had ended before it was attached.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time, and may be had again, also after it was ready.
    pub async fn ended(&self) -> SinkReport {
        let mut told = pin!(self.seat.told.notified());
        loop {
            told.as_mut().enable();
            if let Some(report) = self.seat.report() {
                return report;
            }
            told.as_mut().await;
            told.set(self.seat.told.notified());
        }
    }
}

impl Seat {
    fn report(&self) -> Option<SinkReport> {
        locked(&self.report).clone()
    }
}

/// The fan-out's side. Dropped without a report, it tells of a sink that nothing was relayed to.
#[derive(Debug)]
pub(super) struct Ticket(Arc<Seat>);

impl Ticket {
    pub(super) fn counters(&self) -> Counters {
        self.0.counters.clone()
    }

    pub(super) fn attached_at(&self, at: u64) {
        self.0.at.store(at, Ordering::Release);
    }

    /// Whether the program wants it detached.
    pub(super) fn leaves(&self) -> bool {
        self.0.leaves.load(Ordering::Acquire)
    }

    /// It has ended, and its sink is gone.
    pub(super) fn tell(&self, report: SinkReport) {
        locked(&self.0.report).get_or_insert(report);
        self.0.told.notify_waiters();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tell(SinkReport::of_nothing(SinkEnd::Cancelled));
    }
}
