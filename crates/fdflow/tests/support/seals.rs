//! Memfds with some seals and without others.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part of it, and fails by panicking"
)]

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};

pub fn all_seals() -> SealFlags {
    SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL
}

pub fn memfd(flags: MemfdFlags) -> OwnedFd {
    rustix::fs::memfd_create("test", flags | MemfdFlags::CLOEXEC).unwrap()
}

/// A memfd with eight bytes and these seals.
pub fn with_seals(seals: SealFlags) -> OwnedFd {
    let fd = memfd(MemfdFlags::ALLOW_SEALING);
    rustix::io::write(&fd, b"contents").unwrap();
    rustix::fs::fcntl_add_seals(&fd, seals).unwrap();
    fd
}

/// The same memory through another open file.
pub fn opened_again(fd: impl AsFd, options: &OpenOptions) -> File {
    options.open(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())).unwrap()
}
