//! A reader as it is seen from outside: who it is, how far it is, and what it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use fdflow_tokio::{Counters, Following, Joined, Recording};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::ending::Why;
use crate::daemon::fields::shown;
use crate::daemon::live::Served;

/// One who reads the stream, from being accepted to the end.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) id: u64,
    /// Who connected; `None` on a Unix socket.
    pub(super) peer: Option<SocketAddr>,
    /// `stream` or `http`.
    pub(super) kind: &'static str,
    pub(super) began: Instant,
    pub(super) began_at: SystemTime,
    pub(super) view: OnceLock<View>,
    order: AtomicU8,
    ordered: Notify,
}

/// How far a reader is.
#[derive(Debug)]
pub(super) enum View {
    /// In a recording.
    Following(Following, Recording),
    /// In a fan-out.
    Joined(Arc<Joined>),
    /// Behind a pipe that is in a fan-out; these are of its own bytes.
    Piped(Arc<Joined>, Counters),
}

/// What a reader is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// End, because somebody asked for it.
    Cut = 1,
    /// End, because the program ends.
    End = 2,
}

impl From<Order> for Why {
    fn from(order: Order) -> Self {
        match order {
            Order::Cut => Self::Cut,
            Order::End => Self::Drained,
        }
    }
}

impl Served for Reader {
    type Order = Order;

    fn id(&self) -> u64 {
        self.id
    }

    /// Tells it something.
    fn command(&self, order: Order) {
        self.order.store(order as u8, Ordering::Release);
        self.ordered.notify_one();
    }
}

impl Reader {
    pub(super) fn new(id: u64, peer: Option<SocketAddr>, kind: &'static str) -> Self {
        Self {
            id,
            peer,
            kind,
            began: Instant::now(),
            began_at: SystemTime::now(),
            view: OnceLock::new(),
            order: AtomicU8::new(0),
            ordered: Notify::new(),
        }
    }

    /// The peer's address in words.
    pub(super) fn peer_text(&self) -> String {
        self.peer.map_or_else(|| "unix".to_owned(), |peer| shown(peer).to_string())
    }

    /// What it was given, by route.
    pub(super) fn counters(&self) -> Option<Counters> {
        self.view.get().map(|view| match view {
            View::Following(following, _) => following.counters().clone(),
            View::Joined(joined) => joined.counters(),
            View::Piped(_, counters) => counters.clone(),
        })
    }

    /// How many bytes it was given.
    pub(super) fn bytes(&self) -> u64 {
        self.counters().map_or(0, |counters| counters.bytes())
    }

    /// The byte of the stream that it began with.
    pub(super) fn start(&self) -> Option<u64> {
        match self.view.get()? {
            View::Following(following, _) => Some(following.start()),
            View::Joined(joined) | View::Piped(joined, _) => joined.at(),
        }
    }

    /// How many bytes of the stream it was to get and did not.
    pub(super) fn missed(&self) -> u64 {
        match self.view.get() {
            Some(View::Following(following, _)) => following.missed(),
            Some(View::Joined(joined) | View::Piped(joined, _)) => joined.missed(),
            None => 0,
        }
    }

    /// How many bytes it is behind.
    pub(super) fn lag(&self) -> u64 {
        match self.view.get() {
            Some(View::Following(following, recording)) => {
                recording.end().saturating_sub(following.at())
            }
            Some(View::Joined(joined)) => joined.behind(),
            Some(View::Piped(joined, counters)) => {
                let in_pipe = joined.counters().bytes().saturating_sub(counters.bytes());
                joined.behind() + in_pipe
            }
            None => 0,
        }
    }

    /// Waits until it is told something.
    pub(super) async fn ordered(&self) -> Order {
        loop {
            match self.order.load(Ordering::Acquire) {
                0 => self.ordered.notified().await,
                1 => return Order::Cut,
                _ => return Order::End,
            }
        }
    }
}
