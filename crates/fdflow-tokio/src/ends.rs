//! The ends of tokio and of the standard library.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream, tcp, unix};

use crate::end::{AsyncSink, AsyncSource};

/// A stream socket, whole or by the half: what it is a view of knows whether it is ready.
macro_rules! sockets {
    ($($stream:ty: source $($source:ty),+; sink $($sink:ty),+; reset $reset:path;)+) => {
        $($(impl AsyncSource for $source {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                let stream: &$stream = self.as_ref();
                Some(stream.as_fd())
            }
            fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
                let stream: &$stream = self.as_ref();
                stream.try_io(Interest::READABLE, call)
            }
            fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &$stream = self.as_ref();
                stream.poll_read_ready(cx)
            }
        })+
        $(impl AsyncSink for $sink {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                let stream: &$stream = self.as_ref();
                Some(stream.as_fd())
            }
            fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
                let stream: &$stream = self.as_ref();
                stream.try_io(Interest::WRITABLE, call)
            }
            fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &$stream = self.as_ref();
                stream.poll_write_ready(cx)
            }
            fn poll_half_close(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let stream: &$stream = self.as_ref();
                Poll::Ready(half_close(stream.as_fd()))
            }
            fn unsent(&self) -> usize {
                let stream: &$stream = self.as_ref();
                fdflow::sys::unsent(stream.as_fd()).unwrap_or(0)
            }
            fn abort(&self) {
                let stream: &$stream = self.as_ref();
                $reset(stream.as_fd());
            }
        })+)+
    };
}

sockets! {
    TcpStream: source TcpStream, tcp::OwnedReadHalf, tcp::ReadHalf<'_>;
        sink TcpStream, tcp::OwnedWriteHalf, tcp::WriteHalf<'_>; reset reset;
    UnixStream: source UnixStream, unix::OwnedReadHalf, unix::ReadHalf<'_>;
        sink UnixStream, unix::OwnedWriteHalf, unix::WriteHalf<'_>; reset close;
}

fn half_close(socket: BorrowedFd<'_>) -> io::Result<()> {
    match rustix::net::shutdown(socket, rustix::net::Shutdown::Write) {
        // The peer has gone altogether: there is nobody left to tell.
        Ok(()) | Err(rustix::io::Errno::NOTCONN) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A reset without a change of the socket's options, which its owner may go on using.
fn reset(socket: BorrowedFd<'_>) {
    if rustix::net::connect_unspec(socket).is_err() {
        close(socket);
    }
}

fn close(socket: BorrowedFd<'_>) {
    // There is nothing to do about an end that is closed already.
    let _closed = rustix::net::shutdown(socket, rustix::net::Shutdown::Both).is_ok();
}

impl AsyncSource for pipe::Receiver {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.try_io(call)
    }
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
}

impl AsyncSink for pipe::Sender {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.try_io(call)
    }
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }
}

/// Its descriptor has to be one that does not block.
impl<T: AsFd + std::os::fd::AsRawFd> AsyncSource for AsyncFd<T> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.get_ref().as_fd())
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.try_io(Interest::READABLE, |_| call())
    }
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx).map_ok(drop)
    }
}

/// Its descriptor has to be one that does not block.
impl<T: AsFd + std::os::fd::AsRawFd> AsyncSink for AsyncFd<T> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.get_ref().as_fd())
    }
    fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.try_io(Interest::WRITABLE, |_| call())
    }
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx).map_ok(drop)
    }
}

/// Files are always ready.
macro_rules! files {
    ($($file:ty: $doc:literal;)+) => {
        $(#[doc = $doc]
        impl AsyncSource for $file {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                Some(self.as_fd())
            }
            fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
                call()
            }
            fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn is_file(&self) -> bool {
                true
            }
        }

        #[doc = $doc]
        impl AsyncSink for $file {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                Some(self.as_fd())
            }
            fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
                call()
            }
            fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn is_file(&self) -> bool {
                true
            }
        })+
    };
}

files! {
    std::fs::File: "Regular files and devices that never make a caller wait.";
    tokio::fs::File: "Regular files and devices that never make a caller wait. What was begun \
        with the file's own methods has to be completed before (`flush().await` after writing): \
        the transfer uses the descriptor, and not what the type may still have in hand.";
}
