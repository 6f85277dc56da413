//! What is done on threads that may wait for the disk, and nobody waits for.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::event::RecordingEvent;
use super::writer::RecordingWriter;

/// With so many of them a disk is slower than what it is asked for: then they are waited for.
const MOST: usize = 8;

/// Each ends with what is to be told, if anything.
#[derive(Debug, Default)]
pub(super) struct Chores(VecDeque<JoinHandle<Option<RecordingEvent>>>);

impl Chores {
    pub(super) fn begin(
        &mut self,
        chore: impl FnOnce() -> Option<RecordingEvent> + Send + 'static,
    ) {
        self.0.push_back(spawn_blocking(chore));
    }
}

/// When what was written is put on the disk.
#[derive(Debug)]
pub(super) struct Syncing {
    pub(super) at: Instant,
    /// How long the current file was when it was begun last.
    pub(super) length: u64,
    /// Held by who does it.
    running: Arc<()>,
}

impl Syncing {
    pub(super) fn new(length: u64) -> Self {
        Self { at: Instant::now(), length, running: Arc::default() }
    }
}

impl RecordingWriter {
    /// Tells what came of chores. Waits for the oldest while there are more than `most`.
    pub(super) async fn tidy(&mut self, most: usize) {
        if let Some(error) = self.current.trouble() {
            self.tell(&RecordingEvent::Trouble { what: "write the index", error });
        }
        while let Some(oldest) = self.chores.0.front_mut() {
            let ended = if oldest.is_finished() || self.chores.0.len() > most {
                // Still the first of them, if this future is dropped.
                let Some(oldest) = self.chores.0.front_mut() else { return };
                oldest.await
            } else {
                return;
            };
            self.chores.0.pop_front();
            if let Ok(Some(event)) = ended {
                self.tell(&event);
            }
        }
    }

    /// As [`tidy`](Self::tidy), with as many as there may be.
    pub(super) async fn tidy_some(&mut self) {
        self.tidy(MOST).await;
    }

    /// Tells what came of chores that have ended.
    pub(super) fn tidy_at_once(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let _ended = matches!(std::pin::pin!(self.tidy(usize::MAX)).poll(&mut cx), Poll::Ready(()));
    }

    /// Has what was written put on the disk, if it is time to.
    pub(super) fn sync_if_due(&mut self) {
        let now = Instant::now();
        if now >= self.sync.at {
            self.sync.at = now + self.options.sync;
            self.sync_now();
        }
    }

    /// Has what was written put on the disk.
    pub(super) fn sync_now(&mut self) {
        let length = self.current.length();
        let is_running = Arc::strong_count(&self.sync.running) > 1;
        if is_running || self.sync.length == length {
            return;
        }
        self.sync.length = length;
        let (current, running) = (Arc::clone(&self.current), Arc::clone(&self.sync.running));
        self.chores.begin(move || {
            let synced = current.sync();
            drop(running);
            synced.err().map(|error| RecordingEvent::Trouble { what: "put it on the disk", error })
        });
    }
}
