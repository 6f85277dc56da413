//! Files that were asked for lately: open, looked at, the small ones in memory. An entry is only
//! ever used for a file that is unchanged since, which whoever uses it has just found out.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use crate::entry::Entry;
use crate::name::Name;

/// How often what was not used since the last time is dropped.
const PERIOD: Duration = Duration::from_secs(10);

/// Bounded in entries and in bytes. What was not used since the hand last passed goes first.
#[derive(Debug)]
pub(crate) struct Cache {
    slots: RwLock<Slots>,
    entries: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Slots {
    by_name: HashMap<Arc<Name>, Slot>,
    /// The hand of the clock is at the front.
    ring: VecDeque<Arc<Name>>,
    bytes: usize,
    swept: bool,
}

#[derive(Debug)]
struct Slot {
    entry: Arc<Entry>,
    used: AtomicBool,
}

impl Cache {
    pub(crate) fn new(entries: usize, bytes: usize) -> Self {
        Self { slots: RwLock::default(), entries, bytes }
    }

    /// What is kept of this name. Whether it is still true is for the caller to find out.
    pub(crate) fn get(&self, name: &Name) -> Option<Arc<Entry>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.by_name.get(name)?;
        // Most often it is set already, and writing would take the line from other processors.
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(Arc::clone(&slot.entry))
    }

    /// Keeps an entry in place of the one of the same name.
    pub(crate) fn insert(self: &Arc<Self>, name: &Name, entry: Arc<Entry>) {
        let cost = entry.cost();
        if cost > self.bytes || self.entries == 0 {
            self.remove(name);
            return;
        }
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.bytes += cost;
        let slot = Slot { entry, used: AtomicBool::new(false) };
        let name = Arc::new(name.clone());
        match slots.by_name.insert(Arc::clone(&name), slot) {
            Some(old) => slots.bytes -= old.entry.cost(),
            None => slots.ring.push_back(name),
        }
        while slots.ring.len() > self.entries || slots.bytes > self.bytes {
            slots.evict();
        }
        if !slots.swept
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            slots.swept = true;
            runtime.spawn(sweep(Sweeper { cache: Arc::downgrade(self), done: false }));
        }
    }

    pub(crate) fn remove(&self, name: &Name) {
        let known =
            self.slots.read().unwrap_or_else(PoisonError::into_inner).by_name.contains_key(name);
        if known {
            self.slots.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        }
    }

    /// Closes all that answers in flight do not hold.
    pub(crate) fn clear(&self) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        *slots = Slots { swept: slots.swept, ..Slots::default() };
    }

    /// Drops what was not used since the last sweep; true when nothing is left.
    fn sweep(&self) -> bool {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let stale: Vec<Arc<Name>> = slots
            .by_name
            .iter()
            .filter(|(_, slot)| !slot.used.swap(false, Ordering::Relaxed))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        let Slots { by_name, ring, bytes, swept } = &mut *slots;
        for name in stale {
            if let Some(slot) = by_name.remove(&name) {
                *bytes -= slot.entry.cost();
            }
        }
        ring.retain(|name| by_name.contains_key(name));
        *swept = !ring.is_empty();
        ring.is_empty()
    }
}

impl Slots {
    /// Moves the hand on by one.
    fn evict(&mut self) {
        let Some(name) = self.ring.pop_front() else { return };
        let used =
            self.by_name.get(&name).is_some_and(|slot| slot.used.swap(false, Ordering::Relaxed));
        if used {
            self.ring.push_back(name);
        } else if let Some(slot) = self.by_name.remove(&name) {
            self.bytes -= slot.entry.cost();
        }
    }

    fn remove(&mut self, name: &Name) {
        if let Some(slot) = self.by_name.remove(name) {
            self.bytes -= slot.entry.cost();
            self.ring.retain(|kept| **kept != *name);
        }
    }
}

/// Says that nobody sweeps any more when its runtime ends before the cache is empty.
struct Sweeper {
    cache: Weak<Cache>,
    done: bool,
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        if !self.done
            && let Some(cache) = self.cache.upgrade()
        {
            cache.slots.write().unwrap_or_else(PoisonError::into_inner).swept = false;
        }
    }
}

/// Without it a deleted file would keep its blocks for as long as nobody asks for it again.
async fn sweep(mut sweeper: Sweeper) {
    loop {
        tokio::time::sleep(PERIOD).await;
        match sweeper.cache.upgrade() {
            Some(cache) if !cache.sweep() => {}
            _ => break,
        }
    }
    // Whether another sweeper is needed was settled under the lock.
    sweeper.done = true;
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
