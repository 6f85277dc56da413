//! A connection's stream with a meter on it, and a limit to its rate.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use fdflow_hyper::{Stream, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::meter::Meter;
use super::pace::Pace;
use super::protocol;

/// A stream that may be able to send files.
pub(super) trait Carrier: AsyncRead + AsyncWrite + Unpin {
    /// A slice of a file that is sent here, as bytes of their own; not to be read.
    fn lent(&self, slice: &[u8]) -> Option<Bytes>;
}

impl<S: Stream> Carrier for Transport<S> {
    fn lent(&self, slice: &[u8]) -> Option<Bytes> {
        Self::lent(self, slice)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Carrier for TlsStream<S> {
    fn lent(&self, _: &[u8]) -> Option<Bytes> {
        None
    }
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(super) struct Watched<S> {
    inner: S,
    meter: Arc<Meter>,
    /// Bytes that had been read and are to be read again.
    again: Bytes,
    /// Bytes that HTTP was to write when it was told to leave.
    owed: Bytes,
    pace: Option<Box<Pace>>,
}

impl<S> Watched<S> {
    /// `rate` is in bytes a second.
    pub(super) fn new(inner: S, meter: Arc<Meter>, rate: Option<u64>) -> Self {
        let pace = rate.map(|rate| Box::new(Pace::new(rate)));
        Self { inner, meter, again: Bytes::new(), owed: Bytes::new(), pace }
    }

    pub(super) fn get_ref(&self) -> &S {
        &self.inner
    }

    pub(super) fn meter(&self) -> &Arc<Meter> {
        &self.meter
    }

    /// Gives bytes back, to be read first: a copy, since also empty, they may be a part of a buffer.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        // Some of what was given back before may not have been read yet.
        self.again = [bytes, &self.again].concat().into();
    }

    /// Whether there are bytes to be read that were given back.
    pub(super) fn has_unread(&self) -> bool {
        !self.again.is_empty()
    }

    /// What is still to be written of the answer that HTTP has left.
    pub(super) fn take_owed(&mut self) -> Bytes {
        std::mem::take(&mut self.owed)
    }

    fn counted(&mut self, answer: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &answer {
            Poll::Ready(Ok(n)) => {
                self.meter.wrote(*n);
                if let Some(pace) = &mut self.pace {
                    pace.spend(*n);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.meter.write_blocked(),
        }
        answer
    }
}

impl<S: Carrier> Watched<S> {
    /// Keeps what HTTP would write, if it is but the rest of a file: then HTTP is done with it.
    fn keeps(&mut self, slices: &[IoSlice<'_>]) -> bool {
        if let [rest] = slices
            && let Some(owed) = self.inner.lent(rest)
        {
            self.owed = owed;
            self.meter.left();
        }
        !self.owed.is_empty()
    }

    /// Another answer in place of the parser's own.
    fn better_refusal(&self, slices: &[IoSlice<'_>]) -> Option<Vec<u8>> {
        match slices {
            // A file is never looked into: it may have been cut, and may be on a disk.
            [head] if head.len() <= protocol::REFUSAL_MOST && self.inner.lent(head).is_none() => {
                protocol::better_refusal(head, &self.meter)
            }
            _ => None,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.again.is_empty() {
            // They have been counted already.
            let n = self.again.len().min(buffer.remaining());
            buffer.put_slice(&self.again[..n]);
            self.again.advance(n);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.meter.took(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: Carrier> AsyncWrite for Watched<S> {
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
        let this = &mut *self;
        if this.meter.is_leaving() && this.keeps(slices) {
            return Poll::Pending;
        }
        if let Some(better) = this.better_refusal(slices) {
            let n = ready!(Pin::new(&mut this.inner).poll_write(cx, &better))?;
            // The parser is told of its own answer; a client that takes less is gone.
            let all = if n == better.len() { slices[0].len() } else { 0 };
            return this.counted(Poll::Ready(Ok(all)));
        }
        let Some(pace) = &mut this.pace else {
            let answer = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
            return this.counted(answer);
        };
        let most = ready!(Pin::new(&mut **pace).poll(cx));
        let some = up_to(slices, most);
        let answer = Pin::new(&mut this.inner).poll_write_vectored(cx, &some);
        this.counted(answer)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        match &flushed {
            Poll::Ready(Ok(())) => self.meter.flushed(),
            Poll::Pending => self.meter.write_blocked(),
            Poll::Ready(Err(_)) => {}
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The first `most` bytes; which memory they are in stays the same.
fn up_to<'a>(slices: &'a [IoSlice<'_>], mut most: usize) -> Vec<IoSlice<'a>> {
    let mut some = Vec::new();
    for slice in slices {
        if most == 0 {
            break;
        }
        let n = slice.len().min(most);
        some.push(IoSlice::new(&slice[..n]));
        most -= n;
    }
    some
}
