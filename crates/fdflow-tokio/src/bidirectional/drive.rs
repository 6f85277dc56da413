//! Driving two directions at once: ends, errors, resets, timeouts.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fdflow::{Operation, Report, Side, Sockets, TransferError};
use tokio::time::Instant;

use super::error::{BidirectionalError, Both, Direction, End, Inner};
use super::lane::Lane;
use crate::end::{AsyncSink, AsyncSource};
use crate::timer::{Moment, Timer};

/// So long may it take to deliver what an end had received before it failed.
const LAST_DELIVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether a peer has acknowledged everything: there is no event for that.
const LOOK: Duration = Duration::from_millis(2);

/// Both directions, with handles on the ends: what runs behind [`Bidirectional`](super::Bidirectional)
/// and [`copy_bidirectional`](super::copy_bidirectional). Small, since most are quiet most of the
/// time: what few of them have is in a box.
pub(super) struct Duplex<A, B> {
    pub(super) a: A,
    pub(super) b: B,
    pub(super) a_to_b: Lane<A, B>,
    pub(super) b_to_a: Lane<B, A>,
    options: Option<Box<Options>>,
    pub(super) failure: Option<Box<Failure>>,
    began: Moment,
    first_began: Moment,
    has_begun: bool,
    pub(super) is_running: bool,
    pub(super) first_closed: Option<Direction>,
}

/// What most flows are not told.
#[derive(Debug, Default)]
pub(super) struct Options {
    pub(super) idle: Option<Duration>,
    pub(super) half_closed: Option<Duration>,
    pub(super) lifetime: Option<Duration>,
    /// A reset of one end is not passed on to the other.
    pub(super) keep_resets: bool,
    /// The quiet counts from here: the run began, or one direction was closed.
    since: Option<Instant>,
    quiet: Timer,
    end: Timer,
}

/// The first error, which wins, while what follows from it is done.
#[derive(Debug)]
pub(super) struct Failure {
    direction: Option<Direction>,
    error: TransferError,
    at: Instant,
    looked: Instant,
    late: Timer,
    look: Timer,
}

impl<A, B> Duplex<A, B>
where
    A: AsyncSource + AsyncSink + Clone,
    B: AsyncSource + AsyncSink + Clone,
{
    pub(super) fn new(a: A, b: B) -> Self {
        Self {
            a_to_b: Lane::new(a.clone(), b.clone()),
            b_to_a: Lane::new(b.clone(), a.clone()),
            a,
            b,
            options: None,
            failure: None,
            began: Moment::now(),
            first_began: Moment::now(),
            has_begun: false,
            is_running: false,
            first_closed: None,
        }
    }

    pub(super) fn options(&mut self) -> &mut Options {
        self.options.get_or_insert_default()
    }

    pub(super) fn reports(&self) -> Both<Report> {
        Both { a_to_b: self.a_to_b.report(), b_to_a: self.b_to_a.report() }
    }

    /// The reports of a run that has ended so. A run is [`begin`](Self::begin), [`poll_run`](Self::poll_run)
    /// until it is ready, and this: a future of its own would be one more thing to keep.
    pub(super) fn ended(
        &mut self,
        ended: Result<(), Box<Failure>>,
    ) -> Result<Both<Report>, BidirectionalError> {
        let elapsed = self.began.instant().elapsed();
        self.a_to_b.flow.core.add_elapsed(elapsed);
        self.b_to_a.flow.core.add_elapsed(elapsed);
        let reports = self.reports();
        let Err(failure) = ended else { return Ok(reports) };
        let Failure { direction, error, .. } = *failure;
        let undelivered = Both::default();
        Err(BidirectionalError {
            inner: Box::new(Inner { direction, error, reports, undelivered }),
        })
    }

    pub(super) fn begin(&mut self) {
        let now = Instant::now();
        // Where the runtime has no timers this says so now, and not when a peer resets.
        drop(tokio::time::sleep_until(now));
        self.began = now.into();
        if !self.has_begun {
            (self.first_began, self.has_begun) = (now.into(), true);
        }
        // Another runtime may drive this run.
        if let Some(options) = &mut self.options {
            (options.quiet, options.end) = Default::default();
            options.since = Some(now);
        }
        if let Some(failure) = &mut self.failure {
            (failure.late, failure.look) = Default::default();
            return;
        }
        if let Err(error) = self.a_to_b.begin((&self.a, &self.b), None) {
            self.fail(Some(Direction::AToB), error);
            return;
        }
        let sockets = self.a_to_b.flow.core.sockets().map(Sockets::reversed);
        if let Err(error) = self.b_to_a.begin((&self.b, &self.a), sockets) {
            self.fail(Some(Direction::BToA), error);
        }
    }

    fn fail(&mut self, direction: Option<Direction>, error: TransferError) {
        let (at, late, look) = (Instant::now(), Timer::default(), Timer::default());
        let failure = Failure { direction, error, at, looked: at, late, look };
        self.failure.get_or_insert(Box::new(failure));
    }

    pub(super) fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Failure>>> {
        if self.failure.is_none() && ready!(self.poll_both(cx)) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_aftermath(cx));
        Poll::Ready(self.failure.take().map_or(Ok(()), Err))
    }

    /// Ready with whether both directions have come to their end; if not, one has failed.
    fn poll_both(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let closed = (self.a_to_b.is_closed(), self.b_to_a.is_closed());
        let a_to_b = match self.a_to_b.poll((&self.a, &self.b), cx) {
            Poll::Ready(Err(error)) => return self.stop(Some(Direction::AToB), error),
            polled => polled.is_ready(),
        };
        let b_to_a = match self.b_to_a.poll((&self.b, &self.a), cx) {
            Poll::Ready(Err(error)) => return self.stop(Some(Direction::BToA), error),
            polled => polled.is_ready(),
        };
        if self.first_closed.is_none() {
            self.first_closed = self.closed();
        }
        if a_to_b && b_to_a {
            return Poll::Ready(true);
        }
        if let Some(options) = &mut self.options
            && closed != (self.a_to_b.is_closed(), self.b_to_a.is_closed())
        {
            options.since = Some(Instant::now());
        }
        let said = ready!(self.poll_timeouts(cx));
        let cause = io::Error::new(io::ErrorKind::TimedOut, said);
        let error = self.a_to_b.flow.core.fail(Operation::Wait, None, cause);
        self.stop(None, error)
    }

    /// A direction that has been closed.
    fn closed(&self) -> Option<Direction> {
        let of = |is: bool, direction| is.then_some(direction);
        of(self.a_to_b.is_closed(), Direction::AToB)
            .or_else(|| of(self.b_to_a.is_closed(), Direction::BToA))
    }

    fn stop(&mut self, direction: Option<Direction>, error: TransferError) -> Poll<bool> {
        self.fail(direction, error);
        Poll::Ready(false)
    }

    /// Ready with what has taken too long.
    fn poll_timeouts(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        let Some(options) = &mut self.options else { return Poll::Pending };
        let half_closed = self.a_to_b.is_closed() || self.b_to_a.is_closed();
        let (what, most) = match options.half_closed {
            Some(most) if half_closed => ("one direction has ended and in the other", Some(most)),
            _ => ("in either direction", options.idle),
        };
        let latest = self.a_to_b.flow.latest().max(self.b_to_a.flow.latest());
        let latest = options.since.map_or(latest, |since| latest.max(since));
        if let Some(most) = most
            && let Some(deadline) = latest.checked_add(most)
            && options.quiet.poll(deadline, cx).is_ready()
        {
            return Poll::Ready(format!("{what} nothing has moved for {most:?}"));
        }
        if let Some(most) = options.lifetime
            && let Some(deadline) = self.first_began.instant().checked_add(most)
            && options.end.poll(deadline, cx).is_ready()
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
        let late = failure.late.poll(deadline, cx).is_ready();
        if side == Side::Sink && !late {
            ready!(match direction {
                Direction::AToB => self.b_to_a.poll_rest((&self.b, &self.a), cx),
                Direction::BToA => self.a_to_b.poll_rest((&self.a, &self.b), cx),
            });
        }
        if self.options.as_ref().is_some_and(|options| options.keep_resets) {
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
            ready!(failure.look.poll(failure.looked + LOOK, cx));
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

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use super::*;

    #[test]
    fn what_a_quiet_flow_keeps_is_small() {
        let size = size_of::<Duplex<&TcpStream, &TcpStream>>();
        assert!(size <= 744, "{size} bytes");
    }
}
