//! The readers that there are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ending::Ending;
use super::figures::Figures;
use super::reader::{Order, Reader};

/// The readers, by their ids, and the sums of those that were.
#[derive(Debug, Default)]
pub(super) struct Live {
    readers: Mutex<HashMap<u64, Arc<Reader>>>,
    next: AtomicU64,
    pub(super) figures: Figures,
}

impl Live {
    /// An id that no other reader of this process has or had.
    pub(super) fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn add(&self, reader: &Arc<Reader>) {
        let mut readers = self.locked();
        readers.insert(reader.id, Arc::clone(reader));
        self.figures.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// It is over: from here on its bytes are among the sums. Whoever adds up both does so under
    /// the same lock, and so misses none and counts none twice.
    pub(super) fn remove(&self, reader: &Reader, ending: &Ending) {
        let mut readers = self.locked();
        readers.remove(&reader.id);
        self.figures.count(reader, ending);
    }

    /// Looks at all of them while none ends.
    pub(super) fn look<T>(&self, look: impl FnOnce(&HashMap<u64, Arc<Reader>>) -> T) -> T {
        look(&self.locked())
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Arc<Reader>> {
        self.locked().values().cloned().collect()
    }

    /// Tells one something. `false`: there is none of that id.
    pub(super) fn command(&self, id: u64, order: Order) -> bool {
        let reader = self.locked().get(&id).cloned();
        reader.is_some_and(|reader| {
            reader.command(order);
            true
        })
    }

    /// Tells all of them something.
    pub(super) fn command_all(&self, order: Order) {
        for reader in self.all() {
            reader.command(order);
        }
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<u64, Arc<Reader>>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
