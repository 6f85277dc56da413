//! A flow as it is seen from outside: whose it is, how far it is, and what it is told.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime};

use fdflow::{Refusal, Report};
use fdflow_tokio::{Both, Counters};
use tokio::time::Instant;

use super::ending::{Ending, Why};
use super::service::Service;
use super::upstream::Upstream;
use crate::daemon::fields::shown;
use crate::daemon::live::Served;

/// One connection of a client, from its being accepted to its end.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) id: u64,
    pub(super) service: Arc<Service>,
    /// Who connected; `None` on a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    pub(super) began: Instant,
    pub(super) began_at: SystemTime,
    /// What a PROXY header said of the client.
    pub(super) named: OnceLock<Named>,
    /// When connecting to an upstream began.
    pub(super) asked: OnceLock<Instant>,
    pub(super) link: OnceLock<Link>,
    /// What was refused in each direction, each refusal once however often the flow has rested.
    refused: Mutex<Option<Box<Refused>>>,
    order: AtomicU8,
    /// Until when it is to have come on, and when one of its directions ended: nanoseconds since it
    /// began, 0 for none.
    deadline: AtomicU64,
    half_closed: AtomicU64,
    pub(super) is_swept: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

/// Refusals of each direction. Few flows have any, and many rest.
type Refused = Both<Vec<Refusal>>;

/// The ends that a PROXY header names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// The part of a flow behind the proxy.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) upstream: Arc<Upstream>,
    /// The address that the upstream sees.
    pub(super) from: Option<SocketAddr>,
    /// When it had taken the connection.
    pub(super) connected: Instant,
    /// From the client, and to it.
    pub(super) up: Counters,
    pub(super) down: Counters,
}

/// How far a flow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is to be learned who it is and where it is to go.
    Greeting,
    /// An upstream is being connected to.
    Connecting,
    /// A task relays it.
    Relaying,
    /// Nothing has moved for a while, and no task has it.
    Resting,
}

impl Stage {
    /// In `/flows` and in figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Connecting => "connecting",
            Self::Relaying => "relaying",
            Self::Resting => "resting",
        }
    }
}

/// What a flow is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Keep as little as may be, since nothing goes on.
    Rest,
    /// End at once, because somebody asked for it.
    Cut,
    /// End at once, because the program ends.
    End,
    /// End at once, because it took too long.
    Over(Why),
}

/// The number of the first reason in an order's number.
const REASONS: u8 = 4;

impl Served for Flow {
    type Order = Order;

    fn id(&self) -> u64 {
        self.id
    }

    /// Gives an order, unless there is one already; an end goes before a rest.
    fn command(&self, order: Order) {
        let number = match order {
            Order::Rest => 1,
            Order::Cut => 2,
            Order::End => 3,
            Order::Over(why) => {
                let place = Why::ALL.iter().position(|one| *one == why).unwrap_or_default();
                u8::try_from(place).unwrap_or_default() + REASONS
            }
        };
        self.order.fetch_max(number, Ordering::AcqRel);
        self.wake();
    }
}

impl Flow {
    pub(super) fn new(id: u64, service: Arc<Service>, peer: Option<SocketAddr>) -> Self {
        Self {
            id,
            service,
            peer,
            began: Instant::now(),
            began_at: SystemTime::now(),
            named: OnceLock::new(),
            asked: OnceLock::new(),
            link: OnceLock::new(),
            refused: Mutex::default(),
            order: AtomicU8::new(0),
            deadline: AtomicU64::new(0),
            half_closed: AtomicU64::new(0),
            is_swept: AtomicBool::new(false),
            waker: Mutex::new(None),
        }
    }

    /// The client's address, as far as it is known.
    pub(super) fn client(&self) -> Option<SocketAddr> {
        self.named.get().map(|named| named.source).or(self.peer)
    }

    /// The same in words.
    pub(super) fn client_text(&self) -> String {
        self.client().map_or_else(|| "unix".to_owned(), |client| shown(client).to_string())
    }

    /// The same, without the port.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.client().map(|address| address.ip().to_canonical())
    }

    /// The address that connected, where that is not the client's.
    pub(super) fn other_peer(&self) -> Option<SocketAddr> {
        self.peer.filter(|_| self.named.get().is_some())
    }

    /// How far it is.
    pub(super) fn stage(&self) -> Stage {
        match (self.asked.get(), self.link.get()) {
            (None, None) => Stage::Greeting,
            (Some(_), None) => Stage::Connecting,
            (_, Some(_)) if self.is_relayed() => Stage::Relaying,
            (_, Some(_)) => Stage::Resting,
        }
    }

    /// Takes down, and counts, what of the refusals in these reports is new.
    pub(super) fn note(&self, reports: &Both<Report>) {
        if reports.a_to_b.refused().is_empty() && reports.b_to_a.refused().is_empty() {
            return;
        }
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let Both { a_to_b: up, b_to_a: down } = &mut **refused.get_or_insert_default();
        for (known, report) in [(up, &reports.a_to_b), (down, &reports.b_to_a)] {
            for refusal in report.refused() {
                if !known.contains(refusal) {
                    known.push(*refusal);
                    self.service.lasting.figures.refused(refusal);
                }
            }
        }
    }

    /// What has been refused so far.
    pub(super) fn refused(&self) -> Refused {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_deref().cloned().unwrap_or_default()
    }

    /// When bytes last moved.
    pub(super) fn last_activity(&self) -> Instant {
        let link = self.link.get();
        link.map_or(self.began, |link| {
            link.connected.max(link.up.last_activity()).max(link.down.last_activity())
        })
    }

    /// Has its task look again.
    pub(super) fn wake(&self) {
        let waker = self.locked().clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it has been told to rest, of which it is told once.
    pub(super) fn must_rest(&self) -> bool {
        self.order.load(Ordering::Relaxed) == 1
            && self.order.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Whether it has been told to end, of which it keeps being told.
    pub(super) fn must_end(&self) -> Option<Ending> {
        match self.order.load(Ordering::Acquire) {
            0 | 1 => None,
            2 => Some(Ending::refused(Why::Cut)),
            3 => Some(Ending::refused(Why::Drained)),
            number => {
                let why = Why::ALL.get(usize::from(number - REASONS));
                why.map(|why| Ending::refused(*why))
            }
        }
    }

    /// Gives it so long to come on, or no limit. Its thread's sweep has it look when that is over:
    /// a timer for each step of each flow would cost more than most of them.
    fn set_deadline(&self, most: Option<Duration>) {
        let deadline = most.map_or(0, |most| nanos(self.began.elapsed().saturating_add(most)));
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    /// Whether it should have come on by then.
    pub(super) fn is_late(&self, now: Instant) -> bool {
        let deadline = self.deadline.load(Ordering::Relaxed);
        deadline > 0 && nanos(now.saturating_duration_since(self.began)) >= deadline
    }

    /// What `work` comes to within so long.
    pub(super) async fn in_time<T>(
        &self,
        most: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        self.set_deadline(Some(most));
        let mut work = pin!(work);
        let done = poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending if self.is_late(Instant::now()) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await;
        self.set_deadline(None);
        done
    }

    /// One of its directions has ended.
    pub(super) fn set_half_closed(&self) {
        if self.half_closed.load(Ordering::Relaxed) == 0 {
            self.half_closed.store(nanos(self.began.elapsed()).max(1), Ordering::Relaxed);
        }
    }

    /// Why a flow that has both its ends is over by then, if it is.
    pub(super) fn over(&self, now: Instant) -> Option<Why> {
        let times = &self.service.times;
        let lasted = now.saturating_duration_since(self.began);
        if times.lifetime.is_some_and(|lifetime| lasted >= lifetime) {
            return Some(Why::Lifetime);
        }
        let quiet = now.saturating_duration_since(self.last_activity());
        let half_closed = self.half_closed.load(Ordering::Relaxed);
        if half_closed == 0 {
            return (quiet >= times.idle).then_some(Why::Idle);
        }
        let since = lasted.saturating_sub(Duration::from_nanos(half_closed));
        (quiet.min(since) >= times.half_closed).then_some(Why::HalfClosed)
    }

    /// The task to wake for an order.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut own = self.locked();
        if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
    }

    /// Whether a task relays it now: it neither rests nor has ended.
    pub(super) fn is_relayed(&self) -> bool {
        self.locked().is_some()
    }

    /// No task is to be woken.
    pub(super) fn forget_waker(&self) {
        *self.locked() = None;
    }

    fn locked(&self) -> MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
