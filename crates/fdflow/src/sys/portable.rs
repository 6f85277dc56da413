//! Any Unix: `read`, `write` and `poll`. Everything else answers "no such call", so that every
//! transfer takes the user-space route. Built and run through the whole suite on Linux by
//! `RUSTFLAGS="--cfg fdflow_portable"`.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::{End, Interest, Kernel, Result, unix};
use crate::kind::Traits;

/// The kernel that the program runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

/// A write of so many bytes to a pipe that poll calls writable never blocks: POSIX promises 512.
const PIPE_ATOMIC: usize = 512;

impl Kernel for System {
    fn traits(&self, fd: BorrowedFd<'_>) -> Result<Traits> {
        unix::traits(fd)
    }

    fn read(&self, from: End<'_>, buffer: &mut [u8]) -> Result<usize> {
        match from.at {
            Some(at) => rustix::io::pread(from.fd, buffer, at),
            None if from.nowait && from.kind.is_stream() => {
                Ok(rustix::net::recv(from.fd, buffer, RecvFlags::DONTWAIT)?.0)
            }
            None => rustix::io::read(from.fd, buffer),
        }
    }

    fn write(&self, to: End<'_>, bytes: &[u8]) -> Result<usize> {
        if let Some(at) = to.at {
            return rustix::io::pwrite(to.fd, bytes, at);
        }
        if to.nowait && to.kind.is_stream() {
            return rustix::net::send(to.fd, bytes, SendFlags::DONTWAIT);
        }
        let most = if to.nowait { bytes.len().min(PIPE_ATOMIC) } else { bytes.len() };
        rustix::io::write(to.fd, &bytes[..most])
    }

    fn poll(&self, interests: &[Interest<'_>], timeout: Option<Duration>) -> Result<u32> {
        unix::poll(interests, timeout)
    }

    fn length(&self, file: BorrowedFd<'_>) -> Result<u64> {
        unix::length(file)
    }

    fn held(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        unix::held(pipe)
    }
}

/// How many bytes given to a socket its peer has not taken yet: unknown here.
///
/// # Errors
///
/// Always `ENOSYS`.
pub fn unsent(_socket: BorrowedFd<'_>) -> Result<usize> {
    Err(Errno::NOSYS)
}
