//! What is answered with.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::fanned::Fanned;
use super::recorded::Recorded;

/// A body.
#[derive(Debug)]
pub(super) enum Body {
    /// A few words.
    Text(Option<Bytes>),
    /// None, to one who asks for the head of what has no known length.
    Head,
    /// From the recording.
    Recorded(Box<Recorded>),
    /// As it comes.
    Fanned(Box<Fanned>),
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let next = match &mut *self {
            Self::Text(text) => Poll::Ready(text.take().map(Ok)),
            Self::Head => Poll::Ready(None),
            Self::Recorded(recorded) => recorded.poll(cx),
            Self::Fanned(fanned) => fanned.poll(cx),
        };
        next.map(|next| next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Recorded(recorded) => recorded.left() == Some(0),
            Self::Head | Self::Fanned(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Recorded(recorded) => {
                recorded.left().map_or_else(SizeHint::default, SizeHint::with_exact)
            }
            Self::Head | Self::Fanned(_) => SizeHint::default(),
        }
    }
}
