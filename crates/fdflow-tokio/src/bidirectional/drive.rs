//! Driving two directions at once: ends, errors, resets, timeouts.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fdflow::{Operation, Side, TransferError};
use tokio::time::Instant;

use super::Bidirectional;
use super::error::{Direction, End};
use crate::end::{AsyncSink, AsyncSource};

/// So long may it take to deliver what an end had received before it failed.
const LAST_DELIVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether a peer has acknowledged everything: there is no event for that.
const LOOK: Duration = Duration::from_millis(2);

/// The first error, which wins, while what follows from it is done.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) direction: Option<Direction>,
    pub(super) error: TransferError,
    at: Instant,
    looked: Instant,
}

impl<A, B> Bidirectional<A, B>
where
    A: AsyncSource + AsyncSink,
    B: AsyncSource + AsyncSink,
{
    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        // Where the runtime has no timers this says so now, and not when a peer resets.
        drop(tokio::time::sleep_until(now));
        self.timers = Default::default();
        self.began = now;
        self.lifetime_from.get_or_insert(now);
        if self.failure.is_some() {
            return;
        }
        if let Err(error) = self.a_to_b.begin() {
            self.fail(Some(Direction::AToB), error);
        } else if let Err(error) = self.b_to_a.begin() {
            self.fail(Some(Direction::BToA), error);
        }
    }

    fn fail(&mut self, direction: Option<Direction>, error: TransferError) {
        let now = Instant::now();
        self.failure.get_or_insert(Failure { direction, error, at: now, looked: now });
    }

    pub(super) fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.failure.is_none() && ready!(self.poll_both(cx)) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_aftermath(cx));
        Poll::Ready(self.failure.take().map_or(Ok(()), Err))
    }

    /// Ready with whether both directions have come to their end; if not, one has failed.
    fn poll_both(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let a_to_b = match self.a_to_b.poll(cx) {
            Poll::Ready(Err(error)) => return self.stop(Some(Direction::AToB), error),
            polled => polled.is_ready(),
        };
        let b_to_a = match self.b_to_a.poll(cx) {
            Poll::Ready(Err(error)) => return self.stop(Some(Direction::BToA), error),
            polled => polled.is_ready(),
        };
        if a_to_b && b_to_a {
            return Poll::Ready(true);
        }
        let said = ready!(self.poll_timeouts(cx));
        let cause = io::Error::new(io::ErrorKind::TimedOut, said);
        let error = self.a_to_b.flow.core.fail(Operation::Wait, None, cause);
        self.stop(None, error)
    }

    fn stop(&mut self, direction: Option<Direction>, error: TransferError) -> Poll<bool> {
        self.fail(direction, error);
        Poll::Ready(false)
    }

    /// Ready with what has taken too long.
    fn poll_timeouts(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let half_closed = self.a_to_b.is_closed() || self.b_to_a.is_closed();
        let (what, most) = match self.half_closed {
            Some(most) if half_closed => ("one direction has ended and in the other", Some(most)),
            _ => ("in either direction", self.idle),
        };
        let latest = self.a_to_b.latest().max(self.b_to_a.latest());
        if let Some(most) = most
            && let Some(deadline) = latest.checked_add(most)
            && self.timers.0.poll(deadline, cx).is_ready()
        {
            return Poll::Ready(format!("{what} nothing has moved for {most:?}"));
        }
        if let Some(most) = self.lifetime
            && let Some(deadline) = self.lifetime_from.and_then(|from| from.checked_add(most))
            && self.timers.1.poll(deadline, cx).is_ready()
        {
            return Poll::Ready(format!("it has not ended within its lifetime of {most:?}"));
        }
        Poll::Pending
    }

    /// What follows the first error: the other direction is stopped, but not before it has given
    /// what the failed end had received; then a reset is passed on.
    fn poll_aftermath(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(failure) = &mut self.failure else { return Poll::Ready(()) };
        let (Some(direction), Some(side)) = (failure.direction, failure.error.side()) else {
            return Poll::Ready(());
        };
        if !is_reset(failure.error.kind()) {
            return Poll::Ready(());
        }
        let deadline = failure.at + LAST_DELIVERY;
        let late = self.timers.2.poll(deadline, cx).is_ready();
        if side == Side::Sink && !late {
            ready!(match direction {
                Direction::AToB => self.b_to_a.poll_rest(cx),
                Direction::BToA => self.a_to_b.poll_rest(cx),
            });
        }
        if !self.pass_resets {
            return Poll::Ready(());
        }
        let other: &dyn AsyncSink = match direction.end(side) {
            End::A => &self.b,
            End::B => &self.a,
        };
        // A reset throws away what the peer has not got yet.
        while other.unsent() > 0 {
            if late {
                return Poll::Ready(());
            }
            ready!(self.timers.3.poll(failure.looked + LOOK, cx));
            failure.looked = Instant::now();
        }
        other.abort();
        Poll::Ready(())
    }
}

/// Whether the peer is gone, and not the connection ended.
fn is_reset(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(kind, ConnectionReset | BrokenPipe | ConnectionAborted)
}
