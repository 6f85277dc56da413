//! Reading a piece of a file without keeping other tasks from the thread.

use std::fs::File;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::OpenFile;
use crate::send::shrunk;

/// So much is read at once.
const WINDOW: u64 = 64 << 10;

/// A read that is under way, or done.
#[derive(Debug)]
pub(crate) enum Reading {
    Done(Option<io::Result<Bytes>>),
    Elsewhere(JoinHandle<io::Result<Bytes>>),
}

impl Reading {
    /// Begins to read from the start of `range`, and says how much.
    pub(crate) fn new(file: OpenFile, range: Range<u64>) -> (Self, usize) {
        let end = range.end.min(range.start + WINDOW);
        let length = usize::try_from(end - range.start).unwrap_or(usize::MAX);
        let read = move |file: &OpenFile| read(file.file(), range.start, length);
        let runtime = Handle::try_current().ok();
        let reading = match runtime.filter(|_| !file.is_cached(range.start..end)) {
            None => Self::Done(Some(read(&file))),
            Some(runtime) => Self::Elsewhere(runtime.spawn_blocking(move || read(&file))),
        };
        (reading, length)
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::Done(bytes) => Poll::Ready(bytes.take().unwrap_or_else(|| Ok(Bytes::new()))),
            Self::Elsewhere(thread) => Pin::new(thread)
                .poll(cx)
                .map(|answer| answer.map_err(io::Error::other).and_then(|bytes| bytes)),
        }
    }
}

fn read(file: &File, at: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    match file.read_exact_at(&mut buffer, at) {
        Ok(()) => Ok(Bytes::from(buffer)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(shrunk(at..at + length as u64))
        }
        Err(error) => Err(error),
    }
}
