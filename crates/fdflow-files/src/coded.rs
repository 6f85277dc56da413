//! A body that is compressed while it is sent: piece by piece, on the threads for blocking work,
//! so that no connection waits for another's compression. A slow reader holds no thread.

use std::future::Future as _;
use std::io::{self, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fdflow_hyper::FileBody;
use flate2::write::GzEncoder;
use http_body::{Body as _, Frame};
use tokio::task::JoinHandle;

use crate::encodings::Coding;

/// Below this many bytes a coding saves less than it costs.
pub(crate) const LEAST: u64 = 860;

/// See the module.
#[derive(Debug)]
pub(crate) struct Coded {
    body: FileBody,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Waiting for bytes of the file.
    Idle(Encoder),
    /// A piece is being compressed.
    Working(JoinHandle<io::Result<(Option<Encoder>, Bytes)>>),
    Done,
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gzip(_) => "Gzip",
            Self::Brotli(_) => "Brotli",
        })
    }
}

/// The first of these codings that can be made while sending.
pub(crate) fn choose(accepted: &[Coding]) -> Option<Coding> {
    accepted.iter().copied().find(|coding| matches!(coding, Coding::Brotli | Coding::Gzip))
}

impl Encoder {
    /// Brotli with a window of 256 KiB and middle effort: what it keeps for a connection is some
    /// hundred KiB, and it is about as fast as gzip.
    fn new(coding: Coding) -> Self {
        match coding {
            Coding::Brotli => {
                let encoder = brotli::CompressorWriter::new(Vec::new(), 4 << 10, 4, 18);
                Self::Brotli(Box::new(encoder))
            }
            Coding::Gzip | Coding::Zstd => {
                Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default()))
            }
        }
    }

    /// Takes bytes, and gives what has come out so far.
    fn feed(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        let out = match self {
            Self::Gzip(encoder) => {
                encoder.write_all(bytes)?;
                encoder.get_mut()
            }
            Self::Brotli(encoder) => {
                encoder.write_all(bytes)?;
                encoder.get_mut()
            }
        };
        Ok(Bytes::from(std::mem::take(out)))
    }

    fn finish(self) -> io::Result<Bytes> {
        Ok(Bytes::from(match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Brotli(encoder) => encoder.into_inner(),
        }))
    }
}

impl Coded {
    pub(crate) fn new(body: FileBody, coding: Coding) -> Self {
        Self { body, state: State::Idle(Encoder::new(coding)) }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }

    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Idle(encoder) => {
                    let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                        self.state = State::Idle(encoder);
                        return Poll::Pending;
                    };
                    // A file's body has no frames but those of data.
                    let bytes = frame.transpose()?.and_then(|frame| frame.into_data().ok());
                    let work = move || work(encoder, bytes);
                    self.state = State::Working(tokio::task::spawn_blocking(work));
                }
                State::Working(mut task) => {
                    let Poll::Ready(result) = Pin::new(&mut task).poll(cx) else {
                        self.state = State::Working(task);
                        return Poll::Pending;
                    };
                    let (encoder, bytes) = result??;
                    if let Some(encoder) = encoder {
                        self.state = State::Idle(encoder);
                    }
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
            }
        }
    }
}

/// Compresses a piece, or ends the stream where there is none.
fn work(mut encoder: Encoder, bytes: Option<Bytes>) -> io::Result<(Option<Encoder>, Bytes)> {
    match bytes {
        Some(bytes) => {
            let out = encoder.feed(&bytes)?;
            Ok((Some(encoder), out))
        }
        None => Ok((None, encoder.finish()?)),
    }
}
