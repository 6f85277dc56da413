//! The contract between engines and the operating system.
//!
//! A backend makes one system call per method and returns what it returned: it never waits where
//! it was told not to, never retries and never decides. What an errno means stands in
//! [`errno`]. `linux` has every call; `portable` has only `read` and `write` and is built and
//! tested on Linux too (`--cfg fdflow_portable`), so that it cannot rot; `scripted` answers from
//! a script.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;

use crate::kind::{Kind, Traits};

#[cfg(target_os = "linux")]
mod cached;
pub mod errno;
mod inherit;
#[cfg(all(target_os = "linux", not(fdflow_portable)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(fdflow_portable))))]
mod portable;
#[cfg(any(test, feature = "scripted"))]
pub mod scripted;
pub(crate) mod sigpipe;
#[cfg(not(target_os = "linux"))]
mod unasked;
mod unix;

#[cfg(target_os = "linux")]
pub use cached::{answers_at_once, is_cached};
pub use inherit::inherited;
#[cfg(all(target_os = "linux", not(fdflow_portable)))]
pub use linux::{System, unsent};
#[cfg(not(all(target_os = "linux", not(fdflow_portable))))]
pub use portable::{System, unsent};
pub use sigpipe::Guard as SigpipeGuard;
#[cfg(not(target_os = "linux"))]
pub use unasked::{answers_at_once, is_cached};
pub(crate) use unix::{never_wait, same_pipe};

/// What a call returned.
pub type Result<T> = core::result::Result<T, Errno>;

/// One end of a call.
#[derive(Debug, Clone, Copy)]
pub struct End<'fd> {
    /// The descriptor.
    pub fd: BorrowedFd<'fd>,
    /// What it is.
    pub kind: Kind,
    /// An explicit offset; `None`: the descriptor's own position, advanced.
    pub at: Option<u64>,
    /// Answer `EAGAIN` rather than wait, as far as the call can be told so.
    pub nowait: bool,
}

impl<'fd> End<'fd> {
    /// A regular file, at an offset.
    #[must_use]
    pub fn file(fd: BorrowedFd<'fd>, at: u64) -> Self {
        Self { fd, kind: Kind::File, at: Some(at), nowait: true }
    }

    /// A stream socket that must not be waited for.
    #[must_use]
    pub fn socket(fd: BorrowedFd<'fd>) -> Self {
        Self { fd, kind: Kind::Stream, at: None, nowait: true }
    }
}

/// A pipe made for a stage, both ends close-on-exec. Whether a call waits for it is said call by
/// call ([`End::nowait`]), since a pipe that does not block keeps a splice from waiting for a
/// Unix socket too.
#[derive(Debug)]
pub struct NewPipe {
    /// The end that bytes come out of.
    pub reader: OwnedFd,
    /// The end that bytes go into.
    pub writer: OwnedFd,
    /// The capacity that was got, in bytes.
    pub capacity: usize,
    /// Whether it may be kept for another transfer once it is empty.
    pub reusable: bool,
}

/// What lies at an offset of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Whether it is a hole.
    pub hole: bool,
    /// Where it ends.
    pub end: u64,
}

/// What a poll waits for.
#[derive(Debug, Clone, Copy)]
pub struct Interest<'fd> {
    /// The descriptor.
    pub fd: BorrowedFd<'fd>,
    /// Readable (`true`) or writable.
    pub readable: bool,
}

/// The system calls that engines and drivers make.
///
/// Every method but the first five may be left out: it then answers as a kernel without the
/// call does.
#[allow(unused_variables, reason = "the defaults of a contract name what they do not use")]
pub trait Kernel {
    /// What a descriptor is.
    fn traits(&self, fd: BorrowedFd<'_>) -> Result<Traits>;

    /// `read`, `pread` or `recv`.
    fn read(&self, from: End<'_>, buffer: &mut [u8]) -> Result<usize>;

    /// `write`, `pwrite` or `send`, without a signal where the call can be told that.
    fn write(&self, to: End<'_>, bytes: &[u8]) -> Result<usize>;

    /// Whether [`write`](Self::write) to an end of this kind may raise SIGPIPE all the same, so that
    /// the signal has to be kept away by other means.
    fn write_may_signal(&self, to: Kind) -> bool {
        true
    }

    /// Waits until one of `interests` is ready or `timeout` has passed: a bit for each that is
    /// ready, the first the lowest.
    fn poll(&self, interests: &[Interest<'_>], timeout: Option<Duration>) -> Result<u32>;

    /// The length of a regular file.
    fn length(&self, file: BorrowedFd<'_>) -> Result<u64>;

    /// A new pipe of about `capacity` bytes; a smaller one where the system has no more to give.
    fn pipe(&self, capacity: usize) -> Result<NewPipe> {
        Err(Errno::NOSYS)
    }

    /// `sendfile`; the sink's `at` is not used.
    fn sendfile(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    /// `splice`.
    fn splice(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    /// `tee`: what `from`, a pipe, holds at its head goes into `to`, another, and stays in `from`.
    /// Never waits.
    fn tee(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    /// How many bytes a pipe holds.
    fn held(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    /// How many bytes a pipe can hold.
    fn capacity(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    /// Asks for a pipe of `capacity` bytes; the capacity that it has then.
    fn set_capacity(&self, pipe: BorrowedFd<'_>, capacity: usize) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    /// `copy_file_range`.
    fn copy_file_range(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        Err(Errno::NOSYS)
    }

    /// `ioctl(FICLONERANGE)` of exactly `n` bytes; both ends need an offset.
    fn clone_range(&self, from: End<'_>, to: End<'_>, n: u64) -> Result<()> {
        Err(Errno::NOSYS)
    }

    /// What lies at `at` in `file`; the position is where it was afterwards.
    fn extent(&self, file: BorrowedFd<'_>, at: u64) -> Result<Extent> {
        Err(Errno::NOSYS)
    }

    /// Moves the position of `file`.
    fn set_position(&self, file: BorrowedFd<'_>, to: u64) -> Result<()> {
        Err(Errno::NOSYS)
    }

    /// Grows `file` to `length`.
    fn set_length(&self, file: BorrowedFd<'_>, length: u64) -> Result<()> {
        Err(Errno::NOSYS)
    }

    /// Turns `n` bytes at `at` into a hole, within the length that the file has.
    fn punch_hole(&self, file: BorrowedFd<'_>, at: u64, n: u64) -> Result<()> {
        Err(Errno::NOSYS)
    }

    /// A second description of the same file, read-only, with a position of its own.
    fn reopen(&self, file: BorrowedFd<'_>) -> Result<OwnedFd> {
        Err(Errno::NOSYS)
    }

    /// Whether `file` is sealed: none of its bytes can change any more, nor be cut off.
    fn is_sealed(&self, file: BorrowedFd<'_>) -> Result<bool> {
        Err(Errno::NOSYS)
    }

    /// How many bytes a blocking sink that poll called writable takes for certain without
    /// blocking.
    fn room(&self, to: End<'_>) -> Result<usize> {
        Ok(4096)
    }
}

impl<K: Kernel + ?Sized> Kernel for &K {
    fn traits(&self, fd: BorrowedFd<'_>) -> Result<Traits> {
        (**self).traits(fd)
    }
    fn read(&self, from: End<'_>, buffer: &mut [u8]) -> Result<usize> {
        (**self).read(from, buffer)
    }
    fn write(&self, to: End<'_>, bytes: &[u8]) -> Result<usize> {
        (**self).write(to, bytes)
    }
    fn write_may_signal(&self, to: Kind) -> bool {
        (**self).write_may_signal(to)
    }
    fn poll(&self, interests: &[Interest<'_>], timeout: Option<Duration>) -> Result<u32> {
        (**self).poll(interests, timeout)
    }
    fn length(&self, file: BorrowedFd<'_>) -> Result<u64> {
        (**self).length(file)
    }
    fn pipe(&self, capacity: usize) -> Result<NewPipe> {
        (**self).pipe(capacity)
    }
    fn sendfile(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        (**self).sendfile(from, to, n)
    }
    fn splice(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        (**self).splice(from, to, n)
    }
    fn tee(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        (**self).tee(from, to, n)
    }
    fn held(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        (**self).held(pipe)
    }
    fn capacity(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        (**self).capacity(pipe)
    }
    fn set_capacity(&self, pipe: BorrowedFd<'_>, capacity: usize) -> Result<usize> {
        (**self).set_capacity(pipe, capacity)
    }
    fn copy_file_range(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        (**self).copy_file_range(from, to, n)
    }
    fn clone_range(&self, from: End<'_>, to: End<'_>, n: u64) -> Result<()> {
        (**self).clone_range(from, to, n)
    }
    fn extent(&self, file: BorrowedFd<'_>, at: u64) -> Result<Extent> {
        (**self).extent(file, at)
    }
    fn set_position(&self, file: BorrowedFd<'_>, to: u64) -> Result<()> {
        (**self).set_position(file, to)
    }
    fn set_length(&self, file: BorrowedFd<'_>, length: u64) -> Result<()> {
        (**self).set_length(file, length)
    }
    fn punch_hole(&self, file: BorrowedFd<'_>, at: u64, n: u64) -> Result<()> {
        (**self).punch_hole(file, at, n)
    }
    fn reopen(&self, file: BorrowedFd<'_>) -> Result<OwnedFd> {
        (**self).reopen(file)
    }
    fn is_sealed(&self, file: BorrowedFd<'_>) -> Result<bool> {
        (**self).is_sealed(file)
    }
    fn room(&self, to: End<'_>) -> Result<usize> {
        (**self).room(to)
    }
}
