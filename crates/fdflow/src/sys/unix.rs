//! What every Unix answers the same way: kinds of descriptors, `poll`.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use arrayvec::ArrayVec;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, OFlags};
use rustix::net::{AddressFamily, SocketType};

use super::{Interest, Result};
use crate::kind::{FileId, Kind, Traits};

pub(super) fn traits(fd: BorrowedFd<'_>) -> Result<Traits> {
    let flags = rustix::fs::fcntl_getfl(fd)?;
    if flags.contains(OFlags::PATH) {
        return Ok(Traits::of(Kind::PathOnly));
    }
    let stat = rustix::fs::fstat(fd)?;
    let access = flags & OFlags::RWMODE;
    let mut traits = Traits {
        nonblocking: flags.contains(OFlags::NONBLOCK),
        append: flags.contains(OFlags::APPEND),
        readable: access != OFlags::WRONLY,
        writable: access != OFlags::RDONLY,
        ..Traits::of(kind(fd, FileType::from_raw_mode(stat.st_mode))?)
    };
    if traits.kind == Kind::File {
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        traits.length = Some(length);
        traits.position = rustix::fs::tell(fd).ok();
        traits.holes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < length;
        traits.id = Some(FileId { device: stat.st_dev, inode: stat.st_ino });
    }
    Ok(traits)
}

pub(super) fn length(file: BorrowedFd<'_>) -> Result<u64> {
    Ok(u64::try_from(rustix::fs::fstat(file)?.st_size).unwrap_or(0))
}

pub(super) fn held(pipe: BorrowedFd<'_>) -> Result<usize> {
    Ok(usize::try_from(rustix::io::ioctl_fionread(pipe)?).unwrap_or(usize::MAX))
}

/// Keeps writes to a pipe of our own from waiting.
pub(crate) fn never_wait(pipe: BorrowedFd<'_>) -> Result<()> {
    let flags = rustix::fs::fcntl_getfl(pipe)?;
    rustix::fs::fcntl_setfl(pipe, flags | OFlags::NONBLOCK)
}

/// Whether two descriptors are ends of one and the same pipe.
pub(crate) fn same_pipe(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let id = |fd| rustix::fs::fstat(fd).map(|stat| (stat.st_dev, stat.st_ino));
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

pub(super) fn poll(interests: &[Interest<'_>], timeout: Option<Duration>) -> Result<u32> {
    let mut fds = ArrayVec::<PollFd<'_>, 4>::new();
    for interest in interests.iter().take(4) {
        let wanted = if interest.readable { PollFlags::IN } else { PollFlags::OUT };
        fds.push(PollFd::from_borrowed_fd(interest.fd, wanted));
    }
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    rustix::event::poll(&mut fds, timeout.as_ref())?;
    let ready = fds.iter().enumerate().filter(|(_, fd)| !fd.revents().is_empty());
    Ok(ready.fold(0, |bits, (i, _)| bits | 1 << i))
}

fn kind(fd: BorrowedFd<'_>, file_type: FileType) -> Result<Kind> {
    Ok(match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Fifo => Kind::Pipe,
        FileType::Socket => socket_kind(fd)?,
        FileType::CharacterDevice if rustix::termios::isatty(fd) => Kind::Tty,
        FileType::CharacterDevice => Kind::Device,
        FileType::BlockDevice => Kind::Block,
        FileType::Directory => Kind::Directory,
        _ => Kind::Other,
    })
}

fn socket_kind(fd: BorrowedFd<'_>) -> Result<Kind> {
    if rustix::net::sockopt::socket_type(fd)? != SocketType::STREAM {
        return Ok(Kind::Messages);
    }
    if rustix::net::sockopt::socket_acceptconn(fd)? {
        return Ok(Kind::Listener);
    }
    Ok(match rustix::net::sockopt::socket_domain(fd)? {
        AddressFamily::INET | AddressFamily::INET6 => Kind::Tcp,
        AddressFamily::UNIX => Kind::Unix,
        _ => Kind::Stream,
    })
}
