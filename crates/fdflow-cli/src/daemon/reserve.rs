//! Descriptors held back: when there are no more, accepting rests, and the connections that are
//! there still open files.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

/// So many.
const RESERVED: usize = 16;
/// Without a descriptor to spare accepting rests until a connection ends, or for so long.
const REST: Duration = Duration::from_secs(1);
/// Nobody reads the same line many times a second.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The descriptors held back.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    held: Mutex<Vec<File>>,
    released: AtomicBool,
    told: Mutex<Option<Instant>>,
}

impl Reserve {
    /// Takes them. `false`: there are not enough to be had, and none is held.
    pub(crate) fn fill(&self) -> bool {
        let mut held = locked(&self.held);
        // One more, so that there is one for the next connection.
        while held.len() <= RESERVED {
            let Ok(file) = File::open("/dev/null") else {
                held.clear();
                return false;
            };
            held.push(file);
        }
        held.truncate(RESERVED);
        self.released.store(false, Ordering::Relaxed);
        true
    }

    /// There is nothing more to be had: lets go of them for those who are in, and says so, not too
    /// often.
    pub(crate) fn rest(&self, command: &str, error: &io::Error) {
        if self.release() {
            eprintln!("fdflow: {command}: {error}: accepting rests until a connection ends");
        }
    }

    /// Lets go of them. `true`: it has not been told of late that this had to be.
    fn release(&self) -> bool {
        self.released.store(true, Ordering::Relaxed);
        locked(&self.held).clear();
        let (mut told, now) = (locked(&self.told), Instant::now());
        let due = told.is_none_or(|told| now.duration_since(told) > TELL_EVERY);
        if due {
            *told = Some(now);
        }
        due
    }

    /// Whether they are out.
    pub(crate) fn is_released(&self) -> bool {
        self.released.load(Ordering::Relaxed)
    }

    /// Waits until they are held again, where they are out: whenever a connection has `ended`, and
    /// now and then, it is tried.
    pub(crate) async fn refilled<F: Future>(&self, ended: impl Fn() -> F) {
        while self.is_released() {
            let _ended = timeout(REST, ended()).await.is_ok();
            if self.fill() {
                return;
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
