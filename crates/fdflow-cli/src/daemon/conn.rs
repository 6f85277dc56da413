//! A connected socket, TCP or Unix, as one type.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use fdflow_tokio::{AsyncSink, AsyncSource};
use tokio::net::{TcpStream, UnixStream};

/// A socket with its runtime's registration.
#[derive(Debug)]
pub(crate) enum Conn {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A socket without.
#[derive(Debug)]
pub(crate) enum Laid {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Conn {
    /// Takes it out of the runtime.
    pub(crate) fn lay_down(self) -> io::Result<Laid> {
        Ok(match self {
            Self::Tcp(stream) => Laid::Tcp(stream.into_std()?),
            Self::Unix(stream) => Laid::Unix(stream.into_std()?),
        })
    }

    /// Its own address; `None` for a Unix socket.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Bytes that are there already, at most what `buffer` has room for.
    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }

    /// Waits until there may be bytes.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.readable().await,
            Self::Unix(stream) => stream.readable().await,
        }
    }
}

impl Laid {
    /// A socket that was accepted outside of a runtime.
    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_nonblocking(true),
            Self::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Gives it to the runtime that this runs in.
    pub(crate) fn take_up(self) -> io::Result<Conn> {
        Ok(match self {
            Self::Tcp(stream) => Conn::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Conn::Unix(UnixStream::from_std(stream)?),
        })
    }
}

impl AsFd for Laid {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl AsFd for Conn {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match $self {
            Conn::Tcp($stream) => $call,
            Conn::Unix($stream) => $call,
        }
    };
}

impl AsyncSource for Conn {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        either!(self, stream => stream.when_readable(call))
    }
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_readable(cx))
    }
}

impl AsyncSink for Conn {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        either!(self, stream => stream.when_writable(call))
    }
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_writable(cx))
    }
    fn poll_half_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, stream => stream.poll_half_close(cx))
    }
    fn unsent(&self) -> usize {
        either!(self, stream => stream.unsent())
    }
    fn abort(&self) {
        either!(self, stream => stream.abort());
    }
}
