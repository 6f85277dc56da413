//! A body out of the recording: to the end of the stream, or a range.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fdflow_hyper::FileBody;
use fdflow_tokio::{Following, Look, Recording};
use http_body::Body as _;

use super::desk::{Desk, Serving};
use super::files::Lent;
use crate::relay::ending::Why;

/// HTTP gets at most so much at once: what it has is not looked at any more.
const PIECE: u64 = 1 << 20;

/// Bytes of the recording.
pub(super) struct Recorded {
    recording: Recording,
    following: Following,
    desk: Arc<Desk>,
    serving: Arc<Serving>,
    /// The byte of the stream that HTTP gets next.
    at: u64,
    /// Where a range ends.
    until: Option<u64>,
    /// Whether it goes on behind a gap.
    skips: bool,
    lent: Option<Arc<Lent>>,
    piece: Option<FileBody>,
    grown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Recorded");
        debug.field("at", &self.at).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Recorded {
    /// From where `following` begins, up to `until`, or to the end of the stream.
    pub(super) fn new(
        (recording, following): (Recording, Following),
        until: Option<u64>,
        skips: bool,
        (desk, serving): (Arc<Desk>, Arc<Serving>),
    ) -> Self {
        let at = following.start();
        let (lent, piece, grown) = (None, None, None);
        Self { recording, following, desk, serving, at, until, skips, lent, piece, grown }
    }

    /// How many bytes are to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.until.map(|until| until - self.at)
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(grown) = &mut self.grown {
                ready!(grown.as_mut().poll(cx));
                self.grown = None;
            }
            if let Some(bytes) = ready!(self.poll_piece(cx)) {
                return Poll::Ready(Some(bytes));
            }
            if self.left() == Some(0) {
                return Poll::Ready(None);
            }
            match self.recording.look(self.at) {
                Look::Bytes { file, offset, length } => {
                    let length = length.min(PIECE).min(self.left().unwrap_or(u64::MAX));
                    let end = offset + length;
                    match self.desk.shared.http.files.lend(&file, end, self.lent.as_ref()) {
                        Ok(lent) => {
                            self.piece = Some(FileBody::of_range(lent.open.clone(), offset..end));
                            self.lent = Some(lent);
                        }
                        Err(error) => return Poll::Ready(Some(Err(self.failed(error)))),
                    }
                }
                Look::Missing { until } if self.skips => {
                    self.following.skip(until - self.at);
                    self.at = until;
                }
                Look::NotYet => {
                    let (recording, at) = (self.recording.clone(), self.at);
                    self.grown = Some(Box::pin(async move { recording.grown(at).await }));
                }
                Look::Failed(error) => return Poll::Ready(Some(Err(self.failed(error)))),
                Look::Over => {
                    self.serving.end(Why::Done);
                    return Poll::Ready(None);
                }
                _ => {
                    // What came before the gap is to arrive; an error ends the connection at once.
                    ready!(self.serving.poll_taken(cx));
                    self.serving.end(Why::Lagged);
                    return Poll::Ready(Some(Err(gap(self.at))));
                }
            }
        }
    }

    /// The next bytes of the piece that HTTP is given; `None`: there are no more.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Some(piece) = &mut self.piece else { return Poll::Ready(None) };
        let next = ready!(Pin::new(&mut *piece).poll_frame(cx));
        let delivery = piece.delivery();
        match next.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())) {
            Some(Ok(bytes)) => {
                self.at += bytes.len() as u64;
                self.serving.give(&bytes, Some(delivery));
                if self.left() == Some(0) {
                    // HTTP counts too, and asks no further.
                    self.serving.end(Why::Done);
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(self.failed(error)))),
            None => {
                self.piece = None;
                Poll::Ready(None)
            }
        }
    }

    fn failed(&self, error: io::Error) -> io::Error {
        self.serving.end(&error);
        error
    }
}

fn gap(at: u64) -> io::Error {
    let message = format!("the recording has no byte {at} any more, or never had it");
    io::Error::new(io::ErrorKind::NotFound, message)
}
