//! A body that has the stream as it comes, without a recording: what a pipe of the fan-out has.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use fdflow::SinkReport;
use fdflow_tokio::Joined;
use tokio::net::unix::pipe;

use super::desk::Serving;
use crate::relay::ending::{Ending, Why};

/// So much is read at once.
const BLOCK: usize = 64 << 10;
/// With less room than that another block is taken.
const LITTLE: usize = 4 << 10;

/// Bytes of the stream.
pub(super) struct Fanned {
    joined: Arc<Joined>,
    pipe: pipe::Receiver,
    serving: Arc<Serving>,
    block: BytesMut,
    /// The pipe has ended; why, the fan-out tells.
    ended: Option<Pin<Box<dyn Future<Output = SinkReport> + Send>>>,
}

impl fmt::Debug for Fanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanned").field("joined", &self.joined).finish_non_exhaustive()
    }
}

impl Fanned {
    pub(super) fn new(joined: Arc<Joined>, pipe: pipe::Receiver, serving: Arc<Serving>) -> Self {
        Self { joined, pipe, serving, block: BytesMut::new(), ended: None }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            if let Some(ended) = &mut self.ended {
                let ending = Ending::from(ready!(ended.as_mut().poll(cx)).end);
                let is_whole = ending.why == Why::Done;
                self.serving.end(ending);
                return Poll::Ready((!is_whole).then(|| Err(cut())));
            }
            ready!(self.pipe.poll_read_ready(cx))?;
            if self.block.capacity() - self.block.len() < LITTLE {
                self.block.reserve(BLOCK);
            }
            match self.pipe.try_read_buf(&mut self.block) {
                Ok(0) => {
                    let joined = Arc::clone(&self.joined);
                    self.ended = Some(Box::pin(async move { joined.ended().await }));
                }
                Ok(_) => {
                    let bytes = self.block.split().freeze();
                    self.serving.give(&bytes, None);
                    return Poll::Ready(Some(Ok(bytes)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    self.serving.end(&error);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Drop for Fanned {
    fn drop(&mut self) {
        self.joined.leave();
    }
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the reader is too far behind the stream")
}
