//! Pairs of Unix sockets, and what came of passing descriptors over them.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test binary uses its own part of it, and fails by panicking"
)]

use std::io::{Error, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use fdflow::share::{PassError, receive};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::support;
use crate::support::rig::nonblocking;

pub const TYPES: [SocketType; 3] = [SocketType::STREAM, SocketType::DGRAM, SocketType::SEQPACKET];

pub fn pair(kind: SocketType) -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap()
}

/// What kept descriptors from being passed.
pub fn why(error: &Error) -> PassError {
    *error.get_ref().and_then(|cause| cause.downcast_ref()).unwrap_or_else(|| panic!("{error}"))
}

pub fn count() -> usize {
    support::descriptors().len()
}

/// `n` borrowed descriptors of one file.
pub fn times<'fd>(fd: &'fd impl AsFd, n: usize) -> Vec<BorrowedFd<'fd>> {
    vec![fd.as_fd(); n]
}

pub fn nothing_arrived(socket: &OwnedFd) {
    nonblocking(socket, true);
    assert_eq!(receive(socket, &mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    nonblocking(socket, false);
}
