//! Connected streams: what is written to the one end can be read from the other. None of their
//! ends blocks, so that no kernel can hold the program up.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use fdflow::Side;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::pty::OpenptFlags;
use rustix::termios::OptionalActions;

/// Nothing here waits longer than this without a byte.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// The kinds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Pipe,
    Tcp,
    Tcp6,
    Unix,
    Tty,
}

/// A connected pair: `probed` is the end that a transfer uses, `peer` the other one.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) probed: OwnedFd,
    pub(super) peer: OwnedFd,
}

impl Stream {
    /// Whether it is a socket.
    pub(super) const fn is_socket(self) -> bool {
        matches!(self, Self::Tcp | Self::Tcp6 | Self::Unix)
    }

    /// A fresh pair whose probed end is to be the `side` of a transfer.
    pub(super) fn connect(self, side: Side) -> io::Result<Connected> {
        let (probed, peer) = match self {
            Self::Pipe => {
                let (reader, writer) =
                    rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
                if side == Side::Source { (reader, writer) } else { (writer, reader) }
            }
            Self::Tcp => tcp(Ipv4Addr::LOCALHOST.into())?,
            Self::Tcp6 => tcp(Ipv6Addr::LOCALHOST.into())?,
            Self::Unix => {
                let (one, other) = UnixStream::pair()?;
                (one.into(), other.into())
            }
            Self::Tty => terminal()?,
        };
        rustix::io::ioctl_fionbio(&probed, true)?;
        rustix::io::ioctl_fionbio(&peer, true)?;
        Ok(Connected { probed, peer })
    }
}

fn tcp(address: IpAddr) -> io::Result<(OwnedFd, OwnedFd)> {
    let listener = TcpListener::bind(SocketAddr::new(address, 0))?;
    listener.set_nonblocking(true)?;
    let ours = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
    let own_address = ours.local_addr()?;
    let theirs = loop {
        wait(listener.as_fd(), PollFlags::IN)?;
        let (theirs, address) = listener.accept()?;
        // Another program may have found the port; its connection is closed.
        if address == own_address {
            break theirs;
        }
    };
    for socket in [&ours, &theirs] {
        // Closed by reset: hundreds of connections are made, and none is to linger.
        rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
    }
    Ok((ours.into(), theirs.into()))
}

/// A pseudo-terminal in raw mode: the side that programs use, and the side of the emulator.
fn terminal() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let emulator = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&emulator)?;
    rustix::pty::unlockpt(&emulator)?;
    let program = rustix::pty::ioctl_tiocgptpeer(&emulator, flags)?;
    let mut modes = rustix::termios::tcgetattr(&program)?;
    modes.make_raw();
    rustix::termios::tcsetattr(&program, OptionalActions::Now, &modes)?;
    Ok((program, emulator))
}

/// Waits until `fd` is ready, at most [`PATIENCE`].
pub(super) fn wait(fd: BorrowedFd<'_>, ready: PollFlags) -> io::Result<()> {
    let most = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap_or(1), tv_nsec: 0 };
    loop {
        match rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, ready)], Some(&most)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Writes what `to` takes of `bytes` without waiting.
pub(super) fn put(to: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let mut put = 0;
    while put < bytes.len() {
        match rustix::io::write(to, &bytes[put..]) {
            Ok(n) => put += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(put)
}

/// Reads into `room` what is there without waiting; `None` where nothing is.
pub(super) fn get(from: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match rustix::io::read(from, &mut *room) {
            Ok(n) => return Ok(Some(n)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Reads `n` bytes, fewer where no more come, and one more if there is one that should not be.
pub(super) fn collect(from: BorrowedFd<'_>, n: usize) -> io::Result<Vec<u8>> {
    let (mut bytes, mut got) = (vec![0; n + 1], 0);
    let latest = Instant::now() + PATIENCE;
    while got <= n {
        match get(from, &mut bytes[got..])? {
            Some(0) => break,
            Some(more) => got += more,
            None if got == n || Instant::now() > latest => break,
            None => match wait(from, PollFlags::IN) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => break,
                answer => answer?,
            },
        }
    }
    bytes.truncate(got);
    Ok(bytes)
}
