//! Where a system cannot be asked whether a call would have to wait for a disk.

use std::ops::Range;
use std::os::fd::BorrowedFd;

/// It is not known.
#[must_use]
pub fn is_cached(_: BorrowedFd<'_>, _: Range<u64>) -> bool {
    false
}

/// It is not known.
#[must_use]
pub fn answers_at_once(_: BorrowedFd<'_>, _: Range<u64>) -> bool {
    false
}
