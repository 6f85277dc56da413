//! How many may be in at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts who is in.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    inside: AtomicUsize,
    left: Notify,
}

/// Someone who is in; dropped, someone who has left.
#[derive(Debug)]
pub(crate) struct Pass(Arc<Gate>);

impl Gate {
    /// Waits until fewer than `most` are in.
    pub(crate) async fn room(&self, most: usize) {
        loop {
            let left = self.left.notified();
            if self.inside() < most {
                return;
            }
            left.await;
        }
    }

    /// `None` where `most` are in.
    pub(crate) fn enter(self: &Arc<Self>, most: usize) -> Option<Pass> {
        let more = |inside: usize| (inside < most).then_some(inside + 1);
        let entered = self.inside.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more);
        entered.is_ok().then(|| Pass(Arc::clone(self)))
    }

    /// How many are in.
    pub(crate) fn inside(&self) -> usize {
        self.inside.load(Ordering::SeqCst)
    }

    /// Returns once nobody is.
    pub(crate) async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.inside() == 0 {
                return;
            }
            left.await;
        }
    }

    /// Returns once somebody has left.
    pub(crate) async fn left(&self) {
        self.left.notified().await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
        self.0.left.notify_waiters();
    }
}
