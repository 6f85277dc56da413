//! Empty pipes kept for the next transfer.
//!
//! Making a pipe and growing it to 1 MiB costs more than moving a small file. A pipe comes here
//! only when it is empty: a non-empty one would hand its bytes to a stranger.

use std::sync::{Mutex, PoisonError};

use arrayvec::ArrayVec;

use crate::sys::NewPipe;

/// Few: the pages of every pipe count against the user's quota (`pipe-user-pages-soft`, by
/// default 64 pipes of this size), pooled or not.
const KEPT: usize = 8;

static POOL: Mutex<ArrayVec<NewPipe, KEPT>> = Mutex::new(ArrayVec::new_const());

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
