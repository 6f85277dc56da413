//! A request's body that knows how far it was read.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{EXPECT, HeaderMap};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::intake::{BoxError, next_data};

/// So much is read of a request that is refused, to keep the connection; of more it is closed.
const DRAINED: u64 = 64 << 10;

/// A body that counts what it gave.
#[derive(Debug)]
pub(super) struct Watched<B> {
    body: Pin<Box<B>>,
    begun: bool,
    ended: bool,
    given: Arc<AtomicU64>,
}

impl<B: HttpBody<Data = Bytes>> Watched<B>
where
    B::Error: Into<BoxError>,
{
    pub(super) fn new(body: B) -> Self {
        let ended = body.is_end_stream();
        Self { body: Box::pin(body), begun: false, ended, given: Arc::default() }
    }

    /// How many bytes it has given, whoever it has gone to since.
    pub(super) fn given(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.given)
    }

    /// Reads a short rest, after which the connection can be used again; `false` where it cannot.
    /// A client that waits to be told to go on is not told.
    pub(super) async fn settle(&mut self, fields: &HeaderMap) -> bool {
        let waits = fields.contains_key(EXPECT) && !self.begun;
        let short = self.size_hint().exact().is_some_and(|rest| rest <= DRAINED);
        if !self.ended && short && !waits {
            while let Some(Ok(_)) = next_data(Pin::new(&mut *self)).await {}
        }
        self.ended
    }
}

impl<B: HttpBody<Data = Bytes>> HttpBody for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.begun = true;
        let polled = self.body.as_mut().poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.given.fetch_add(bytes as u64, Ordering::Relaxed);
                self.ended = self.body.is_end_stream();
            }
            Poll::Ready(None) => self.ended = true,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
