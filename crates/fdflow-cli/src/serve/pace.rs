//! A connection's rate: so many bytes a second, in short pieces.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes are allowed for this long ahead.
const AHEAD: Duration = Duration::from_millis(100);

/// Says how many bytes may be written, as soon as that is more than a few.
#[derive(Debug)]
pub(super) struct Pace {
    rate: u64,
    /// When all that was written is allowed.
    paid: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    /// `rate` is in bytes a second.
    pub(super) fn new(rate: u64) -> Self {
        let now = Instant::now();
        Self { rate: rate.max(1), paid: now, sleep: Box::pin(sleep_until(now)) }
    }

    /// So many have been written.
    pub(super) fn spend(&mut self, n: usize) {
        let nanos = u128::from(n as u64) * 1_000_000_000 / u128::from(self.rate);
        let span = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid = self.paid.max(Instant::now()) + span;
    }

    /// What is allowed in `AHEAD`, at least a byte.
    fn piece(&self) -> usize {
        let bytes = u128::from(self.rate) * AHEAD.as_nanos() / 1_000_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX).max(1)
    }
}

impl Future for Pace {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let paid = self.paid;
        if paid > Instant::now() {
            if self.sleep.deadline() != paid {
                self.sleep.as_mut().reset(paid);
            }
            ready!(self.sleep.as_mut().poll(cx));
        }
        Poll::Ready(self.piece())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_always_allowed_and_a_piece_is_a_tenth_of_a_second() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        assert_eq!(Pace::new(1).piece(), 1);
        assert_eq!(Pace::new(1000).piece(), 100);
        let mut pace = Pace::new(1000);
        pace.spend(500);
        assert!(pace.paid > Instant::now() + Duration::from_millis(400));
    }
}
