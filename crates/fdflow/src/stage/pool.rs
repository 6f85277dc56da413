//! Empty pipes kept for the next transfer.
//!
//! Making a pipe and growing it to 1 MiB costs more than moving a small file. A pipe comes here
//! only when it is empty: a non-empty one would hand its bytes to a stranger.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use arrayvec::ArrayVec;

use crate::sys::NewPipe;

/// Few: the pages of every pipe count against the user's quota (`pipe-user-pages-soft`, by
/// default 64 pipes of this size), pooled or not.
const KEPT: usize = 8;

static POOL: Mutex<ArrayVec<NewPipe, KEPT>> = Mutex::new(ArrayVec::new_const());
static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// The private pipes of this process's transfers, as [`pipes`] counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pipes {
    /// Those that a transfer has now. Two descriptors each.
    pub in_use: usize,
    /// Those that are kept, empty, for the next transfer. Two descriptors each.
    pub pooled: usize,
}

/// How many private pipes there are.
///
/// Other threads go on meanwhile: the two numbers need not be of the same moment.
///
/// ```
/// let pipes = fdflow::pipes();
/// println!("{} pipes in use, {} kept", pipes.in_use, pipes.pooled);
/// ```
#[must_use]
pub fn pipes() -> Pipes {
    let pooled = POOL.lock().unwrap_or_else(PoisonError::into_inner).len();
    Pipes { in_use: IN_USE.load(Ordering::Relaxed), pooled }
}

/// Counts a pipe that is in use; dropped, one that no longer is.
#[derive(Debug)]
pub(super) struct InUse(());

impl InUse {
    pub(super) fn new() -> Self {
        IN_USE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        IN_USE.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(crate) fn take() -> Option<NewPipe> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

pub(crate) fn give(pipe: NewPipe) {
    // One that does not fit is closed here.
    let _closed = POOL.lock().unwrap_or_else(PoisonError::into_inner).try_push(pipe).err();
}

/// Closes the pipes that the pool holds; returns how many there were.
///
/// For a program that is about to fork, to drop its privileges or to count its descriptors.
pub fn clear() -> usize {
    let pipes = std::mem::take(&mut *POOL.lock().unwrap_or_else(PoisonError::into_inner));
    pipes.len()
}
