//! Linux: every call.
#![allow(unsafe_code, reason = "FICLONERANGE and SO_MEMINFO are not in rustix")]

use std::io::{IoSlice, IoSliceMut};
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{FallocateFlags, Mode, OFlags, SealFlags, SeekFrom};
use rustix::io::{Errno, ReadWriteFlags};
use rustix::net::{RecvFlags, SendFlags};
use rustix::pipe::{PipeFlags, SpliceFlags};

use super::{End, Extent, Interest, Kernel, NewPipe, Result, unix};
use crate::kind::{Kind, Traits};
use crate::stage::{WIDE, pool};

/// The kernel that the program runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

/// What `preadv2` and `pwritev2` take for "the descriptor's own position".
const OWN_POSITION: u64 = u64::MAX;
/// A write of so many bytes to a pipe that poll calls writable never blocks (POSIX `PIPE_BUF`).
const PIPE_ATOMIC: usize = 4096;

impl Kernel for System {
    fn traits(&self, fd: BorrowedFd<'_>) -> Result<Traits> {
        unix::traits(fd)
    }

    fn read(&self, from: End<'_>, buffer: &mut [u8]) -> Result<usize> {
        if let Some(at) = from.at {
            return rustix::io::pread(from.fd, buffer, at);
        }
        if from.kind.is_stream() {
            // The shorter way to a socket's bytes, and small messages notice.
            let wait = if from.nowait { RecvFlags::DONTWAIT } else { RecvFlags::empty() };
            return Ok(rustix::net::recv(from.fd, buffer, wait)?.0);
        }
        if !from.nowait {
            return rustix::io::read(from.fd, buffer);
        }
        let mut parts = [IoSliceMut::new(buffer)];
        let answer = rustix::io::preadv2(from.fd, &mut parts, OWN_POSITION, ReadWriteFlags::NOWAIT);
        match answer {
            // No such thing for this kind of file: poll has said that there is something to read.
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                rustix::io::read(from.fd, buffer)
            }
            answer => answer,
        }
    }

    fn write(&self, to: End<'_>, bytes: &[u8]) -> Result<usize> {
        if let Some(at) = to.at {
            return rustix::io::pwrite(to.fd, bytes, at);
        }
        if to.kind.is_stream() {
            let wait = if to.nowait { SendFlags::DONTWAIT } else { SendFlags::empty() };
            return rustix::net::send(to.fd, bytes, SendFlags::NOSIGNAL | wait);
        }
        if !to.nowait {
            return rustix::io::write(to.fd, bytes);
        }
        let parts = [IoSlice::new(bytes)];
        match rustix::io::pwritev2(to.fd, &parts, OWN_POSITION, ReadWriteFlags::NOWAIT) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                rustix::io::write(to.fd, &bytes[..bytes.len().min(PIPE_ATOMIC)])
            }
            answer => answer,
        }
    }

    fn write_may_signal(&self, to: Kind) -> bool {
        !to.is_stream()
    }

    fn poll(&self, interests: &[Interest<'_>], timeout: Option<Duration>) -> Result<u32> {
        unix::poll(interests, timeout)
    }

    fn length(&self, file: BorrowedFd<'_>) -> Result<u64> {
        unix::length(file)
    }

    fn pipe(&self, capacity: usize) -> Result<NewPipe> {
        let wide = capacity >= WIDE;
        if wide && let Some(pipe) = pool::take() {
            return Ok(pipe);
        }
        let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let mut got = Err(Errno::PERM);
        if wide {
            // EPERM past the user's quota: take what there is.
            got = rustix::pipe::fcntl_setpipe_size(&writer, capacity);
        }
        let capacity = got.or_else(|_| rustix::pipe::fcntl_getpipe_size(&writer))?;
        Ok(NewPipe { reader, writer, capacity, reusable: wide })
    }

    fn sendfile(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        let mut at = from.at;
        rustix::fs::sendfile(to.fd, from.fd, at.as_mut(), n)
    }

    fn splice(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        let (mut at, mut to_at) = (from.at, to.at);
        let wait = from.nowait || to.nowait;
        let flags = if wait { SpliceFlags::NONBLOCK } else { SpliceFlags::empty() };
        rustix::pipe::splice(from.fd, at.as_mut(), to.fd, to_at.as_mut(), n, flags)
    }

    fn tee(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        rustix::pipe::tee(from.fd, to.fd, n, SpliceFlags::NONBLOCK)
    }

    fn held(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        unix::held(pipe)
    }

    fn capacity(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        rustix::pipe::fcntl_getpipe_size(pipe)
    }

    fn set_capacity(&self, pipe: BorrowedFd<'_>, capacity: usize) -> Result<usize> {
        rustix::pipe::fcntl_setpipe_size(pipe, capacity)
    }

    fn copy_file_range(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        let (mut at, mut to_at) = (from.at, to.at);
        rustix::fs::copy_file_range(from.fd, at.as_mut(), to.fd, to_at.as_mut(), n)
    }

    fn clone_range(&self, from: End<'_>, to: End<'_>, n: u64) -> Result<()> {
        let (Some(at), Some(to_at)) = (from.at, to.at) else { return Err(Errno::INVAL) };
        let range = libc::file_clone_range {
            src_fd: i64::from(from.fd.as_raw_fd()),
            src_offset: at,
            src_length: n,
            dest_offset: to_at,
        };
        // SAFETY: FICLONERANGE reads one file_clone_range, which outlives the call.
        let answer =
            unsafe { libc::ioctl(to.fd.as_raw_fd(), libc::FICLONERANGE, &raw const range) };
        if answer == 0 { Ok(()) } else { Err(last_errno()) }
    }

    fn is_sealed(&self, file: BorrowedFd<'_>) -> Result<bool> {
        // Shrinking writes too: zeros behind the new end, in a page that may be on its way.
        let needed = SealFlags::WRITE | SealFlags::SHRINK;
        match rustix::fs::fcntl_get_seals(file) {
            Ok(seals) => Ok(seals.contains(needed)),
            // A file that has no seals.
            Err(Errno::INVAL) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    fn extent(&self, file: BorrowedFd<'_>, at: u64) -> Result<Extent> {
        let before = rustix::fs::tell(file)?;
        let found = find_extent(file, at);
        rustix::fs::seek(file, SeekFrom::Start(before))?;
        found
    }

    fn set_position(&self, file: BorrowedFd<'_>, to: u64) -> Result<()> {
        rustix::fs::seek(file, SeekFrom::Start(to)).map(drop)
    }

    fn set_length(&self, file: BorrowedFd<'_>, length: u64) -> Result<()> {
        rustix::fs::ftruncate(file, length)
    }

    fn punch_hole(&self, file: BorrowedFd<'_>, at: u64, n: u64) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(file, flags, at, n)
    }

    fn reopen(&self, file: BorrowedFd<'_>) -> Result<OwnedFd> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
    }

    fn room(&self, to: End<'_>) -> Result<usize> {
        if to.kind.is_stream() { socket_room(to.fd, to.kind) } else { Ok(PIPE_ATOMIC) }
    }
}

fn find_extent(file: BorrowedFd<'_>, at: u64) -> Result<Extent> {
    let data = match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(data) => data,
        // Nothing but a hole from here to the end.
        Err(Errno::NXIO) => {
            let end = rustix::fs::seek(file, SeekFrom::End(0))?;
            return Ok(Extent { hole: true, end });
        }
        Err(errno) => return Err(errno),
    };
    if data > at {
        return Ok(Extent { hole: true, end: data });
    }
    Ok(Extent { hole: false, end: rustix::fs::seek(file, SeekFrom::Hole(at))? })
}

/// Half of what the socket's send buffer has free: its accounting counts overhead too.
fn socket_room(fd: BorrowedFd<'_>, kind: Kind) -> Result<usize> {
    const SNDBUF: usize = 3;
    const WMEM_ALLOC: usize = 2;
    const WMEM_QUEUED: usize = 5;
    let mut info = [0_u32; 9];
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).unwrap_or(0);
    // SAFETY: the kernel writes at most `length` bytes, the size of `info`.
    let answer = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if answer != 0 || (length as usize) < (WMEM_QUEUED + 1) * size_of::<u32>() {
        return Ok(PIPE_ATOMIC);
    }
    let used = if kind == Kind::Tcp { info[WMEM_QUEUED] } else { info[WMEM_ALLOC] };
    let room = info[SNDBUF].saturating_sub(used) as usize / 2;
    Ok(not_sent_room(fd, kind).map_or(room, |low| room.min(low)))
}

/// `TCP_NOTSENT_LOWAT`, where the program set it: a blocking send stops at it too.
fn not_sent_room(fd: BorrowedFd<'_>, kind: Kind) -> Option<usize> {
    if kind != Kind::Tcp {
        return None;
    }
    let mut low: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of_val(&low)).ok()?;
    // SAFETY: the kernel writes at most `length` bytes, the size of `low`.
    let answer = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_NOTSENT_LOWAT,
            (&raw mut low).cast(),
            &raw mut length,
        )
    };
    usize::try_from(low).ok().filter(|low| answer == 0 && *low > 0).map(|low| (low / 2).max(1))
}

fn last_errno() -> Errno {
    let code = std::io::Error::last_os_error().raw_os_error();
    code.map_or(Errno::IO, Errno::from_raw_os_error)
}

/// How many bytes given to a TCP or Unix socket its peer has not taken yet (`SIOCOUTQ`).
///
/// # Errors
///
/// Not a socket.
pub fn unsent(socket: BorrowedFd<'_>) -> Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (TIOCOUTQ's number) writes one int, which outlives the call.
    let answer = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if answer == 0 { Ok(usize::try_from(bytes).unwrap_or(0)) } else { Err(last_errno()) }
}
