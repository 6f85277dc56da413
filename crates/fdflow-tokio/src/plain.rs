//! Any `AsyncRead` or `AsyncWrite` as an end, through user space.

use std::io;
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::end::{AsyncSink, AsyncSource};

/// Any [`AsyncRead`] as a source, any [`AsyncWrite`] as a sink: for what must see the bytes, such
/// as TLS, compression or memory.
///
/// A sink is flushed when the transfer waits for its source, and at the end.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), fdflow_tokio::TransferError> {
/// use fdflow_tokio::{Plain, Transfer};
/// let mut out = Plain::new(Vec::new());
/// let from = Plain::new(&b"from memory"[..]);
/// # let everything = fdflow::Routes::all();
/// # Transfer::new(from, &mut out).routes(everything).run().await?;
/// # /*
/// Transfer::new(from, &mut out).run().await?;
/// # */
/// assert_eq!(out.into_inner(), b"from memory");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Plain<T> {
    // Never contended: both directions of a flow are polled by one task.
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    io: T,
    /// The task of the direction that reads, and of the one that writes.
    tasks: (Waker, Waker),
}

impl<T> Plain<T> {
    /// Makes an end of `io`.
    pub fn new(io: T) -> Self {
        let tasks = (Waker::noop().clone(), Waker::noop().clone());
        Self { inner: Mutex::new(Inner { io, tasks }) }
    }

    /// What is wrapped.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner.get_mut().unwrap_or_else(PoisonError::into_inner).io
    }

    /// What is wrapped.
    pub fn into_inner(self) -> T {
        self.inner.into_inner().unwrap_or_else(PoisonError::into_inner).io
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// "Not yet" as the core is told it: the waker has been left with the inner type.
fn would_block<R>(answer: Poll<io::Result<R>>) -> io::Result<R> {
    match answer {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl<T: AsyncRead + Unpin> AsyncSource for Plain<T> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        call()
    }

    /// The poll that answered "not yet" has left the waker where it will be found.
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn register(&self, cx: &mut Context<'_>) {
        self.lock().tasks.0.clone_from(cx.waker());
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Inner { io, tasks } = &mut *self.lock();
        let mut space = ReadBuf::new(buffer);
        let mut cx = Context::from_waker(&tasks.0);
        would_block(Pin::new(io).poll_read(&mut cx, &mut space))?;
        Ok(space.filled().len())
    }
}

impl<T: AsyncWrite + Unpin> AsyncSink for Plain<T> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        call()
    }

    /// The poll that answered "not yet" has left the waker where it will be found.
    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn register(&self, cx: &mut Context<'_>) {
        self.lock().tasks.1.clone_from(cx.waker());
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let Inner { io, tasks } = &mut *self.lock();
        let mut cx = Context::from_waker(&tasks.1);
        would_block(Pin::new(io).poll_write(&mut cx, bytes))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().io).poll_flush(cx)
    }

    fn poll_half_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().io).poll_shutdown(cx)
    }
}
