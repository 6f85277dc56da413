//! The intake: a request's body, from the frames that hyper has read to a file.
//!
//! Frames are gathered and written together on a blocking thread: a disk that is slow holds up
//! this upload and nothing else. One write is under way at a time, and the frames that it has
//! written go back to hyper's read buffer before the next are asked for.

use std::fs::File;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body as HttpBody;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use tokio::runtime::Handle;

use super::refusal::Refusal;
use http::StatusCode;

/// Whatever a body's error can be turned into.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// So many bytes are written by one call where the sender is quick: large writes get large pages.
const TOGETHER: usize = 1 << 20;
/// So many are held at most of a sender that is not.
const SLOW_TOGETHER: usize = 64 << 10;
/// A frame this large was read by a call that found much: the sender is quick.
const QUICK: usize = 64 << 10;
/// A smaller frame is copied out of hyper's buffer, which it would hold whole.
const SMALL: usize = 16 << 10;
/// Blocks are asked for so far ahead: cheaper than at write-back, and no more than this is ever
/// taken for bytes that were promised and do not come.
const AHEAD: u64 = 64 << 20;

/// Bytes that are in hand, in order.
#[derive(Debug, Default)]
struct Hand {
    pieces: Vec<Bytes>,
    small: BytesMut,
    length: usize,
    enough: usize,
}

impl Hand {
    fn push(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        self.enough = if bytes.len() >= QUICK { TOGETHER } else { SLOW_TOGETHER };
        if bytes.len() < SMALL {
            self.small.extend_from_slice(&bytes);
        } else {
            self.seal();
            self.pieces.push(bytes);
        }
    }

    fn seal(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(self.small.split().freeze());
        }
    }

    fn take(&mut self) -> Vec<Bytes> {
        self.seal();
        self.length = 0;
        std::mem::take(&mut self.pieces)
    }
}

/// A file that bytes are appended to, and whatever must outlast a write that is under way.
#[derive(Debug)]
pub(super) struct Sink<K> {
    pub(super) file: K,
    /// Where the next byte goes.
    pub(super) at: u64,
    reserved: u64,
    reserves: bool,
}

impl<K: AsRef<File> + Send + 'static> Sink<K> {
    pub(super) fn new(file: K, at: u64) -> Self {
        Self { file, at, reserved: at, reserves: true }
    }

    /// Writes all of it. `end` is where the file will end, where that is known.
    fn write(&mut self, pieces: Vec<Bytes>, end: Option<u64>) -> io::Result<()> {
        let mut pieces = std::collections::VecDeque::from(pieces);
        let length: usize = pieces.iter().map(Bytes::len).sum();
        self.reserve(self.at + length as u64, end)?;
        while !pieces.is_empty() {
            let slices: Vec<_> =
                pieces.iter().take(1024).map(|piece| IoSlice::new(piece)).collect();
            let mut written = match rustix::io::pwritev(self.file.as_ref(), &slices, self.at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            self.at += written as u64;
            while let Some(first) = pieces.front_mut() {
                if first.len() > written {
                    first.advance(written);
                    break;
                }
                written -= first.len();
                pieces.pop_front();
            }
        }
        Ok(())
    }

    /// Asks for blocks ahead of the bytes, without changing the length, which is the offset of an
    /// upload that is to be resumed. A filesystem that cannot is asked once.
    fn reserve(&mut self, upto: u64, end: Option<u64>) -> io::Result<()> {
        let Some(end) = end else { return Ok(()) };
        let from = self.reserved;
        if !self.reserves || upto <= from || end <= from || end - self.at < SLOW_TOGETHER as u64 {
            return Ok(());
        }
        let length = (end - from).min(AHEAD);
        let keep = FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(self.file.as_ref(), keep, from, length) {
            Ok(()) => self.reserved = from + length,
            // The disk is full for what was promised, if not for what has come.
            Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => return Err(errno.into()),
            Err(_) => self.reserves = false,
        }
        Ok(())
    }
}

/// What may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// So many bytes at most, and the answer where there are more.
    pub(super) most: u64,
    /// Whether what is in hand is still written when the client goes: it may come back for the
    /// rest.
    pub(super) keep_partial: bool,
}

/// What became of a body.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The client went, or sent something that is no body.
    Broken(String),
    /// There was more than the bounds allow. What they allow is in the file or on its way there.
    TooLarge,
    /// The disk would not have it.
    Refused(Refusal),
}

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Broken(why) => {
                Self::bad_request(format!("the request's body is broken: {why}"))
            }
            Stopped::TooLarge => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "the file is larger than is taken here")
            }
            Stopped::Refused(refusal) => refusal,
        }
    }
}

/// Moves bytes into a file, from wherever they come.
///
/// Dropping it in the middle leaves what was written, and what is being written on its way.
#[derive(Debug)]
pub(super) struct Intake<K: AsRef<File> + Send + 'static> {
    /// `None` while a blocking thread has it.
    sink: Option<Sink<K>>,
    hand: Hand,
    left: u64,
    end: Option<u64>,
    keep_partial: bool,
}

impl<K: AsRef<File> + Send + 'static> Intake<K> {
    /// `coming` is how many bytes come, where that is known.
    pub(super) fn new(sink: Sink<K>, bounds: Bounds, coming: Option<u64>) -> Self {
        let end = coming.map(|bytes| sink.at.saturating_add(bytes));
        let hand = Hand { enough: SLOW_TOGETHER, ..Hand::default() };
        let Bounds { most, keep_partial } = bounds;
        Self { sink: Some(sink), hand, left: most, end, keep_partial }
    }

    /// Takes some bytes, and writes when enough have come together.
    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), Stopped> {
        let length = bytes.len() as u64;
        if length > self.left {
            return Err(Stopped::TooLarge);
        }
        self.left -= length;
        self.hand.push(bytes);
        if self.hand.length >= self.hand.enough { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Stopped> {
        let Some(mut sink) = self.sink.take() else { return Err(gone()) };
        let (pieces, end) = (self.hand.take(), self.end);
        let (sink, result) = blocking(move || {
            let result = sink.write(pieces, end);
            (sink, result)
        })
        .await
        .map_err(Stopped::Refused)?;
        self.sink = Some(sink);
        result.map_err(|error| Stopped::Refused(error.into()))
    }

    /// Writes what is still in hand, and gives the file back.
    pub(super) async fn finish(mut self) -> Result<Sink<K>, Stopped> {
        if self.hand.length > 0 {
            self.flush().await?;
        }
        self.sink.take().ok_or_else(gone)
    }
}

impl<K: AsRef<File> + Send + 'static> Drop for Intake<K> {
    fn drop(&mut self) {
        if self.keep_partial
            && self.hand.length > 0
            && let Some(mut sink) = self.sink.take()
            && let Ok(runtime) = Handle::try_current()
        {
            let (pieces, end) = (self.hand.take(), self.end);
            // Nobody is left to tell: the client asks for the offset when it comes back.
            drop(runtime.spawn_blocking(move || sink.write(pieces, end)));
        }
    }
}

fn gone() -> Stopped {
    Stopped::Refused(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "a write did not return"))
}

/// Runs something that may wait on a blocking thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the server is about to stop"))
}

/// The whole of a body into a file.
pub(super) async fn take_in<B, K>(
    body: Pin<&mut B>,
    sink: Sink<K>,
    bounds: Bounds,
) -> Result<Sink<K>, Stopped>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
    K: AsRef<File> + Send + 'static,
{
    let (start, coming) = (sink.at, body.size_hint().exact());
    let mut intake = Intake::new(sink, bounds, coming);
    let mut body = body;
    loop {
        match next_data(body.as_mut()).await {
            Some(Ok(bytes)) => intake.push(bytes).await?,
            // What is in hand is written when the intake is dropped, where it is to be kept.
            Some(Err(why)) => return Err(Stopped::Broken(why)),
            None => break,
        }
    }
    let sink = intake.finish().await?;
    match coming {
        // Where the connection went without a word, a body may just end.
        Some(coming) if sink.at - start != coming => {
            Err(Stopped::Broken(format!("{coming} bytes were announced, {} came", sink.at - start)))
        }
        _ => Ok(sink),
    }
}

/// The next bytes; trailers are passed over.
pub(super) async fn next_data<B>(mut body: Pin<&mut B>) -> Option<Result<Bytes, String>>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    loop {
        match poll_fn(|cx| body.as_mut().poll_frame(cx)).await? {
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
            Err(error) => return Some(Err(error.into().to_string())),
        }
    }
}

#[cfg(test)]
#[path = "intake/tests.rs"]
mod tests;
