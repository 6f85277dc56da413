//! Which memory of a connection's bodies is which file: what the transport looks slices up in.
//!
//! A body is polled by the task that drives its connection. So the transport files its regions
//! under the task, and a body asks for those of the task that polls it: it needs no handle to its
//! connection, and a body on any other kind of connection finds none and does not map at all.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::task::{self, Id};

use crate::{Delivery, OpenFile};

/// Enough that threads seldom meet at a lock.
const SHARDS: usize = 64;

type Shard = HashMap<Id, Vec<Arc<Regions>>>;

static TASKS: LazyLock<[Mutex<Shard>; SHARDS]> =
    LazyLock::new(|| std::array::from_fn(|_| Mutex::default()));

/// The live regions of a connection.
#[derive(Debug)]
pub(crate) struct Regions {
    /// Whether sendfile may be used at all.
    pub(crate) sendfile: bool,
    count: AtomicUsize,
    next: AtomicU64,
    live: Mutex<Vec<Region>>,
}

#[derive(Debug)]
struct Region {
    key: u64,
    addresses: Range<usize>,
    backing: Backing,
}

/// What lies behind an address: a place in a file, and whom to tell what was sent.
#[derive(Debug, Clone)]
pub(crate) struct Backing {
    pub(crate) file: OpenFile,
    pub(crate) at: u64,
    pub(crate) delivery: Delivery,
}

/// What the bytes of a body's frame own.
struct Owner {
    regions: Arc<Regions>,
    key: u64,
    file: OpenFile,
    range: Range<usize>,
}

impl Regions {
    pub(crate) fn new(sendfile: bool) -> Self {
        Self {
            sendfile,
            count: AtomicUsize::new(0),
            next: AtomicU64::new(0),
            live: Mutex::default(),
        }
    }

    /// Those of the connection that the running task drives. `None`: it drives none, or several,
    /// between which a body cannot tell.
    pub(crate) fn of_this_task() -> Option<Arc<Self>> {
        let task = task::try_id()?;
        match shard(task).get(&task).map(Vec::as_slice) {
            Some([only]) => Some(Arc::clone(only)),
            _ => None,
        }
    }

    /// A range of a file as bytes that need not be read to be sent; `None`: it cannot be mapped.
    pub(crate) fn lend(
        self: &Arc<Self>,
        file: &OpenFile,
        range: &Range<u64>,
        delivery: &Delivery,
    ) -> Option<Bytes> {
        let within = usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?;
        let addresses = file.mapped()?.get(within.clone())?.as_ptr_range();
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        let backing = Backing { file: file.clone(), at: range.start, delivery: delivery.clone() };
        let addresses = addresses.start.addr()..addresses.end.addr();
        locked(&self.live).push(Region { key, addresses, backing });
        self.count.fetch_add(1, Ordering::Release);
        let owner = Owner { regions: Arc::clone(self), key, file: file.clone(), range: within };
        Some(Bytes::from_owner(owner))
    }

    /// What lies behind a slice, if all of it is a region's.
    pub(crate) fn find(&self, slice: &[u8]) -> Option<Backing> {
        if self.is_empty() {
            return None;
        }
        let addresses = slice.as_ptr_range();
        let (start, end) = (addresses.start.addr(), addresses.end.addr());
        let live = locked(&self.live);
        let region = live
            .iter()
            .find(|region| region.addresses.start <= start && end <= region.addresses.end)?;
        let mut backing = region.backing.clone();
        backing.at += (start - region.addresses.start) as u64;
        Some(backing)
    }

    /// A slice of a region as bytes of their own, which outlive those that it is a slice of.
    pub(crate) fn lend_again(self: &Arc<Self>, slice: &[u8]) -> Option<Bytes> {
        let Backing { file, at, delivery } = self.find(slice)?;
        self.lend(&file, &(at..at + slice.len() as u64), &delivery)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }
}

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.file.mapped().and_then(|all| all.get(self.range.clone())).unwrap_or_default()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut live = locked(&self.regions.live);
        // Bodies go in the order in which they came.
        if let Some(place) = live.iter().position(|region| region.key == self.key) {
            live.remove(place);
            self.regions.count.fetch_sub(1, Ordering::Release);
        }
    }
}

/// A connection's place under the task that drives it.
#[derive(Debug)]
pub(crate) struct Place {
    task: Option<Id>,
    regions: Arc<Regions>,
}

impl Place {
    pub(crate) fn new(regions: Regions) -> Self {
        Self { task: None, regions: Arc::new(regions) }
    }

    pub(crate) fn regions(&self) -> &Arc<Regions> {
        &self.regions
    }

    /// Files the connection under the running task, if it is not yet.
    pub(crate) fn renew(&mut self) {
        let now = task::try_id();
        if now != self.task {
            self.leave();
            self.task = now;
            if let Some(task) = now {
                shard(task).entry(task).or_default().push(Arc::clone(&self.regions));
            }
        }
    }

    fn leave(&mut self) {
        let Some(task) = self.task.take() else { return };
        let mut shard = shard(task);
        let Some(all) = shard.get_mut(&task) else { return };
        all.retain(|regions| !Arc::ptr_eq(regions, &self.regions));
        if all.is_empty() {
            shard.remove(&task);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}

fn shard(task: Id) -> MutexGuard<'static, Shard> {
    use std::hash::{BuildHasher, RandomState};
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let hash = usize::try_from(STATE.hash_one(task) % SHARDS as u64).unwrap_or(0);
    locked(&TASKS[hash])
}

/// A panic elsewhere leaves nothing half done here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> OpenFile {
        let file = tempfile::tempfile().expect("a temporary file can be made");
        file.set_len(1 << 20).expect("there is room for a hole");
        OpenFile::new(file).expect("it is a regular file")
    }

    #[tokio::test]
    async fn only_the_task_of_a_single_connection_is_lent_to() {
        let work = async {
            assert!(Regions::of_this_task().is_none());
            let mut one = Place::new(Regions::new(true));
            assert!(Regions::of_this_task().is_none(), "it was not driven yet");
            one.renew();
            assert!(Regions::of_this_task().is_some());
            let elsewhere = tokio::spawn(async { Regions::of_this_task().is_some() });
            assert!(!elsewhere.await.expect("the other task ends"));
            let mut two = Place::new(Regions::new(true));
            two.renew();
            assert!(Regions::of_this_task().is_none(), "a body cannot tell the two apart");
            drop(one);
            assert!(Regions::of_this_task().is_some());
            drop(two);
            assert!(Regions::of_this_task().is_none());
        };
        tokio::spawn(work).await.expect("the task ends");
    }

    #[tokio::test]
    async fn a_connection_that_moves_to_another_task_is_found_there() {
        let mut place = Place::new(Regions::new(true));
        let moved = tokio::spawn(async move {
            place.renew();
            place
        });
        let mut place = moved.await.expect("the task ends");
        let found = tokio::spawn(async move {
            assert!(Regions::of_this_task().is_none());
            place.renew();
            Regions::of_this_task().is_some()
        });
        assert!(found.await.expect("the task ends"));
    }

    #[test]
    fn slices_of_what_was_lent_are_found_until_it_is_dropped() {
        let (regions, file) = (Arc::new(Regions::new(true)), file());
        let lent = regions.lend(&file, &(5000..900_000), &Delivery::default());
        let lent = lent.expect("a file can be mapped");
        assert_eq!(lent.len(), 895_000);
        let places = [(0..895_000, 5000), (1..2, 5001), (894_999..895_000, 899_999)];
        for (slice, at) in places {
            assert_eq!(regions.find(&lent[slice]).map(|backing| backing.at), Some(at));
        }
        assert!(regions.find(&[1, 2, 3]).is_none());
        let part = lent.slice(10..20);
        drop(lent);
        assert_eq!(regions.find(&part).map(|backing| backing.at), Some(5010));
        assert!(!regions.is_empty());
        drop(part);
        assert!(regions.is_empty());
    }

    #[test]
    fn what_is_lent_again_outlives_what_it_is_a_slice_of_and_is_the_same_place() {
        let (regions, file) = (Arc::new(Regions::new(true)), file());
        let lent = regions.lend(&file, &(5000..900_000), &Delivery::default());
        let lent = lent.expect("a file can be mapped");
        let again = regions.lend_again(&lent[100..]).expect("it is a slice of a region");
        assert_eq!((again.len(), again.as_ptr()), (894_900, lent[100..].as_ptr()));
        drop(lent);
        assert_eq!(regions.find(&again[1..]).map(|backing| backing.at), Some(5101));
        assert!(regions.lend_again(&[1, 2, 3]).is_none());
        drop(again);
        assert!(regions.is_empty());
    }

    #[test]
    fn two_bodies_of_one_file_are_told_apart_as_long_as_both_live() {
        let (regions, file) = (Arc::new(Regions::new(true)), file());
        let lend = |range| regions.lend(&file, &range, &Delivery::default());
        let first = lend(0..100_000).expect("a file can be mapped");
        let second = lend(50_000..150_000).expect("a file can be mapped");
        drop(first);
        assert_eq!(regions.find(&second).map(|backing| backing.at), Some(50_000));
        drop(second);
        assert!(regions.is_empty());
    }
}
