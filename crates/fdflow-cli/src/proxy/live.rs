//! All flows that there are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ending::Ending;
use super::flow::{Flow, Order};

/// The flows, by their ids.
#[derive(Debug, Default)]
pub(super) struct Live {
    flows: Mutex<HashMap<u64, Arc<Flow>>>,
    next: AtomicU64,
}

impl Live {
    /// An id that no other flow of this process has or had.
    pub(super) fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn add(&self, flow: &Arc<Flow>) {
        self.locked().insert(flow.id, Arc::clone(flow));
    }

    /// It is over: from here on its bytes are among those of its service. Whoever sums up both
    /// does so under the same lock, and so misses none and counts none twice.
    pub(super) fn remove(&self, flow: &Flow, ending: &Ending) {
        let mut flows = self.locked();
        flows.remove(&flow.id);
        flow.service.lasting.figures.count(flow, ending);
    }

    /// Looks at all of them while none ends.
    pub(super) fn look<T>(&self, look: impl FnOnce(&HashMap<u64, Arc<Flow>>) -> T) -> T {
        look(&self.locked())
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Flow>> {
        self.locked().values().cloned().collect()
    }

    /// Gives an order to one. `false`: there is none of that id.
    pub(super) fn command(&self, id: u64, order: Order) -> bool {
        let flow = self.locked().get(&id).cloned();
        flow.is_some_and(|flow| {
            flow.command(order);
            true
        })
    }

    /// Gives an order to all of them.
    pub(super) fn command_all(&self, order: Order) {
        for flow in self.all() {
            flow.command(order);
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Arc<Flow>>> {
        self.flows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
