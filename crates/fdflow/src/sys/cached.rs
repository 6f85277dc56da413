//! Whether a call would have to wait for a disk.
#![allow(unsafe_code, reason = "cachestat is in no crate")]

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::{IoSliceMut, ReadWriteFlags};

/// The same number on every architecture that Rust's standard library runs on.
const CACHESTAT: libc::c_long = 451;
/// Set once the kernel, or a filter, has answered that it has no such call.
static MISSING: AtomicBool = AtomicBool::new(false);
/// The distance of the bytes that are read where the kernel cannot be asked.
const STRIDE: u64 = 16 << 10;

#[repr(C)]
struct Asked {
    at: u64,
    length: u64,
}

#[repr(C)]
#[derive(Default)]
struct Answer {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Whether the bytes of `file` in `range`, which lies within its length, can be read without
/// waiting for a disk.
///
/// A `true` can be out of date by the time it is used. Where nothing can be asked it is `false`.
#[must_use]
pub fn is_cached(file: BorrowedFd<'_>, range: Range<u64>) -> bool {
    if range.is_empty() {
        return true;
    }
    if !MISSING.load(Ordering::Relaxed)
        && let Some(cached) = cached_pages(file, &range)
    {
        let page = rustix::param::page_size() as u64;
        return cached >= range.end.div_ceil(page) - range.start / page;
    }
    answers_at_once(file, range)
}

/// How many pages of the range are in the page cache; `None` where the kernel does not say: it
/// may be too old, or the file not ours to write (EPERM).
fn cached_pages(file: BorrowedFd<'_>, range: &Range<u64>) -> Option<u64> {
    let asked = Asked { at: range.start, length: range.end - range.start };
    let mut answer = Answer::default();
    // SAFETY: both pointers are to structures of the call's layout that live through it.
    let code =
        unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const asked, &raw mut answer, 0) };
    if code == 0 {
        return Some(answer.cached);
    }
    if std::io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        MISSING.store(true, Ordering::Relaxed);
    }
    None
}

/// Whether a byte here and there of `range` can be read with the demand not to wait, which every
/// filesystem that has a cache keeps to. The cache comes and goes in larger pieces than the distance
/// between them. What lies behind the file's end answers at once.
#[must_use]
pub fn answers_at_once(file: BorrowedFd<'_>, range: Range<u64>) -> bool {
    let Some(last) = range.end.checked_sub(1) else { return true };
    let points = (range.start..range.end).step_by(usize::try_from(STRIDE).unwrap_or(4096));
    points.chain([last]).all(|at| {
        let mut byte = [0];
        let mut parts = [IoSliceMut::new(&mut byte)];
        rustix::io::preadv2(file, &mut parts, at, ReadWriteFlags::NOWAIT).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn what_was_just_written_is_cached_and_what_was_dropped_is_not() {
        let dir = std::env::current_dir().expect("a test has a directory");
        let file = tempfile::tempfile_in(dir).expect("a temporary file can be made");
        rustix::io::pwrite(&file, &vec![7; 300_000], 0).expect("there is room");
        for whole in [is_cached, answers_at_once] {
            assert!(whole(file.as_fd(), 0..300_000));
            assert!(whole(file.as_fd(), 299_999..300_000));
        }
        rustix::fs::fsync(&file).expect("the disk takes it");
        let dropped = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).is_ok();
        if !dropped || rustix::fs::fstatfs(&file).is_ok_and(|facts| facts.f_type == 0x0102_1994) {
            println!("SKIPPED: this filesystem keeps what it is told to drop");
            return;
        }
        assert!(!is_cached(file.as_fd(), 0..300_000));
        // To be asked has the disk begin to read, and a fast one may have done so by now.
        assert!(!answers_at_once(file.as_fd(), 0..300_000) || is_cached(file.as_fd(), 0..300_000));
    }
}
