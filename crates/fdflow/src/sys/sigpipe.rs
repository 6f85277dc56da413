//! A write to a closed pipe or socket answers EPIPE and must not kill the program.
//!
//! `splice` and `sendfile` cannot be told `MSG_NOSIGNAL`. Rust programs ignore SIGPIPE from their
//! start; a C program that embeds the library, or one that put the default back, does not. There
//! the signal is blocked for this thread while a transfer runs, and one that came of our own
//! write is taken away before the mask is put back.
#![allow(unsafe_code, reason = "signal masks and dispositions are libc's alone")]

use std::mem::MaybeUninit;
use std::ptr;

/// Keeps SIGPIPE from this thread until it is dropped.
#[derive(Debug)]
pub struct Guard {
    /// The mask to put back; `None` where nothing had to be done.
    before: Option<libc::sigset_t>,
}

impl Guard {
    /// Keeps it away from here on, where the program does not ignore it anyway.
    #[must_use]
    pub fn new() -> Self {
        if is_ignored() {
            return Self { before: None };
        }
        let (before, worked) = change_mask(libc::SIG_BLOCK, &only_sigpipe());
        let already = worked && holds_sigpipe(&before);
        // Blocked by the embedder already: a pending signal is the embedder's business.
        Self { before: (worked && !already).then_some(before) }
    }

    /// Whether it would do anything now: not where the program ignores the signal, as Rust's do.
    #[must_use]
    pub fn is_needed() -> bool {
        !is_ignored()
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(before) = self.before else { return };
        take_pending();
        change_mask(libc::SIG_SETMASK, &before);
    }
}

/// Takes a SIGPIPE that came of our own write, so that it is not delivered with the old mask.
fn take_pending() {
    let mut pending = only_sigpipe();
    // SAFETY: the pointer is valid for a whole sigset_t, which the call fills in.
    let answer = unsafe { libc::sigpending(&raw mut pending) };
    if answer != 0 || !holds_sigpipe(&pending) {
        return;
    }
    let (set, mut taken) = (only_sigpipe(), 0);
    // SAFETY: both pointers are valid for the call, which returns at once: the signal is there.
    unsafe { libc::sigwait(&raw const set, &raw mut taken) };
}

fn is_ignored() -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action only asks; the old one is written to valid memory.
    let answer = unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid sigaction, and the call can only have filled it in.
    let action = unsafe { action.assume_init() };
    answer == 0 && action.sa_sigaction == libc::SIG_IGN
}

fn only_sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the pointer is valid for a whole sigset_t, which the call initialises.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: as above; SIGPIPE is a valid signal number.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE) };
    // SAFETY: initialised by sigemptyset.
    unsafe { set.assume_init() }
}

fn holds_sigpipe(set: &libc::sigset_t) -> bool {
    // SAFETY: the set is initialised and SIGPIPE a valid signal number.
    unsafe { libc::sigismember(set, libc::SIGPIPE) == 1 }
}

fn change_mask(how: libc::c_int, set: &libc::sigset_t) -> (libc::sigset_t, bool) {
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: both sets are valid for the call and only this thread's mask changes.
    let answer = unsafe { libc::pthread_sigmask(how, set, before.as_mut_ptr()) };
    // SAFETY: all-zero bytes are a valid sigset_t, and the call can only have filled it in.
    (unsafe { before.assume_init() }, answer == 0)
}
