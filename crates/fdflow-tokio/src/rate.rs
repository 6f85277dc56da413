//! Rate limits: a bucket of tokens, one a byte, of one flow or shared by many.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The bucket holds what flows in so long, and it is full at the start.
const DEPTH: Duration = Duration::from_millis(100);
/// A flow that has to wait waits for so many tokens, or for the whole bucket, lest it wake for
/// every byte.
const WORTHWHILE: u64 = 4 << 10;

/// What one flow takes out of a shared bucket at a time.
const SHARE: u64 = 64 << 10;

/// A rate that flows share: together they take at most so many bytes a second.
///
/// Clones are the same rate; flows of several threads and runtimes may have it. Who waits is served
/// in no particular order, a share of at most 64 KiB at a time.
#[derive(Debug, Clone)]
pub struct SharedRate(Arc<Mutex<Bucket>>);

impl SharedRate {
    /// At most so many bytes a second; a tenth of it may go at once.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self(Arc::new(Mutex::new(Bucket::new(bytes_per_second, Instant::now()))))
    }

    /// Takes a share, or says when there will be one.
    pub(crate) fn take(&self, now: Instant) -> Result<u64, Instant> {
        let mut bucket = self.locked();
        let share = bucket.may_take(now)?.min(SHARE);
        bucket.took(share);
        Ok(share)
    }

    /// Gives back what was taken and not used.
    pub(crate) fn give_back(&self, bytes: u64) {
        let mut bucket = self.locked();
        bucket.tokens = bucket.tokens.saturating_add(bytes).min(bucket.depth);
    }

    fn locked(&self) -> MutexGuard<'_, Bucket> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flow's part in a shared rate.
#[derive(Debug)]
pub(crate) struct Share {
    pub(crate) rate: SharedRate,
    /// Taken and not used yet.
    pub(crate) left: u64,
}

impl Share {
    pub(crate) fn new(rate: SharedRate) -> Self {
        Self { rate, left: 0 }
    }

    /// How many bytes may be taken now, or when there will be some to take.
    pub(crate) fn may_take(&mut self, now: Instant) -> Result<u64, Instant> {
        if self.left == 0 {
            self.left = self.rate.take(now)?;
        }
        Ok(self.left)
    }

    pub(crate) fn took(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// Others may have what is left.
    pub(crate) fn rest(&mut self) {
        if self.left > 0 {
            self.rate.give_back(self.left);
            self.left = 0;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.rest();
    }
}

/// What a flow may still take.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: u64,
    depth: u64,
    tokens: u64,
    /// When `tokens` was right.
    at: Instant,
}

impl Bucket {
    pub(crate) fn new(per_second: u64, now: Instant) -> Self {
        let per_second = per_second.max(1);
        let depth = in_time(per_second, DEPTH).max(1);
        Self { per_second, depth, tokens: depth, at: now }
    }

    /// How many bytes may be taken now, or when there will be some to take.
    pub(crate) fn may_take(&mut self, now: Instant) -> Result<u64, Instant> {
        let gained = in_time(self.per_second, now.saturating_duration_since(self.at));
        if self.tokens.saturating_add(gained) >= self.depth {
            (self.tokens, self.at) = (self.depth, now);
        } else if gained > 0 {
            self.tokens += gained;
            // Not to `now`: the part of a token that has been gained would be lost.
            self.at += self.time_for(gained);
        }
        if self.tokens > 0 {
            return Ok(self.tokens);
        }
        Err(self.at + self.time_for(self.depth.min(WORTHWHILE)))
    }

    pub(crate) fn took(&mut self, bytes: u64) {
        self.tokens = self.tokens.saturating_sub(bytes);
    }

    /// The time in which `tokens` are gained, rounded up.
    fn time_for(&self, tokens: u64) -> Duration {
        let nanos = (u128::from(tokens) * 1_000_000_000).div_ceil(u128::from(self.per_second));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn in_time(per_second: u64, time: Duration) -> u64 {
    let tokens = u128::from(per_second) * time.as_nanos() / 1_000_000_000;
    u64::try_from(tokens).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_depth_at_once_and_the_rate_from_then_on() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, start);
        assert_eq!(bucket.may_take(start), Ok(100));
        bucket.took(100);
        let then = bucket.may_take(start).unwrap_err();
        assert_eq!(then - start, Duration::from_millis(100));
        assert_eq!(bucket.may_take(start + Duration::from_millis(7)), Ok(7));
        bucket.took(7);
        assert_eq!(bucket.may_take(start + Duration::from_secs(60)), Ok(100));
    }

    #[test]
    fn what_one_flow_leaves_of_a_shared_rate_another_takes() {
        let rate = SharedRate::new(10_000);
        let start = Instant::now();
        let (mut one, mut other) = (Share::new(rate.clone()), Share::new(rate));
        assert_eq!(one.may_take(start), Ok(1000));
        assert!(other.may_take(start).is_err());
        one.took(400);
        one.rest();
        assert_eq!(other.may_take(start), Ok(600));
        drop(other);
        assert_eq!(one.may_take(start), Ok(600));
    }

    #[test]
    fn parts_of_a_token_add_up() {
        let start = Instant::now();
        let mut bucket = Bucket::new(3, start);
        bucket.took(1);
        let mut taken = 0;
        for i in 1..=10_000 {
            if let Ok(n) = bucket.may_take(start + Duration::from_millis(i)) {
                bucket.took(n);
                taken += n;
            }
        }
        assert!((29..=30).contains(&taken), "{taken} in ten seconds at three a second");
    }
}
