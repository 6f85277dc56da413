//! Bytes go from a source to where they are kept now: the current file, or memory.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use fdflow::{Progress, Route, Side, TransferError};
use tokio::time::{Instant, sleep_until};

use super::memory::Memory;
use super::writer::RecordingWriter;
use crate::end::AsyncSource;
use crate::transfer::Transfer;

/// What pouring came to.
pub(super) enum Poured {
    /// The source has ended.
    Ended,
    /// There is something else to do before it can go on.
    Interrupted,
    SourceFailed(TransferError),
    SinkFailed(io::Error),
}

/// Where bytes go now.
struct Target {
    file: Arc<File>,
    /// From where on.
    offset: u64,
    /// How many.
    room: u64,
    /// Enters so many more.
    enter: Box<dyn FnMut(u64) + Send>,
}

impl RecordingWriter {
    /// Moves bytes from the source to where they go now, until something else is to be done. What was
    /// taken and not put anywhere is pending then.
    pub(super) async fn pour<S: AsyncSource>(&mut self, source: &S) -> Poured {
        let due = self.due();
        let target = match self.target() {
            Ok(target) => target,
            Err(error) => return Poured::SinkFailed(error),
        };
        let Target { file, offset, room, mut enter } = target;
        let mut seen = 0;
        let observer = move |progress: Progress| {
            enter(progress.bytes - std::mem::replace(&mut seen, progress.bytes));
        };
        let transfer = Transfer::new(source, file).sink_offset(offset).limit(room);
        let transfer = transfer.count_in(self.counters.clone()).observe(observer);
        let transfer = match self.routes {
            Some(routes) => transfer.routes(routes),
            None => transfer,
        };
        let mut pouring = Pouring { transfer: Some(transfer), pending: &mut self.pending };
        let ended = match &mut pouring.transfer {
            Some(transfer) => until_due(transfer, due, &mut self.memory).await,
            None => None,
        };
        drop(pouring);
        match ended {
            None => Poured::Interrupted,
            Some(Ok(report)) if report.bytes() == room => Poured::Interrupted,
            Some(Ok(_)) => Poured::Ended,
            Some(Err(error)) if error.side() == Some(Side::Sink) => {
                Poured::SinkFailed(error.into())
            }
            Some(Err(error)) => Poured::SourceFailed(error),
        }
    }

    /// Puts what was taken already where bytes go now.
    pub(super) async fn put_rest(&mut self) {
        while !self.pending.is_empty() {
            self.settle().await;
            if let Err(error) = self.put_some() {
                self.fail(error).await;
            }
        }
    }

    /// Puts as much of it there as there is room for.
    pub(super) fn put_some(&mut self) -> io::Result<()> {
        let Target { file, offset, room, mut enter } = self.target()?;
        let most = usize::try_from(room).unwrap_or(usize::MAX).min(self.pending.len());
        let n = match file.write_at(&self.pending[..most], offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            written => written?,
        };
        enter(n as u64);
        self.counters.add(Route::ReadWrite, n as u64);
        self.pending.drain(..n);
        Ok(())
    }

    fn target(&self) -> io::Result<Target> {
        let shared = Arc::clone(&self.shared);
        let chunk =
            self.memory.as_ref().and_then(|memory| Some((memory.room(), memory.chunks.back()?)));
        if let Some((room, chunk)) = chunk {
            let (piece, length) = (Arc::clone(&chunk.piece), chunk.count());
            let (file, offset) = (piece.file()?, chunk.length());
            let enter = Box::new(move |n| {
                let offset = length.fetch_add(n, Ordering::AcqRel);
                shared.append(n, &piece, offset);
            });
            return Ok(Target { file, offset, room, enter });
        }
        let segment = Arc::clone(&self.current);
        let (file, offset) = (segment.piece.file()?, segment.length());
        let enter = Box::new(move |n| {
            let offset = segment.grow(shared.end(), n);
            shared.append(n, &segment.piece, offset);
        });
        Ok(Target { file, offset, room: self.room(), enter })
    }

    /// When there is something else to do, at the latest.
    fn due(&self) -> Instant {
        let other = match &self.memory {
            Some(memory) if memory.writing.is_some() => None,
            Some(memory) => Some(memory.retry),
            None => self.rotates_at(),
        };
        other.map_or(self.sync.at, |other| other.min(self.sync.at))
    }
}

/// Runs it until it ends, or something else is to be done.
async fn until_due<S: AsyncSource>(
    transfer: &mut Transfer<&S, Arc<File>>,
    due: Instant,
    memory: &mut Option<Memory>,
) -> Option<Result<fdflow::Report, TransferError>> {
    let (mut run, mut timer) = (pin!(transfer.run()), pin!(sleep_until(due)));
    poll_fn(|cx| {
        if let Poll::Ready(ended) = run.as_mut().poll(cx) {
            return Poll::Ready(Some(ended));
        }
        if timer.as_mut().poll(cx).is_ready() || poll_written(memory, cx) {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

/// Whether what was being written is written.
pub(super) fn poll_written(memory: &mut Option<Memory>, cx: &mut Context<'_>) -> bool {
    let Some(memory) = memory else { return false };
    let Some(writing) = &mut memory.writing else { return false };
    let Poll::Ready(outcome) = Pin::new(writing).poll(cx) else { return false };
    memory.writing = None;
    memory.outcome = Some(outcome.unwrap_or_else(|_| (0, Err(io::ErrorKind::Interrupted.into()))));
    true
}

/// A transfer of which nothing is lost when it is dropped.
struct Pouring<'a, S: AsyncSource> {
    transfer: Option<Transfer<&'a S, Arc<File>>>,
    pending: &'a mut Vec<u8>,
}

impl<S: AsyncSource> Drop for Pouring<'_, S> {
    fn drop(&mut self) {
        if let Some(transfer) = self.transfer.take() {
            self.pending.extend(transfer.into_parts().undelivered);
        }
    }
}
