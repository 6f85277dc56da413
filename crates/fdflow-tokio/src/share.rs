//! Descriptors passed over Unix sockets of tokio, and sealed memory as a source.
//!
//! As [`fdflow::share`], without blocking: the sockets wait as a task.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use std::os::fd::AsFd;
//! use fdflow::share::Sealed;
//! use fdflow_tokio::share;
//! use tokio::net::UnixStream;
//!
//! let (here, there) = UnixStream::pair()?;
//! let frame = Sealed::from_bytes(b"filled once")?;
//! share::send(&here, b"a frame", &[frame.as_fd()]).await?;
//!
//! let mut message = [0; 64]; // in another process
//! let same = share::receive(&there, &mut message).await?.into_sealed()?;
//! assert_eq!(&same[..], b"filled once");
//! # Ok(())
//! # }
//! ```

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::task::{Context, Poll};

pub use fdflow::share::{MAX_DESCRIPTORS, PassError, Received};
use fdflow::share::{Sealed, SealedReader};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{UnixDatagram, UnixStream};

use crate::end::AsyncSource;

/// A Unix socket that waits as a task.
///
/// Implemented for [`UnixStream`], [`UnixDatagram`], and for [`AsyncFd`] around a socket that does not
/// block, for those of another kind. Halves of a stream lead to it by `as_ref()`.
pub trait UnixSocket: AsFd {
    /// Makes `call` whenever the socket may be ready, until it answers otherwise than `WouldBlock`.
    fn when_ready<R: Send>(
        &self,
        interest: Interest,
        call: impl FnMut() -> io::Result<R> + Send,
    ) -> impl Future<Output = io::Result<R>> + Send;
}

macro_rules! sockets {
    ($($socket:ty),+) => {
        $(impl UnixSocket for $socket {
            async fn when_ready<R: Send>(
                &self,
                interest: Interest,
                call: impl FnMut() -> io::Result<R> + Send,
            ) -> io::Result<R> {
                self.async_io(interest, call).await
            }
        })+
    };
}

sockets!(UnixStream, UnixDatagram);

impl<T: AsFd + AsRawFd + Send + Sync> UnixSocket for AsyncFd<T> {
    async fn when_ready<R: Send>(
        &self,
        interest: Interest,
        mut call: impl FnMut() -> io::Result<R> + Send,
    ) -> io::Result<R> {
        self.async_io(interest, |_| call()).await
    }
}

/// As [`fdflow::share::send`]: `bytes`, and `descriptors` with the first of them. How many of the bytes
/// were taken; the rest, if there is one, is to be sent without the descriptors.
///
/// # Cancel safety
///
/// Nothing was sent if the future is dropped before it is ready.
///
/// # Errors
///
/// Those of [`fdflow::share::send`], but for `WouldBlock`.
pub async fn send(
    socket: &(impl UnixSocket + Sync),
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let call = || fdflow::share::send(socket.as_fd(), bytes, descriptors);
    socket.when_ready(Interest::WRITABLE, call).await
}

/// As [`fdflow::share::receive`]: bytes into `buffer`, and the descriptors that came with them.
///
/// # Cancel safety
///
/// Nothing was received if the future is dropped before it is ready.
///
/// # Errors
///
/// Those of [`fdflow::share::receive`], but for `WouldBlock`.
pub async fn receive(socket: &(impl UnixSocket + Sync), buffer: &mut [u8]) -> io::Result<Received> {
    let call = || fdflow::share::receive(socket.as_fd(), buffer);
    socket.when_ready(Interest::READABLE, call).await
}

/// Sealed memory is always ready, and never has to be fetched from a disk.
macro_rules! sealed {
    ($($source:ty: $at:expr, $doc:literal;)+) => {
        $(#[doc = $doc]
        impl AsyncSource for $source {
            fn descriptor(&self) -> Option<BorrowedFd<'_>> {
                Some(self.as_fd())
            }
            fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
                call()
            }
            fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }
            fn offset(&self) -> Option<u64> {
                Some($at(self))
            }
        })+
    };
}

sealed! {
    Sealed: |_| 0, "All of it, from the beginning, at each transfer.";
    SealedReader: SealedReader::position, "From where it is to the end, at each transfer: the reader \
        itself stays where it is.";
}
