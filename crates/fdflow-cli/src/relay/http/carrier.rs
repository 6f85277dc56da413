//! What HTTP reads and writes: the connection, with an eye on what its socket takes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use fdflow_hyper::{Stream, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::desk::Desk;

/// A connection.
#[derive(Debug)]
pub(super) struct Carrier<S> {
    inner: Transport<S>,
    desk: Arc<Desk>,
}

impl<S: Stream> Carrier<S> {
    pub(super) fn new(inner: Transport<S>, desk: Arc<Desk>) -> Self {
        Self { inner, desk }
    }

    /// Its socket.
    pub(super) fn stream(&self) -> &S {
        self.inner.get_ref()
    }
}

impl<S: Stream> AsyncRead for Carrier<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for Carrier<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let n = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, slices))?;
        self.desk.took(slices, n);
        Poll::Ready(Ok(n))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
