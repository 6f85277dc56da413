//! The body: pieces of files, and bytes between them.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{Delivery, OpenFile};

/// A piece of a body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// The bytes of a file in this range, which lies within its length.
    File(OpenFile, Range<u64>),
}

/// A response's body out of files.
#[derive(Debug)]
pub struct FileBody {
    pieces: VecDeque<Piece>,
    left: u64,
    delivery: Delivery,
}

impl FileBody {
    /// The whole file.
    #[must_use]
    pub fn new(file: OpenFile) -> Self {
        let whole = 0..file.length();
        Self::of_range(file, whole)
    }

    /// A range of a file; what lies past its end is left out.
    #[must_use]
    pub fn of_range(file: OpenFile, range: Range<u64>) -> Self {
        Self::of_pieces([Piece::File(file, range)])
    }

    /// Pieces of files and bytes between them, in this order: for `multipart/byteranges`.
    #[must_use]
    pub fn of_pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let pieces: VecDeque<Piece> = pieces.into_iter().collect();
        let left = pieces.iter().map(Piece::length).sum();
        Self { pieces, left, delivery: Delivery::default() }
    }

    /// What is still to come: at the start the `Content-Length`.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.left
    }

    /// The figures of this body; they can be read after it is gone.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.delivery.clone()
    }
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, range) => range.end.saturating_sub(range.start),
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        use std::os::unix::fs::FileExt;
        let (bytes, rest) = match self.pieces.pop_front() {
            None => return Poll::Ready(None),
            Some(Piece::Bytes(bytes)) => (bytes, None),
            Some(Piece::File(file, range)) => {
                let n = (range.end - range.start).min(64 << 10);
                let mut buffer = vec![0; usize::try_from(n).unwrap_or(usize::MAX)];
                file.file().read_exact_at(&mut buffer, range.start)?;
                let rest = range.start + n..range.end;
                (Bytes::from(buffer), (!rest.is_empty()).then_some(Piece::File(file, rest)))
            }
        };
        if let Some(rest) = rest {
            self.pieces.push_front(rest);
        }
        self.left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
