//! Times that take little room: an instant in eight bytes, and a timer that is made when it is first needed and moved only when it has run out too early.

use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// An instant in eight bytes: nanoseconds before or after the first that the process asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment(i64);

fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

impl Moment {
    pub(crate) fn now() -> Self {
        Instant::now().into()
    }

    pub(crate) fn instant(self) -> Instant {
        let distance = Duration::from_nanos(self.0.unsigned_abs());
        let epoch = epoch();
        let there =
            if self.0 < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
        there.unwrap_or(epoch)
    }
}

impl From<Instant> for Moment {
    fn from(instant: Instant) -> Self {
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        let epoch = epoch();
        match instant.checked_duration_since(epoch) {
            Some(after) => Self(nanos(after)),
            None => Self(-nanos(epoch.saturating_duration_since(instant))),
        }
    }
}

/// Deadlines of a busy flow move with every byte: the timer is left where it is, and looks again
/// when it fires.
#[derive(Debug, Default)]
pub(crate) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Ready once `deadline` has passed; until then the task is woken at it, or earlier.
    pub(crate) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if sleep.deadline() > deadline {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= deadline || Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_instant_that_it_was_made_of_before_and_after_the_first() {
        let day = Duration::from_secs(86_400);
        let now = Instant::now();
        for instant in [now, now + day, now.checked_sub(Duration::from_millis(3)).unwrap_or(now)] {
            assert_eq!(Moment::from(instant).instant(), instant);
        }
    }
}
