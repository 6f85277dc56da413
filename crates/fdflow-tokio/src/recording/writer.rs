//! The one who writes a recording.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use fdflow::{Routes, TransferError};
use tokio::task::spawn_blocking;

use super::chores::{Chores, Syncing};
use super::event::RecordingEvent;
use super::keeping::Rotation;
use super::lock::Lock;
use super::memory::Memory;
use super::options::RecordingOptions;
use super::pouring::Poured;
use super::segment::Segment;
use super::shared::Shared;
use crate::counters::Counters;
use crate::end::AsyncSource;

type Observer = Box<dyn FnMut(&RecordingEvent) + Send>;

/// Writes a recording: there is one for each.
///
/// Dropped, it ends the recording for those who follow it; what is still in memory then is written if
/// the disk takes it at once. [`finish`](Self::finish) is the better way.
pub struct RecordingWriter {
    pub(super) shared: Arc<Shared>,
    pub(super) options: RecordingOptions,
    pub(super) path: PathBuf,
    pub(super) current: Arc<Segment>,
    pub(super) lock: Arc<Lock>,
    pub(super) rotation: Rotation,
    /// While the disk takes nothing.
    pub(super) memory: Option<Memory>,
    /// Taken from a source, and nowhere yet.
    pub(super) pending: Vec<u8>,
    pub(super) counters: Counters,
    pub(super) routes: Option<Routes>,
    pub(super) sync: Syncing,
    pub(super) chores: Chores,
    is_finished: bool,
    observer: Option<Observer>,
}

impl fmt::Debug for RecordingWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordingWriter").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The file that is written to.
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) current: Arc<Segment>,
    pub(super) lock: Arc<Lock>,
    /// The number that it gets.
    pub(super) next: u64,
}

impl RecordingWriter {
    pub(super) fn new(shared: Arc<Shared>, options: RecordingOptions, written: Written) -> Self {
        let Written { path, current, lock, next } = written;
        let sync = Syncing::new(current.length());
        Self {
            shared,
            options,
            path,
            current,
            lock,
            rotation: Rotation::new(next),
            memory: None,
            pending: Vec::new(),
            counters: Counters::new(),
            routes: None,
            sync,
            chores: Chores::default(),
            is_finished: false,
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
    /// While none is recorded nothing else is done either: no other file is begun by age, and a disk
    /// that failed is not tried again.
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
        let ended = loop {
            self.put_rest().await;
            self.settle().await;
            match self.pour(source).await {
                Poured::Interrupted => {}
                Poured::Ended => break Ok(()),
                Poured::SinkFailed(error) => self.fail(error).await,
                Poured::SourceFailed(error) => {
                    self.put_rest().await;
                    break Err(error);
                }
            }
        };
        self.sync_now();
        ended
    }

    /// Writes what is still in memory, puts everything on the disk and ends the recording.
    ///
    /// # Errors
    ///
    /// The disk does not take it: it is asked once. Followers get what is in memory all the same.
    pub async fn finish(mut self) -> io::Result<()> {
        // One that was begun has to be known of.
        self.rotate_if_due().await;
        let flushed = self.flush().await;
        self.is_finished = true;
        self.shared.finish();
        let current = Arc::clone(&self.current);
        let synced = spawn_blocking(move || current.sync()).await;
        self.tidy(0).await;
        flushed.and(synced.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())))
    }

    /// Does what is due besides taking bytes. Afterwards there is room for some.
    pub(super) async fn settle(&mut self) {
        self.tidy_some().await;
        self.sync_if_due();
        loop {
            if self.memory.is_some() {
                if self.settle_memory().await {
                    return;
                }
                continue;
            }
            match self.aim_at_disk().await {
                Ok(()) => return,
                Err(error) => self.fail(error).await,
            }
        }
    }

    /// Bytes go to the disk next: into which file, and that its index knows of gaps before them.
    pub(super) async fn aim_at_disk(&mut self) -> io::Result<()> {
        self.rotate_if_due().await;
        self.current.begin(self.shared.end())
    }

    pub(super) fn tell(&mut self, event: &RecordingEvent) {
        if let Some(observer) = &mut self.observer {
            observer(event);
        }
    }
}

impl Drop for RecordingWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            self.flush_at_once();
        }
        self.tidy_at_once();
        self.shared.finish();
    }
}
