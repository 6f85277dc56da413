//! The bodies: the client's, and the answer's.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fdflow_files::Body as FilesBody;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::meter::Meter;
use super::record::Record;

/// The body of an answer, which tells when it is gone.
#[derive(Debug)]
pub(super) struct Reply {
    body: FilesBody,
    seen: Option<Seen>,
}

#[derive(Debug)]
struct Seen {
    meter: Arc<Meter>,
    record: Option<Box<Record>>,
}

impl Reply {
    /// Counts it as the answer to a request of the connection.
    pub(super) fn seen_by(mut self, meter: Arc<Meter>, record: Option<Record>) -> Self {
        self.seen = Some(Seen { meter, record: record.map(Box::new) });
        self
    }

    pub(super) fn files(&self) -> &FilesBody {
        &self.body
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::from(FilesBody::empty())
    }
}

impl From<FilesBody> for Reply {
    fn from(body: FilesBody) -> Self {
        Self { body, seen: None }
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.meter.reply(self.record.take().map(|record| *record));
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(Ok(frame)), Some(seen)) = (&frame, &mut self.seen) {
            let n = frame.data_ref().map_or(0, Bytes::len);
            seen.meter.gave(n);
            if let Some(record) = &mut seen.record {
                record.gave(n);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request, which tells what is waited for.
#[derive(Debug)]
pub(super) struct Received {
    body: Incoming,
    meter: Arc<Meter>,
    counter: Option<Arc<AtomicU64>>,
}

impl Received {
    pub(super) fn new(body: Incoming, meter: Arc<Meter>, counter: Option<Arc<AtomicU64>>) -> Self {
        Self { body, meter, counter }
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Pending => self.meter.body_wanted(),
            Poll::Ready(Some(Ok(frame))) => {
                let n = frame.data_ref().map_or(0, Bytes::len);
                self.meter.received(n);
                if let Some(counter) = &self.counter {
                    counter.fetch_add(n as u64, Ordering::Relaxed);
                }
                if self.body.is_end_stream() {
                    self.meter.body_ended();
                }
            }
            Poll::Ready(None) => self.meter.body_ended(),
            Poll::Ready(Some(Err(_))) => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
