//! All of what is served at a time, by numbers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One that is served.
pub(crate) trait Served {
    /// What it can be told.
    type Order: Copy;

    fn id(&self) -> u64;

    fn command(&self, order: Self::Order);
}

/// All of them, by their ids.
#[derive(Debug)]
pub(crate) struct Live<T> {
    all: Mutex<HashMap<u64, Arc<T>>>,
    next: AtomicU64,
}

impl<T> Default for Live<T> {
    fn default() -> Self {
        Self { all: Mutex::default(), next: AtomicU64::new(0) }
    }
}

impl<T: Served> Live<T> {
    /// An id that no other of this process has or had.
    pub(crate) fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// It is there, and counted as one that came.
    pub(crate) fn add(&self, one: &Arc<T>, count: impl FnOnce()) {
        let mut all = self.locked();
        all.insert(one.id(), Arc::clone(one));
        count();
    }

    /// It is over: from here on it is counted among the sums. Whoever adds up both does so under the
    /// same lock, and so misses none and counts none twice.
    pub(crate) fn remove(&self, one: &T, count: impl FnOnce()) {
        let mut all = self.locked();
        all.remove(&one.id());
        count();
    }

    /// Looks at all of them while none comes or ends.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&HashMap<u64, Arc<T>>) -> R) -> R {
        look(&self.locked())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        self.locked().values().cloned().collect()
    }

    /// Gives an order to one. `false`: there is none of that id.
    pub(crate) fn command(&self, id: u64, order: T::Order) -> bool {
        let one = self.locked().get(&id).cloned();
        one.is_some_and(|one| {
            one.command(order);
            true
        })
    }

    /// Gives an order to all of them.
    pub(crate) fn command_all(&self, order: T::Order) {
        for one in self.all() {
            one.command(order);
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Arc<T>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
