//! What is known of a connection from outside of it: bytes, requests, and what it waits for.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::heads::Heads;
use super::record::Record;

/// The figures of a connection. One thread alone writes them; none of them orders anything.
#[derive(Debug, Default)]
pub(super) struct Meter {
    read: AtomicU64,
    written: AtomicU64,
    /// Bytes of bodies, given by the client and handed to HTTP for it.
    bodies: AtomicU64,
    /// What `read` was when the last request began.
    read_before: AtomicU64,
    requests: AtomicU32,
    replies: AtomicU32,
    write_blocked: AtomicBool,
    unflushed: AtomicBool,
    /// A service waits for the client's body.
    body_wanted: AtomicBool,
    /// The client's body has not ended yet.
    body_open: AtomicBool,
    /// The last request had a body.
    had_body: AtomicBool,
    /// The last answer ends the connection.
    last: AtomicBool,
    leaving: AtomicBool,
    left: AtomicBool,
    peer_ended: AtomicBool,
    multiplexed: AtomicBool,
    parked: AtomicBool,
    ended: AtomicBool,
    order: AtomicU8,
    waker: Mutex<Option<Waker>>,
    heads: Mutex<Heads>,
    unfinished: Mutex<Vec<Record>>,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first request, or the next.
    Idle,
    /// The rest of a request's head.
    Head,
    /// The client, to take bytes.
    Taking,
    /// The client, to give bytes of a body.
    Giving,
    /// The service.
    Working,
    /// Nothing: it is over.
    Ended,
}

/// What a connection is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Give back the memory, since nothing goes on, or nothing but a file that the client takes.
    Park,
    /// End: nothing is going on.
    Close,
    /// End with an answer that says that the request took too long.
    TooSlow,
    /// End in the middle.
    Cut,
    /// End after the answer that is on its way.
    Drain,
}

impl Meter {
    /// What it waits for, and a number that stays the same while it waits for the same.
    pub(super) fn phase(&self) -> (Phase, u64) {
        let requests = self.requests.load(Relaxed);
        let busy = requests != self.replies.load(Relaxed);
        let multiplexed = self.multiplexed.load(Relaxed);
        if self.ended.load(Relaxed) {
            (Phase::Ended, 0)
        } else if busy && multiplexed {
            (Phase::Taking, self.bodies.load(Relaxed))
        } else if self.write_blocked.load(Relaxed) {
            (Phase::Taking, self.written.load(Relaxed))
        } else if busy && self.body_wanted.load(Relaxed) {
            (Phase::Giving, self.read.load(Relaxed))
        } else if busy || self.unflushed.load(Relaxed) {
            (Phase::Working, 0)
        } else if !multiplexed && self.read.load(Relaxed) != self.read_before.load(Relaxed) {
            (Phase::Head, requests.into())
        } else {
            (Phase::Idle, requests.into())
        }
    }

    /// Whether nothing would be lost if HTTP's state were.
    pub(super) fn is_quiet(&self) -> bool {
        self.phase().0 == Phase::Idle && !self.body_open.load(Relaxed)
    }

    /// Whether an answer waits for the client and all of it was handed to HTTP, which until it is
    /// sent reads nothing: only behind a body it might have begun the next request.
    pub(super) fn is_answered(&self) -> bool {
        self.phase().0 == Phase::Taking
            && self.requests.load(Relaxed) == self.replies.load(Relaxed)
            && !self.had_body.load(Relaxed)
    }

    /// HTTP is to leave its answer, if that can go on without it.
    pub(super) fn set_leaving(&self, leaving: bool) {
        self.leaving.store(leaving, Relaxed);
        self.left.store(false, Relaxed);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// What HTTP would have written is kept elsewhere.
    pub(super) fn left(&self) {
        self.left.store(true, Relaxed);
    }

    pub(super) fn has_left(&self) -> bool {
        self.left.load(Relaxed)
    }

    /// Whether the connection is to end after the answer.
    pub(super) fn set_last(&self, last: bool) {
        self.last.store(last, Relaxed);
    }

    pub(super) fn is_last(&self) -> bool {
        self.last.load(Relaxed)
    }

    pub(super) fn had_requests(&self) -> bool {
        self.requests.load(Relaxed) > 0
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.load(Relaxed)
    }

    pub(super) fn set_parked(&self, parked: bool) {
        self.parked.store(parked, Relaxed);
    }

    /// Several requests at once, as HTTP/2 has them.
    pub(super) fn set_multiplexed(&self) {
        self.multiplexed.store(true, Relaxed);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Relaxed)
    }

    pub(super) fn peer_ended(&self) -> bool {
        self.peer_ended.load(Relaxed)
    }

    pub(super) fn took(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            self.peer_ended.store(true, Relaxed);
            return;
        }
        let before = self.read.load(Relaxed);
        self.read.store(before + bytes.len() as u64, Relaxed);
        if !self.multiplexed.load(Relaxed) {
            locked(&self.heads).took(before, bytes);
        }
    }

    pub(super) fn wrote(&self, n: usize) {
        self.written.store(self.written.load(Relaxed) + n as u64, Relaxed);
        self.write_blocked.store(false, Relaxed);
        self.unflushed.store(true, Relaxed);
    }

    pub(super) fn write_blocked(&self) {
        self.write_blocked.store(true, Relaxed);
    }

    /// All that was written has been given to the socket.
    pub(super) fn flushed(&self) {
        self.write_blocked.store(false, Relaxed);
        if self.unflushed.swap(false, Relaxed) {
            for record in std::mem::take(&mut *locked(&self.unfinished)) {
                record.finish(true);
            }
        }
    }

    /// A request begins, with a body or without.
    pub(super) fn request(&self, body: bool) {
        self.requests.store(self.requests.load(Relaxed).wrapping_add(1), Relaxed);
        self.read_before.store(self.read.load(Relaxed), Relaxed);
        self.body_open.store(body, Relaxed);
        self.had_body.store(body, Relaxed);
    }

    /// Bytes of the client's body came.
    pub(super) fn received(&self, n: usize) {
        self.bodies.store(self.bodies.load(Relaxed) + n as u64, Relaxed);
        self.body_wanted.store(false, Relaxed);
    }

    /// Bytes of an answer's body were handed to HTTP.
    pub(super) fn gave(&self, n: usize) {
        self.bodies.store(self.bodies.load(Relaxed) + n as u64, Relaxed);
    }

    pub(super) fn body_wanted(&self) {
        self.body_wanted.store(true, Relaxed);
    }

    pub(super) fn body_ended(&self) {
        self.body_wanted.store(false, Relaxed);
        self.body_open.store(false, Relaxed);
        self.read_before.store(self.read.load(Relaxed), Relaxed);
    }

    /// The answer's body is gone; what was given to HTTP may still have to be sent.
    pub(super) fn reply(&self, record: Option<Record>) {
        self.replies.store(self.replies.load(Relaxed).wrapping_add(1), Relaxed);
        let Some(record) = record else { return };
        if self.is_multiplexed() {
            record.finish(true);
        } else {
            self.unflushed.store(true, Relaxed);
            locked(&self.unfinished).push(record);
        }
    }

    /// The connection is over, whatever had been sent.
    pub(super) fn end(&self) {
        self.ended.store(true, Relaxed);
        for record in std::mem::take(&mut *locked(&self.unfinished)) {
            record.finish(false);
        }
        *locked(&self.waker) = None;
    }

    /// Hands the head of the request that has begun to `look`, `None` where it is not known. `body`
    /// is how many bytes of this connection are the request's body.
    pub(super) fn with_head<T>(&self, body: u64, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
        locked(&self.heads).next(body, look)
    }

    /// What is still there of the heads, for an answer to one that could not be read.
    pub(super) fn unread_head<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(locked(&self.heads).unread())
    }

    /// Gives back what memory it can.
    pub(super) fn shrink(&self) {
        locked(&self.heads).shrink();
        locked(&self.unfinished).shrink_to_fit();
    }

    /// The task to wake for an order.
    pub(super) fn set_waker(&self, waker: &Waker) {
        let mut own = locked(&self.waker);
        if !own.as_ref().is_some_and(|own| own.will_wake(waker)) {
            *own = Some(waker.clone());
        }
    }

    pub(super) fn command(&self, order: Order) {
        let number = match order {
            Order::Park => 1,
            Order::Close => 2,
            Order::TooSlow => 3,
            Order::Cut => 4,
            Order::Drain => 5,
        };
        // One that has not been obeyed yet is not lost to a lesser one; those are given again.
        self.order.fetch_max(number, std::sync::atomic::Ordering::Release);
        let waker = locked(&self.waker).clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn take_order(&self) -> Option<Order> {
        if self.order.load(Relaxed) == 0 {
            return None;
        }
        match self.order.swap(0, std::sync::atomic::Ordering::Acquire) {
            1 => Some(Order::Park),
            2 => Some(Order::Close),
            3 => Some(Order::TooSlow),
            4 => Some(Order::Cut),
            5 => Some(Order::Drain),
            _ => None,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_to_drain_is_given_once_and_so_outlasts_all_others() {
        for other in [Order::Park, Order::Close, Order::TooSlow, Order::Cut] {
            for orders in [[other, Order::Drain], [Order::Drain, other]] {
                let meter = Meter::default();
                orders.into_iter().for_each(|order| meter.command(order));
                assert_eq!((meter.take_order(), meter.take_order()), (Some(Order::Drain), None));
            }
        }
    }
}
