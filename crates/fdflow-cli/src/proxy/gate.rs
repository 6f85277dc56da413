//! The places that connections take up: of the program, of a service, from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::daemon::gate::Pass;

/// Counts who is in, by address.
#[derive(Debug, Default)]
pub(super) struct Sources {
    inside: Mutex<HashMap<IpAddr, usize>>,
    left: Notify,
}

/// Someone from an address who is in.
#[derive(Debug)]
pub(super) struct SourcePass {
    sources: Arc<Sources>,
    address: IpAddr,
}

impl Sources {
    /// Waits until fewer than `most` are in from `address`.
    pub(super) async fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> SourcePass {
        loop {
            let left = self.left.notified();
            if self.try_enter(address, most) {
                return SourcePass { sources: Arc::clone(self), address };
            }
            left.await;
        }
    }

    fn try_enter(&self, address: IpAddr, most: usize) -> bool {
        let mut inside = self.locked();
        let count = inside.entry(address).or_insert(0);
        let free = *count < most;
        *count += usize::from(free);
        free
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SourcePass {
    fn drop(&mut self) {
        let mut inside = self.sources.locked();
        match inside.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(inside.remove(&self.address)),
        }
        drop(inside);
        self.sources.left.notify_waiters();
    }
}

/// The places that a connection takes up.
#[derive(Debug)]
pub(super) struct Passes {
    pub(super) _service: Pass,
    pub(super) _program: Pass,
    pub(super) source: Option<SourcePass>,
}
