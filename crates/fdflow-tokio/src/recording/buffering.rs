//! While the disk takes nothing, bytes go into memory, and from there to the disk once it does again.

use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};

use super::event::RecordingEvent;
use super::memory::{Memory, Writing};
use super::pouring::poll_written;
use super::writer::RecordingWriter;

/// Without memory for a file in memory, so long is rested.
const REST: Duration = Duration::from_millis(100);

impl RecordingWriter {
    /// From now on bytes go into memory.
    pub(super) async fn fail(&mut self, error: io::Error) {
        let Some(memory) = &mut self.memory else {
            let retry = Instant::now() + self.options.retry;
            self.memory = Some(Memory::new(self.options.memory, retry));
            self.tell(&RecordingEvent::Failing { at: self.shared.end(), error });
            return;
        };
        if !std::mem::replace(&mut memory.is_told, true) {
            self.tell(&RecordingEvent::Trouble { what: "keep bytes in memory", error });
        }
        sleep(REST).await;
    }

    /// A step towards a disk that has all that is in memory. Whether there is room for more now.
    pub(super) async fn settle_memory(&mut self) -> bool {
        let Some(memory) = &mut self.memory else { return false };
        if let Some((n, result)) = memory.outcome.take() {
            self.wrote(n, result.is_ok());
            return false;
        }
        if memory.writing.is_none() && Instant::now() >= memory.retry {
            self.rotate_if_due().await;
            self.write();
            return false;
        }
        if memory.writing.is_some() && memory.recovers && memory.left() <= memory.piece() {
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

    /// Begins to write the oldest bytes to the disk, if there are any.
    fn write(&mut self) {
        let room = self.room();
        let Some(memory) = &mut self.memory else { return };
        let writing = Writing::of(memory, room, &self.shared, &self.current, &self.lock);
        match writing.filter(|_| memory.left() > 0) {
            Some(writing) => memory.writing = Some(spawn_blocking(move || writing.run())),
            None => self.resumed(),
        }
    }

    /// Another piece of memory, in place of the oldest if there are as many as there may be.
    async fn make_room(&mut self) {
        let end = self.shared.end();
        let Some(memory) = &mut self.memory else { return };
        if !memory.is_full() {
            if let Err(error) = memory.add(end) {
                self.fail(error).await;
            }
            return;
        }
        if memory.writing.is_some() {
            self.written().await;
        } else if self.options.kept.waits {
            sleep_until(memory.retry).await;
        } else if let Some(oldest) = memory.chunks.pop_front() {
            memory.missing += oldest.left();
            self.shared.withdraw(&oldest.piece);
            self.tell(&RecordingEvent::Lost { at: oldest.at, bytes: oldest.left() });
        }
    }

    /// Waits for what is being written.
    async fn written(&mut self) {
        let memory = &mut self.memory;
        poll_fn(|cx| if poll_written(memory, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// The disk has taken so many of the bytes in memory: all that it was given, or not.
    fn wrote(&mut self, n: u64, all: bool) {
        let Some(memory) = &mut self.memory else { return };
        memory.recovers = all;
        memory.retry = Instant::now();
        if !all {
            memory.retry += self.options.retry;
        }
        if let Some(piece) = memory.advance(n) {
            self.shared.withdraw(&piece);
        }
        if all && self.memory.as_ref().is_some_and(|memory| memory.left() == 0) {
            self.resumed();
        }
    }

    /// The disk has everything.
    fn resumed(&mut self) {
        let Some(memory) = self.memory.take() else { return };
        for chunk in &memory.chunks {
            // Nobody is to hold memory that is not needed.
            self.shared.withdraw(&chunk.piece);
        }
        let at = self.shared.end();
        self.tell(&RecordingEvent::Resumed { at, missing: memory.missing });
    }

    /// Tries once to write everything that was taken. What the disk does not take is for those who
    /// follow, and lost to the recording.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        let flushed = self.write_everything().await;
        if flushed.is_err() {
            self.give_up();
        }
        flushed
    }

    async fn write_everything(&mut self) -> io::Result<()> {
        if self.memory.as_ref().is_some_and(|memory| memory.writing.is_some()) {
            self.written().await;
        }
        while let Some(memory) = &mut self.memory {
            if let Some((n, result)) = memory.outcome.take() {
                // What began before this is tried again.
                self.wrote(n, result.is_ok());
                continue;
            }
            self.rotate_if_due().await;
            self.write();
            self.written_if_any().await?;
        }
        while !self.pending.is_empty() {
            self.aim_at_disk().await?;
            self.put_some()?;
        }
        Ok(())
    }

    async fn written_if_any(&mut self) -> io::Result<()> {
        if self.memory.is_none() {
            return Ok(());
        }
        self.written().await;
        let outcome = self.memory.as_mut().and_then(|memory| memory.outcome.take());
        let Some((n, result)) = outcome else { return Ok(()) };
        self.wrote(n, result.is_ok());
        result
    }

    /// As [`flush`](Self::flush), without a runtime: for who did not wait for it.
    pub(super) fn flush_at_once(&mut self) {
        while let Some(memory) = self.memory.as_mut().filter(|memory| memory.writing.is_none()) {
            let writing = Writing::of(memory, u64::MAX, &self.shared, &self.current, &self.lock);
            let Some(writing) = writing.filter(|_| memory.left() > 0) else {
                self.resumed();
                break;
            };
            let (n, result) = writing.run();
            self.wrote(n, result.is_ok());
            if result.is_err() {
                break;
            }
        }
        while self.memory.is_none() && !self.pending.is_empty() {
            if self.current.begin(self.shared.end()).and_then(|()| self.put_some()).is_err() {
                break;
            }
        }
        if self.memory.is_some() || !self.pending.is_empty() {
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        let retry = Instant::now();
        let end = self.shared.end();
        let memory = self.memory.get_or_insert_with(|| Memory::new(self.options.memory, retry));
        let kept = memory.left();
        let bytes = kept + self.pending.len() as u64;
        if memory.add(end).is_ok() {
            self.keep_pending();
        }
        self.tell(&RecordingEvent::Lost { at: end - kept, bytes });
    }

    /// Those who follow get it all the same.
    fn keep_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let chunk = self.memory.as_ref().and_then(|memory| memory.chunks.back());
        let Some(chunk) = chunk.filter(|_| !pending.is_empty()) else { return };
        let written = chunk.piece.file().and_then(|file| file.write_all_at(&pending, 0));
        if written.is_ok() {
            chunk.count().store(pending.len() as u64, Ordering::Release);
            self.shared.append(pending.len() as u64, &chunk.piece, 0);
        }
    }
}
