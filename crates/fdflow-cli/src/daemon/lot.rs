//! A lot for connections in which nothing goes on: of each there are its descriptors and a few
//! words, no task and no place in the runtime.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::time::interval;

/// How often it is looked who has rested too long.
const LOOK: Duration = Duration::from_millis(250);
/// So many are woken before others have their turn.
const AT_ONCE: usize = 64;

/// Something that rests until there is something to read at one of its descriptors, or they end.
pub(crate) trait Rests: Send + 'static {
    fn descriptors(&self) -> [BorrowedFd<'_>; 2];
    /// Whether it has rested long enough, or is to end.
    fn is_due(&self) -> bool;
}

/// The lot of a thread.
#[derive(Debug)]
pub(crate) struct Lot<T> {
    epoll: AsyncFd<OwnedFd>,
    places: Mutex<Places<T>>,
    count: AtomicUsize,
    came: Notify,
}

#[derive(Debug)]
struct Places<T> {
    all: Vec<Place<T>>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Place<T> {
    /// Counts who has been here: an event of one who has left is not taken for its successor's.
    turn: u32,
    guest: Option<T>,
}

impl<T: Rests> Lot<T> {
    /// An empty lot, in a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor has one promise that the descriptor is owned, which this one is"
        )]
        let epoll = AsyncFd::new(epoll::create(CreateFlags::CLOEXEC)?)?;
        let places = Mutex::new(Places { all: Vec::new(), free: Vec::new() });
        Ok(Self { epoll, places, count: AtomicUsize::new(0), came: Notify::new() })
    }

    /// How many rest.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes one in; gives it back where the system cannot.
    pub(crate) fn add(&self, guest: T) -> Result<(), T> {
        let mut places = self.locked();
        let (at, turn) = places.take();
        let data = EventData::new_u64(u64::from(turn) << 32 | u64::from(at));
        let interest = EventFlags::IN | EventFlags::RDHUP;
        let [first, second] = guest.descriptors();
        if epoll::add(&self.epoll, first, data, interest).is_err() {
            places.free.push(at);
            return Err(guest);
        }
        if epoll::add(&self.epoll, second, data, interest).is_err() {
            // It has just been added.
            let _removed = epoll::delete(&self.epoll, first).is_ok();
            places.free.push(at);
            return Err(guest);
        }
        if let Some(place) = places.all.get_mut(at as usize) {
            place.guest = Some(guest);
        }
        drop(places);
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.came.notify_one();
        }
        Ok(())
    }

    /// Hands out whoever has something to read or is due, forever.
    pub(crate) async fn run(&self, mut wake: impl FnMut(T)) -> io::Result<()> {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if self.len() == 0 {
                self.came.notified().await;
            }
            tokio::select! {
                ready = self.epoll.readable() => {
                    let mut ready = ready?;
                    let (woken, more) = self.woken()?;
                    if !more {
                        ready.clear_ready();
                    }
                    drop(ready);
                    woken.into_iter().for_each(&mut wake);
                    tokio::task::yield_now().await;
                }
                _ = looks.tick() => self.due().into_iter().for_each(&mut wake),
            }
        }
    }

    /// Those with something to read, and whether there may be more of them.
    fn woken(&self) -> io::Result<(Vec<T>, bool)> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(AT_ONCE);
        let room = rustix::buffer::spare_capacity(&mut events);
        let n = epoll::wait(&self.epoll, room, Some(&Timespec::default()))?;
        let mut woken = Vec::new();
        let mut places = self.locked();
        for event in &events {
            let token = event.data.u64();
            let (at, turn) = (token & u64::from(u32::MAX), token >> 32);
            let place = usize::try_from(at).ok().and_then(|at| places.all.get_mut(at));
            let Some(place) = place.filter(|place| u64::from(place.turn) == turn) else { continue };
            let Some(guest) = place.guest.take() else { continue };
            self.let_go(&guest);
            places.free.push(u32::try_from(at).unwrap_or(u32::MAX));
            woken.push(guest);
        }
        places.shrink();
        Ok((woken, n == AT_ONCE))
    }

    fn due(&self) -> Vec<T> {
        let mut due = Vec::new();
        let mut places = self.locked();
        let Places { all, free } = &mut *places;
        for (at, place) in all.iter_mut().enumerate() {
            if let Some(guest) = place.guest.take_if(|guest| guest.is_due()) {
                self.let_go(&guest);
                free.push(u32::try_from(at).unwrap_or(u32::MAX));
                due.push(guest);
            }
        }
        due
    }

    fn let_go(&self, guest: &T) {
        for descriptor in guest.descriptors() {
            // It was added, and is still open.
            let _removed = epoll::delete(&self.epoll, descriptor).is_ok();
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn locked(&self) -> MutexGuard<'_, Places<T>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Places<T> {
    /// A place, and whose turn it is there.
    fn take(&mut self) -> (u32, u32) {
        if let Some(at) = self.free.pop()
            && let Some(place) = self.all.get_mut(at as usize)
        {
            place.turn = place.turn.wrapping_add(1);
            return (at, place.turn);
        }
        let at = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.all.push(Place { turn: 0, guest: None });
        (at, 0)
    }

    /// Gives memory back when all have left.
    fn shrink(&mut self) {
        if self.free.len() == self.all.len() && self.all.len() > AT_ONCE {
            // Events of those who were here are all gone: their descriptors were taken out.
            (self.all, self.free) = Default::default();
        }
    }
}
