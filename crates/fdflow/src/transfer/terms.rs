//! A policy as a transfer keeps it.

use crate::policy::{CALL_MAX, Policy, Sparse, Stability};
use crate::route::Routes;

/// As [`Policy`] but for the idle timeout, in a third of the room: each quiet flow has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// [`UNLIMITED`] where there is none.
    limit: u64,
    /// The bound of one call.
    call: u32,
    pub(crate) routes: Routes,
    pub(crate) stability: Stability,
    pub(crate) sparse: Sparse,
}

/// No transfer gets as far as this.
const UNLIMITED: u64 = u64::MAX;

impl From<Policy> for Terms {
    fn from(policy: Policy) -> Self {
        let Policy { routes, limit, chunk, stability, sparse, idle_timeout: _ } = policy;
        let limit = limit.unwrap_or(UNLIMITED);
        let mut terms = Self { limit, call: 0, routes, stability, sparse };
        terms.set_chunk(chunk);
        terms
    }
}

impl Terms {
    /// The most bytes of all runs.
    pub(crate) fn limit(&self) -> Option<u64> {
        (self.limit != UNLIMITED).then_some(self.limit)
    }

    pub(crate) fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
    }

    /// The bound of one call.
    pub(crate) fn call(&self) -> u64 {
        self.call.into()
    }

    pub(crate) fn set_chunk(&mut self, bytes: usize) {
        self.call = u32::try_from(bytes.clamp(1, CALL_MAX)).unwrap_or(u32::MAX);
    }
}
