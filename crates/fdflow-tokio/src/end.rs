//! What the driver asks of an end: its descriptor, and whether it is ready.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::task::{Context, Poll};

/// An end that bytes come from, as the driver sees it.
///
/// Implemented for `TcpStream`, `UnixStream` and their read halves, `pipe::Receiver`,
/// [`AsyncFd`](tokio::io::unix::AsyncFd), files (of tokio and of the standard library), for
/// [`Plain`](crate::Plain) around any `AsyncRead`, and for references to and boxes of these.
///
/// # Your own type
///
/// A wrapper of an end hands every method on. All of them take `&self`: a call on the descriptor
/// is made while the end's readiness is held, and both directions of a connection may be waited
/// for at once.
pub trait AsyncSource {
    /// The descriptor that bytes are taken from; `None` if they come through
    /// [`read`](Self::read).
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Makes `call` if the end is taken for readable, and takes it no longer for that if `call`
    /// answers `WouldBlock`. Nothing that has become ready since before the call may be forgotten.
    ///
    /// # Errors
    ///
    /// What `call` said; `WouldBlock` also where it was not made.
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;

    /// Waits until the end may be readable, after something has answered `WouldBlock`.
    ///
    /// # Errors
    ///
    /// The runtime is going down.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells which task is to be woken by [`read`](Self::read), before it is called.
    fn register(&self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Reads some bytes; 0 is the end. Called only where there is no descriptor.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong; `WouldBlock` if the registered task will be woken.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let _ = buffer;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where in the descriptor a transfer of this end begins, if the descriptor's position is to be
    /// left alone. It stays what it is; the transfer counts.
    fn offset(&self) -> Option<u64> {
        None
    }

    /// Whether it is a file: always ready, but its bytes may have to be fetched from a disk.
    fn is_file(&self) -> bool {
        false
    }
}

/// An end that bytes go to, as the driver sees it.
///
/// Implemented for what [`AsyncSource`] is implemented for, where that can be written to.
pub trait AsyncSink {
    /// The descriptor that bytes are given to; `None` if they go through [`write`](Self::write).
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// As [`AsyncSource::when_readable`], for writing.
    ///
    /// # Errors
    ///
    /// What `call` said; `WouldBlock` also where it was not made.
    fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;

    /// Waits until the end may be writable, after something has answered `WouldBlock`.
    ///
    /// # Errors
    ///
    /// The runtime is going down.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells which task is to be woken by [`write`](Self::write), before it is called.
    fn register(&self, cx: &mut Context<'_>) {
        let _ = cx;
    }

    /// Writes some bytes. Called only where there is no descriptor.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong; `WouldBlock` if the registered task will be woken.
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let _ = bytes;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Passes on what the end itself has buffered.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong.
    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// Tells the peer that no more bytes will come, and leaves the other direction open.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong.
    fn poll_half_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = cx;
        Poll::Ready(Ok(()))
    }

    /// How many bytes the peer has not acknowledged yet; 0 where that cannot be told.
    fn unsent(&self) -> usize {
        0
    }

    /// Ends the connection at once, by a reset where there is such a thing.
    fn abort(&self) {}

    /// Whether it is a file, which is always ready.
    fn is_file(&self) -> bool {
        false
    }
}

macro_rules! forward {
    ($($end:ty),+) => {
        $(impl<T: AsyncSource + ?Sized> AsyncSource for $end {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                (**self).descriptor()
            }
            fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
                (**self).when_readable(call)
            }
            fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_readable(cx)
            }
            fn register(&self, cx: &mut Context<'_>) {
                (**self).register(cx);
            }
            fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                (**self).read(buffer)
            }
            fn offset(&self) -> Option<u64> {
                (**self).offset()
            }
            fn is_file(&self) -> bool {
                (**self).is_file()
            }
        }

        impl<T: AsyncSink + ?Sized> AsyncSink for $end {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                (**self).descriptor()
            }
            fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
                (**self).when_writable(call)
            }
            fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_writable(cx)
            }
            fn register(&self, cx: &mut Context<'_>) {
                (**self).register(cx);
            }
            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                (**self).write(bytes)
            }
            fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_flush(cx)
            }
            fn poll_half_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                (**self).poll_half_close(cx)
            }
            fn unsent(&self) -> usize {
                (**self).unsent()
            }
            fn abort(&self) {
                (**self).abort();
            }
            fn is_file(&self) -> bool {
                (**self).is_file()
            }
        })+
    };
}

forward!(&T, &mut T, Arc<T>, Box<T>);
