//! A response's body: bytes in memory, or files.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fdflow_hyper::FileBody;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::Full;

use crate::coded::Coded;

/// The body of an answer of this crate's service.
#[derive(Debug)]
pub struct Body(Kind);

#[derive(Debug)]
enum Kind {
    Bytes(Full<Bytes>),
    File(FileBody),
    Coded(Box<Coded>),
}

impl Body {
    /// No bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// The file body in it, if it is one: its figures tell the routes taken.
    #[must_use]
    pub fn as_file(&self) -> Option<&FileBody> {
        match &self.0 {
            Kind::File(file) => Some(file),
            Kind::Bytes(_) | Kind::Coded(_) => None,
        }
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self(Kind::Bytes(Full::new(bytes.into())))
    }
}

impl Body {
    /// Out of files.
    #[must_use]
    pub fn file(body: FileBody) -> Self {
        Self(Kind::File(body))
    }

    pub(crate) fn coded(body: Coded) -> Self {
        Self(Kind::Coded(Box::new(body)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.get_mut().0 {
            Kind::Bytes(bytes) => Pin::new(bytes).poll_frame(cx).map_err(|never| match never {}),
            Kind::File(file) => Pin::new(file).poll_frame(cx),
            Kind::Coded(coded) => coded.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.is_end_stream(),
            Kind::File(file) => file.is_end_stream(),
            Kind::Coded(coded) => coded.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.size_hint(),
            Kind::File(file) => file.size_hint(),
            Kind::Coded(_) => SizeHint::default(),
        }
    }
}
