//! Chance: splitmix64 on a counter that threads share. Nothing secret depends on it.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use super::Candidate;

/// The odd number next to 2⁶⁴ divided by the golden ratio: steps that reach every value.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Debug)]
pub(super) struct Random {
    state: AtomicU64,
}

impl Random {
    /// Begins elsewhere in each process, so that proxies side by side do not choose alike.
    pub(super) fn new() -> Self {
        Self { state: AtomicU64::new(RandomState::new().hash_one(0)) }
    }

    fn number(&self) -> u64 {
        mixed(self.state.fetch_add(STEP, Ordering::Relaxed))
    }

    /// From 0 up to, not including, `end`.
    fn below(&self, end: u64) -> u64 {
        let product = u128::from(self.number()) * u128::from(end);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// A candidate, as often as its weight says beside the others'; never the one at `but`.
    pub(super) fn weighted(&self, candidates: &[Candidate], but: Option<usize>) -> Option<usize> {
        let all = || {
            let others =
                candidates.iter().enumerate().filter(move |(index, _)| Some(*index) != but);
            others.map(|(index, candidate)| (index, u64::from(candidate.weight)))
        };
        let sum: u64 = all().map(|(_, weight)| weight).sum();
        if sum == 0 {
            return None;
        }
        let mut place = self.below(sum);
        for (index, weight) in all() {
            if place < weight {
                return Some(index);
            }
            place -= weight;
        }
        None
    }
}

/// Every bit of the number in every bit of the result.
pub(super) fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(STEP);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
