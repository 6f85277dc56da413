//! How many may be in at once: of the program, of a service, from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Counts who is in.
#[derive(Debug, Default)]
pub(super) struct Gate {
    inside: AtomicUsize,
    left: Notify,
}

/// Someone who is in; dropped, someone who has left.
#[derive(Debug)]
pub(super) struct Pass(Arc<Gate>);

impl Gate {
    /// Waits until fewer than `most` are in.
    pub(super) async fn room(&self, most: usize) {
        loop {
            let left = self.left.notified();
            if self.inside() < most {
                return;
            }
            left.await;
        }
    }

    /// `None` where `most` are in.
    pub(super) fn enter(self: &Arc<Self>, most: usize) -> Option<Pass> {
        let more = |inside: usize| (inside < most).then_some(inside + 1);
        let entered = self.inside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        entered.is_ok().then(|| Pass(Arc::clone(self)))
    }

    /// How many are in.
    pub(super) fn inside(&self) -> usize {
        self.inside.load(Ordering::SeqCst)
    }

    /// Returns once nobody is.
    pub(super) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.inside() == 0 {
                return;
            }
            left.await;
        }
    }

    /// Returns once somebody has left.
    pub(super) async fn left(&self) {
        self.left.notified().await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
        self.0.left.notify_waiters();
    }
}

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
