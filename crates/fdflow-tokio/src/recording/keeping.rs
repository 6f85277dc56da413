//! Other files are begun, and the oldest removed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::event::RecordingEvent;
use super::names;
use super::rotation::{self, Rotated};
use super::writer::RecordingWriter;

/// How it stands with the next file.
#[derive(Debug)]
pub(super) struct Rotation {
    /// The number that the current file gets.
    pub(super) next: u64,
    running: Option<JoinHandle<io::Result<Rotated>>>,
    /// It has failed: when it is tried again.
    again: Option<Instant>,
}

impl Rotation {
    pub(super) fn new(next: u64) -> Self {
        Self { next, running: None, again: None }
    }
}

impl RecordingWriter {
    /// How many bytes go into the current file before another is begun.
    pub(super) fn room(&self) -> u64 {
        let length = self.current.length();
        match self.options.rotate_size {
            // One that cannot be rotated grows: better too long than not there.
            Some(size) if size > length => size - length,
            _ => u64::MAX,
        }
    }

    /// When another file is due by age, or tried again.
    pub(super) fn rotates_at(&self) -> Option<Instant> {
        let left = self.rotates_in();
        if self.is_large() || left.is_some_and(|left| left.is_zero()) {
            return Some(self.rotation.again.unwrap_or_else(Instant::now));
        }
        left.map(|left| Instant::now() + left)
    }

    fn rotates_in(&self) -> Option<Duration> {
        Some(self.options.rotate_age?.saturating_sub(self.current.age()?))
    }

    fn is_large(&self) -> bool {
        let length = self.current.length();
        length > 0 && self.options.rotate_size.is_some_and(|size| length >= size)
    }

    /// Begins another file where this one is large or old enough, and removes those that are kept
    /// no longer.
    pub(super) async fn rotate_if_due(&mut self) {
        let is_running = self.rotation.running.is_some();
        if is_running || self.rotates_at().is_some_and(|at| at <= Instant::now()) {
            self.rotate().await;
        }
        self.trim();
    }

    async fn rotate(&mut self) {
        let rotation = &mut self.rotation;
        // The next byte that goes to the disk is the first in memory, if there is one.
        let at = self.memory.as_ref().and_then(|memory| Some(memory.chunks.front()?.at));
        let at = at.unwrap_or_else(|| self.shared.end());
        let running = rotation.running.get_or_insert_with(|| {
            let (old, path, next) = (Arc::clone(&self.current), self.path.clone(), rotation.next);
            spawn_blocking(move || rotation::rotate(&old, &path, next, at))
        });
        // It is awaited where it is kept: another call goes on if this one is dropped.
        let rotated = running.await.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()));
        rotation.running = None;
        match rotated {
            Ok(rotated) => self.rotated(rotated),
            Err(error) => {
                let is_new = rotation.again.is_none();
                rotation.again = Some(Instant::now() + self.options.retry);
                if is_new {
                    self.tell(&RecordingEvent::Trouble { what: "begin another file", error });
                }
            }
        }
    }

    fn rotated(&mut self, rotated: Rotated) {
        let Rotated { segment, lock, number, is_kept } = rotated;
        let old = std::mem::replace(&mut self.current, Arc::clone(&segment));
        self.lock = lock;
        self.shared.add_segment(segment);
        self.rotation = Rotation::new(number + 1);
        self.sync.length = 0;
        let (path, trouble) = (self.path.clone(), old.trouble());
        self.chores.begin(move || {
            let synced = old.sync();
            rotation::sync_folder(&path);
            if is_kept {
                old.close();
            }
            let error = trouble.map_or(synced, Err).err()?;
            Some(RecordingEvent::Trouble { what: "put a file on the disk", error })
        });
        self.tell(&RecordingEvent::Rotated { path: names::numbered(&self.path, number) });
    }

    /// Removes the oldest files, as far as they are kept no longer.
    fn trim(&mut self) {
        while let Some(oldest) = self.shared.expire(&self.options.kept) {
            self.chores.begin(move || {
                let path = oldest.path();
                Some(match oldest.remove() {
                    Ok(()) => RecordingEvent::Removed { path },
                    Err(error) => RecordingEvent::Trouble { what: "remove a file", error },
                })
            });
        }
    }
}
