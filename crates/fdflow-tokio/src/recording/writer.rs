//! The one who writes a recording.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::SystemTime;

use fdflow::{Progress, Routes, Side, TransferError};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::event::RecordingEvent;
use super::memory::{Memory, Written};
use super::names;
use super::options::RecordingOptions;
use super::segment::Segment;
use super::shared::Shared;
use super::timeline::Timeline;
use crate::counters::Counters;
use crate::end::AsyncSource;
use crate::transfer::Transfer;

/// Without memory for a file in memory, so long is rested.
const REST: std::time::Duration = std::time::Duration::from_millis(100);

type Observer = Box<dyn FnMut(&RecordingEvent) + Send>;

/// Writes a recording: there is one for each. Dropped, it ends the recording for those who follow it.
pub struct RecordingWriter {
    shared: Arc<Shared>,
    options: RecordingOptions,
    path: PathBuf,
    current: Arc<Segment>,
    /// The number that the current file gets.
    next: u64,
    /// While the disk takes nothing.
    memory: Option<Memory>,
    /// Taken from a source, and nowhere yet.
    pending: Vec<u8>,
    counters: Counters,
    routes: Option<Routes>,
    sync: Syncing,
    observer: Option<Observer>,
}

impl fmt::Debug for RecordingWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Syncing {
    at: Instant,
    /// How far the recording was when it was begun last.
    until: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

/// What pouring came to.
enum Poured {
    /// The source has ended.
    Ended,
    /// There is something else to do before it can go on.
    Interrupted,
    SourceFailed(TransferError),
    SinkFailed(TransferError),
}

impl RecordingWriter {
    pub(super) fn new(
        shared: Arc<Shared>,
        options: RecordingOptions,
        path: PathBuf,
        current: Arc<Segment>,
        next: u64,
    ) -> Self {
        let sync = Syncing { at: Instant::now(), until: shared.end(), running: None };
        Self {
            shared,
            options,
            path,
            current,
            next,
            memory: None,
            pending: Vec::new(),
            counters: Counters::new(),
            routes: None,
            sync,
            observer: None,
        }
    }

    /// Calls `observer` with what happens besides growing.
    #[must_use]
    pub fn observe(mut self, observer: impl FnMut(&RecordingEvent) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Takes bytes by these routes only, whatever `FDFLOW_DENY` says.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes = Some(routes);
        self
    }

    /// Bytes that were recorded by this writer, by route, to be read while it runs.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Records everything from `source`, behind what is there. Another source may follow.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time: what was taken from the source is kept, and goes
    /// before what the next source has.
    ///
    /// # Errors
    ///
    /// The source fails, after everything that was taken from it is recorded. What the disk does is
    /// told by [`RecordingEvent`]s.
    pub async fn record<S: AsyncSource>(&mut self, source: &S) -> Result<(), TransferError> {
        loop {
            self.settle().await;
            match self.pour(source).await {
                Poured::Interrupted => {}
                Poured::Ended => return Ok(()),
                Poured::SinkFailed(error) => self.fail(error.into()).await,
                Poured::SourceFailed(error) => {
                    self.pour_rest().await;
                    return Err(error);
                }
            }
        }
    }

    /// Writes what is still in memory, puts everything on the disk and ends the recording.
    ///
    /// # Errors
    ///
    /// The disk does not take it. Followers get what is in memory all the same.
    pub async fn finish(mut self) -> io::Result<()> {
        self.pour_rest().await;
        let flushed = self.flush().await;
        self.shared.finish();
        let current = Arc::clone(&self.current);
        let synced = spawn_blocking(move || current.sync()).await;
        self.harvest_trouble();
        flushed.and(synced.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())))
    }

    /// Records what was taken already.
    async fn pour_rest(&mut self) {
        while !self.pending.is_empty() {
            self.settle().await;
            if let Poured::SinkFailed(error) = self.pour(&Nothing).await {
                self.fail(error.into()).await;
            }
        }
    }

    /// Moves bytes from the source to where they go now, until something else is to be done.
    async fn pour<S: AsyncSource>(&mut self, source: &S) -> Poured {
        let due = self.due();
        let (file, offset, room, observer) = self.target();
        let transfer = Transfer::new(source, file)
            .sink_offset(offset)
            .limit(room)
            .prefix(std::mem::take(&mut self.pending))
            .count_in(self.counters.clone())
            .observe(observer);
        let transfer = match self.routes {
            Some(routes) => transfer.routes(routes),
            None => transfer,
        };
        let mut pouring = Pouring { transfer: Some(transfer), pending: &mut self.pending };
        let ended = match &mut pouring.transfer {
            Some(transfer) => {
                let mut run = pin!(transfer.run());
                let mut timer = pin!(sleep_until(due));
                let memory = &mut self.memory;
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
            None => None,
        };
        drop(pouring);
        match ended {
            None => Poured::Interrupted,
            Some(Ok(report)) if report.bytes() == room => Poured::Interrupted,
            Some(Ok(_)) => Poured::Ended,
            Some(Err(error)) if error.side() == Some(Side::Sink) => Poured::SinkFailed(error),
            Some(Err(error)) => Poured::SourceFailed(error),
        }
    }

    /// The file that bytes go into, from where on, how many, and who enters them.
    #[expect(clippy::type_complexity, reason = "said in the line above, and used once")]
    fn target(&self) -> (Arc<std::fs::File>, u64, u64, Box<dyn FnMut(Progress) + Send>) {
        let shared = Arc::clone(&self.shared);
        let mut seen = 0;
        if let Some((memory, chunk)) =
            self.memory.as_ref().and_then(|m| Some((m, m.chunks.back()?)))
        {
            let (piece, length) = (Arc::clone(&chunk.piece), chunk.count());
            let enter = move |progress: Progress| {
                let n = progress.bytes - std::mem::replace(&mut seen, progress.bytes);
                let offset = length.fetch_add(n, Ordering::AcqRel);
                shared.append(shared.end(), n, &piece, offset);
            };
            return (Arc::clone(&chunk.piece.file), chunk.length(), memory.room(), Box::new(enter));
        }
        let segment = Arc::clone(&self.current);
        let length = segment.length();
        let room = self.options.rotate_size.map_or(u64::MAX, |size| size.saturating_sub(length));
        let file = Arc::clone(&segment.piece.file);
        let enter = move |progress: Progress| {
            let n = progress.bytes - std::mem::replace(&mut seen, progress.bytes);
            let at = shared.end();
            let offset = segment.grow(at, n);
            shared.append(at, n, &segment.piece, offset);
        };
        (file, length, room, Box::new(enter))
    }

    /// When there is something else to do, at the latest.
    fn due(&self) -> Instant {
        let mut due = self.sync.at;
        if let Some(memory) = self.memory.as_ref().filter(|memory| memory.writing.is_none()) {
            due = due.min(memory.retry);
        }
        match self.rotates_in() {
            Some(left) => due.min(Instant::now() + left),
            None => due,
        }
    }

    /// How long the current file is still to be written to; `None`: not bounded by time.
    fn rotates_in(&self) -> Option<std::time::Duration> {
        let age = self.options.rotate_age?;
        let since = SystemTime::now().duration_since(self.current.born()?).unwrap_or_default();
        Some(age.saturating_sub(since))
    }

    /// Does what is due besides taking bytes. Afterwards there is room for some.
    async fn settle(&mut self) {
        self.harvest_trouble();
        self.sync();
        loop {
            if self.memory.is_some() {
                if self.settle_memory().await {
                    return;
                }
                continue;
            }
            match self.rotate_if_due().await {
                Ok(()) => return,
                Err(error) => self.fail(error).await,
            }
        }
    }

    /// A step towards a disk that has all that is in memory. Whether there is room for more now.
    async fn settle_memory(&mut self) -> bool {
        let Some(memory) = &mut self.memory else { return false };
        if let Some(written) = memory.written.take() {
            self.wrote(written);
            return false;
        }
        let is_due = Instant::now() >= memory.retry;
        if memory.writing.is_none() && memory.left() > 0 && is_due {
            self.write_again().await;
            return false;
        }
        if memory.writing.is_some() && memory.left() <= memory.piece() {
            // So little that it is waited for: afterwards the disk has everything.
            self.written().await;
            return false;
        }
        if memory.room() > 0 {
            return true;
        }
        self.make_room().await;
        false
    }

    /// Tries the disk again.
    async fn write_again(&mut self) {
        let rotated = self.rotate_if_due().await;
        let Some(memory) = &mut self.memory else { return };
        match rotated {
            Ok(()) => memory.write_to(&self.current),
            Err(_) => memory.retry = Instant::now() + self.options.retry,
        }
    }

    /// Another piece of memory, in place of the oldest if there are as many as there may be.
    async fn make_room(&mut self) {
        let end = self.shared.end();
        let Some(memory) = &mut self.memory else { return };
        if memory.is_full() {
            if self.options.waits || memory.writing.is_some() {
                self.wait_for_disk().await;
                return;
            }
            if let Some(oldest) = memory.chunks.pop_front() {
                memory.missing += oldest.left();
                let lost = RecordingEvent::Lost { at: oldest.at, bytes: oldest.left() };
                self.shared.withdraw(&oldest.piece);
                self.tell(&lost);
            }
            return;
        }
        if memory.add(end).is_err() {
            tokio::time::sleep(REST).await;
        }
    }

    /// Until something was written, or it is time to try.
    async fn wait_for_disk(&mut self) {
        let Some(memory) = &self.memory else { return };
        if memory.writing.is_some() {
            self.written().await;
        } else {
            sleep_until(memory.retry).await;
        }
    }

    /// Waits for what is being written.
    async fn written(&mut self) {
        let memory = &mut self.memory;
        poll_fn(|cx| if poll_written(memory, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// The disk has taken some of what was in memory, or none.
    fn wrote(&mut self, (n, result): Written) {
        let Some(memory) = &mut self.memory else { return };
        let Some(chunk) = memory.chunks.front() else { return };
        let at = chunk.at;
        if n > 0 {
            let offset = self.current.grow(at, n);
            self.shared.move_to(at, n, &self.current.piece, offset);
            memory.advance(n);
        }
        match result {
            Err(_) => memory.retry = Instant::now() + self.options.retry,
            Ok(()) if memory.left() == 0 => {
                let missing = memory.missing;
                self.memory = None;
                self.tell(&RecordingEvent::Resumed { at: self.shared.end(), missing });
            }
            Ok(()) => memory.retry = Instant::now(),
        }
    }

    /// From now on bytes go into memory.
    async fn fail(&mut self, error: io::Error) {
        if self.memory.is_some() {
            // There is not even memory.
            tokio::time::sleep(REST).await;
        } else {
            let retry = Instant::now() + self.options.retry;
            self.memory = Some(Memory::new(self.options.memory, retry));
            self.tell(&RecordingEvent::Failing { at: self.shared.end(), error });
        }
    }

    /// Tries once to write all that is in memory.
    async fn flush(&mut self) -> io::Result<()> {
        while let Some(memory) = &mut self.memory {
            if memory.writing.is_none() && memory.written.is_none() {
                if memory.left() == 0 {
                    self.memory = None;
                    return Ok(());
                }
                memory.write_to(&self.current);
            }
            self.written().await;
            let Some(written) = self.memory.as_mut().and_then(|memory| memory.written.take())
            else {
                continue;
            };
            let failed = written.1.as_ref().err().map(|error| (error.kind(), error.to_string()));
            self.wrote(written);
            if let Some((kind, text)) = failed {
                let left = self.memory.as_ref().map_or(0, Memory::left);
                self.tell(&RecordingEvent::Lost { at: self.shared.end() - left, bytes: left });
                return Err(io::Error::new(kind, text));
            }
        }
        Ok(())
    }

    /// Begins another file where this one is large or old enough, and removes those that are kept
    /// no longer.
    async fn rotate_if_due(&mut self) -> io::Result<()> {
        let length = self.current.length();
        let is_large = self.options.rotate_size.is_some_and(|size| length >= size);
        let is_old = self.rotates_in().is_some_and(|left| left.is_zero());
        if length > 0 && (is_large || is_old) {
            self.rotate().await?;
        }
        self.trim();
        Ok(())
    }

    async fn rotate(&mut self) -> io::Result<()> {
        let (old, path) = (Arc::clone(&self.current), self.path.clone());
        let closed = names::numbered(&path, self.next);
        let to = closed.clone();
        let end = self.shared.end();
        let opened = spawn_blocking(move || {
            if *crate::locked(&old.path) == path {
                old.close(to)?;
            }
            Segment::open(&path, &mut Timeline::at(end))
        });
        let opened = opened.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))?;
        let opened = Arc::new(opened);
        let old = std::mem::replace(&mut self.current, Arc::clone(&opened));
        self.shared.add_segment(opened);
        self.next += 1;
        // Its end is not on the disk yet; nobody waits for that.
        drop(spawn_blocking(move || old.sync()));
        self.tell(&RecordingEvent::Rotated { path: closed });
        Ok(())
    }

    /// Removes the oldest files, as far as they are kept no longer.
    fn trim(&mut self) {
        if self.options.keep_files.is_none() && self.options.keep_bytes.is_none() {
            return;
        }
        loop {
            let segments = self.shared.segments();
            let Some((oldest, others)) = segments.split_first() else { return };
            let bytes: u64 = others.iter().map(|segment| segment.length()).sum();
            let many = self.options.keep_files.is_some_and(|files| segments.len() > files);
            let large = self.options.keep_bytes.is_some_and(|most| bytes >= most);
            if others.is_empty() || !(many || large) {
                return;
            }
            if self.options.waits && self.shared.is_oldest_needed() {
                return;
            }
            self.shared.drop_oldest();
            let path = crate::locked(&oldest.path).clone();
            match oldest.remove() {
                Ok(()) => self.tell(&RecordingEvent::Removed { path }),
                Err(error) => self.tell(&RecordingEvent::Trouble { what: "remove a file", error }),
            }
        }
    }

    /// Has what was written put on the disk, if it is time to.
    fn sync(&mut self) {
        if Instant::now() < self.sync.at {
            return;
        }
        self.sync.at = Instant::now() + self.options.sync;
        let is_running = self.sync.running.as_ref().is_some_and(|running| !running.is_finished());
        let end = self.shared.end();
        if is_running || self.sync.until == end {
            return;
        }
        self.sync.until = end;
        let current = Arc::clone(&self.current);
        self.sync.running = Some(spawn_blocking(move || current.sync()));
    }

    /// Tells what went wrong beside.
    fn harvest_trouble(&mut self) {
        if let Some(error) = self.current.trouble() {
            self.tell(&RecordingEvent::Trouble { what: "write the index", error });
        }
        let Some(running) = self.sync.running.as_mut().filter(|running| running.is_finished())
        else {
            return;
        };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let synced = Pin::new(running).poll(&mut cx);
        self.sync.running = None;
        if let Poll::Ready(Ok(Err(error))) = synced {
            self.tell(&RecordingEvent::Trouble { what: "put it on the disk", error });
        }
    }

    fn tell(&mut self, event: &RecordingEvent) {
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }
}

impl Drop for RecordingWriter {
    fn drop(&mut self) {
        self.shared.finish();
        self.current.unlock();
    }
}

/// Whether what was being written is written.
fn poll_written(memory: &mut Option<Memory>, cx: &mut Context<'_>) -> bool {
    let Some(memory) = memory else { return false };
    let Some(writing) = &mut memory.writing else { return false };
    let Poll::Ready(written) = Pin::new(writing).poll(cx) else { return false };
    memory.writing = None;
    memory.written = Some(written.unwrap_or_else(|_| (0, Err(io::ErrorKind::Interrupted.into()))));
    true
}

/// A transfer of which nothing is lost when it is dropped.
struct Pouring<'a, S: AsyncSource> {
    transfer: Option<Transfer<&'a S, Arc<std::fs::File>>>,
    pending: &'a mut Vec<u8>,
}

impl<S: AsyncSource> Drop for Pouring<'_, S> {
    fn drop(&mut self) {
        if let Some(transfer) = self.transfer.take() {
            *self.pending = transfer.into_parts().undelivered;
        }
    }
}

/// A source without a byte.
struct Nothing;

impl AsyncSource for Nothing {
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        call()
    }
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn read(&self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}
