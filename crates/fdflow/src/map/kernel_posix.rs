//! Any Unix: the advice that POSIX knows.

use std::os::fd::BorrowedFd;

use super::advice::Advice;

/// Whether the lengths of the files of this filesystem say nothing: not to be asked here.
pub(super) fn is_pseudo(_file: BorrowedFd<'_>) -> bool {
    false
}

/// `advice` in the words of the system, with what to say where it does not know that one.
pub(super) fn said(advice: Advice) -> (Option<memmap2::Advice>, Option<memmap2::Advice>) {
    match advice {
        Advice::Normal => (Some(memmap2::Advice::Normal), None),
        Advice::Sequential => (Some(memmap2::Advice::Sequential), None),
        Advice::Random => (Some(memmap2::Advice::Random), None),
        Advice::WillNeed | Advice::Populate => (Some(memmap2::Advice::WillNeed), None),
        Advice::HugePages => (None, None),
    }
}
