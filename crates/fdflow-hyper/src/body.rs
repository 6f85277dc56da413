//! The body: pieces of files, and bytes between them.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::read::Reading;
use crate::region::Regions;
use crate::{Delivery, OpenFile, Why};

/// Up to this length a piece is read and goes out with its head: a call of sendfile costs more
/// than the copy. Measured, see the record of `serve`.
const SMALL: u64 = 16 << 10;

/// A piece of a body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// These bytes.
    Bytes(Bytes),
    /// The bytes of a file in this range, which lies within its length.
    File(OpenFile, Range<u64>),
}

/// A response's body out of files, with an exact length.
///
/// On a connection that is a [`Transport`](crate::Transport) the frames of this body are memory
/// that nobody has to read: the transport sends the file behind it by sendfile. On any other
/// connection, and for small pieces, the bytes are read with `pread`, on a blocking thread of the
/// runtime where the page cache has them not.
///
/// # Whoever reads the frames
///
/// A layer between the service and the transport that looks at the bytes (compression, a digest)
/// sees the file's own, through a mapping, and may read them as often as it likes. If the file is
/// cut short meanwhile, reading what it has lost raises `SIGBUS`, as with any mapped file: give
/// such a layer [`copied`](Self::copied) bodies. Later changes to the file may show in bytes that
/// were sent already but are not yet received.
///
/// # Files that change
///
/// A body sends exactly the range that it was made for. A file that grows sends no more; one
/// that shrinks fails with [`UnexpectedEof`](io::ErrorKind::UnexpectedEof), upon which hyper
/// closes the connection, so that the client sees that the answer is not whole.
///
/// # Example
///
/// ```no_run
/// use fdflow_hyper::{FileBody, OpenFile};
///
/// # async fn answer() -> std::io::Result<http::Response<FileBody>> {
/// let body = FileBody::new(OpenFile::open("film.mp4").await?);
/// # Ok(
/// http::Response::new(body)
/// # )
/// # }
/// ```
#[derive(Debug)]
pub struct FileBody {
    pieces: VecDeque<Piece>,
    left: u64,
    copied: bool,
    reading: Option<Reading>,
    delivery: Delivery,
}

impl FileBody {
    /// The whole file, as long as it was when it was opened.
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
        let within = pieces.into_iter().map(Piece::within_file).filter(|piece| piece.length() > 0);
        let pieces: VecDeque<Piece> = within.collect();
        let left = pieces.iter().map(Piece::length).sum();
        Self { pieces, left, copied: false, reading: None, delivery: Delivery::default() }
    }

    /// Reads the files, whatever the connection: for a body that a layer compresses or digests.
    #[must_use]
    pub fn copied(mut self) -> Self {
        self.copied = true;
        self
    }

    /// How many bytes are still to come: at the start the `Content-Length`.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.left
    }

    /// The figures of this body; they can be read after it is gone.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        self.delivery.clone()
    }

    /// Why the piece has to be read; otherwise the connection that it can be lent to.
    fn way(&self, file: &OpenFile, range: &Range<u64>) -> Result<Arc<Regions>, Why> {
        if self.copied {
            return Err(Why::Asked);
        }
        if range.end - range.start <= SMALL {
            return Err(Why::Small);
        }
        if let Some(errno) = file.refused() {
            return Err(Why::Refused(errno));
        }
        let regions = Regions::of_this_task().ok_or(Why::OtherTransport)?;
        if regions.sendfile { Ok(regions) } else { Err(Why::Denied) }
    }

    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if let Some(reading) = &mut self.reading {
            let bytes = ready!(reading.poll(cx));
            self.reading = None;
            return Poll::Ready(Some(bytes));
        }
        let (file, range) = match self.pieces.pop_front() {
            None => return Poll::Ready(None),
            Some(Piece::Bytes(bytes)) => return Poll::Ready(Some(Ok(bytes))),
            Some(Piece::File(file, range)) => (file, range),
        };
        let lent = self
            .way(&file, &range)
            .and_then(|regions| regions.lend(&file, &range, &self.delivery).ok_or(Why::NotMapped));
        let why = match lent {
            Ok(bytes) => return Poll::Ready(Some(Ok(bytes))),
            Err(why) => why,
        };
        let (mut reading, read) = Reading::new(file.clone(), range.clone());
        self.delivery.add_copied(read, why);
        let rest = range.start + read as u64..range.end;
        if !rest.is_empty() {
            self.pieces.push_front(Piece::File(file, rest));
        }
        match reading.poll(cx) {
            Poll::Ready(bytes) => Poll::Ready(Some(bytes)),
            Poll::Pending => {
                self.reading = Some(reading);
                Poll::Pending
            }
        }
    }
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, range) => range.end.saturating_sub(range.start),
        }
    }

    fn within_file(self) -> Self {
        match self {
            Self::File(file, range) => {
                let range = range.start..range.end.min(file.length());
                Self::File(file, range)
            }
            bytes @ Self::Bytes(_) => bytes,
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match ready!(self.poll_bytes(cx)) {
            None => Poll::Ready(None),
            Some(Ok(bytes)) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Err(error)) => {
                self.pieces.clear();
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
