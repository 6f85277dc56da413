//! How a recording is kept.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::segment::Segment;
use super::shared::Shared;
use super::timeline::Timeline;
use super::writer::{RecordingWriter, Written};
use super::{Recording, names, rotation};

/// How a recording is kept: [`Recording::options`].
#[derive(Debug, Clone)]
pub struct RecordingOptions {
    pub(super) rotate_size: Option<u64>,
    pub(super) rotate_age: Option<Duration>,
    pub(super) kept: Kept,
    pub(super) memory: u64,
    pub(super) sync: Duration,
    pub(super) retry: Duration,
}

/// What is kept of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) files: Option<usize>,
    pub(super) bytes: Option<u64>,
    /// And what readers are still to get.
    pub(super) waits: bool,
}

impl Default for RecordingOptions {
    fn default() -> Self {
        Self {
            rotate_size: None,
            rotate_age: None,
            kept: Kept::default(),
            memory: 16 << 20,
            sync: Duration::from_secs(1),
            retry: Duration::from_secs(1),
        }
    }
}

impl RecordingOptions {
    /// Begin another file when this one has so many bytes.
    #[must_use]
    pub fn rotate_size(mut self, bytes: u64) -> Self {
        self.rotate_size = Some(bytes.max(1));
        self
    }

    /// Begin another file when the first byte of this one is so old.
    #[must_use]
    pub fn rotate_age(mut self, age: Duration) -> Self {
        self.rotate_age = Some(bounded(age));
        self
    }

    /// Keep so many files, the one that is written to included; the oldest is removed first.
    #[must_use]
    pub fn keep_files(mut self, files: usize) -> Self {
        self.kept.files = Some(files.max(1));
        self
    }

    /// Keep so many bytes, in whole files: the oldest is removed once those after it have as many.
    #[must_use]
    pub fn keep_bytes(mut self, bytes: u64) -> Self {
        self.kept.bytes = Some(bytes);
        self
    }

    /// While the disk takes nothing, at most so many bytes are kept in memory; 16 MiB unless set.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes.clamp(64 << 10, 1 << 50);
        self
    }

    /// Lose nothing, and make the source wait instead: while the memory is full, and (by keeping
    /// files longer than they would be) for readers that are not done with the oldest file.
    #[must_use]
    pub fn waits(mut self, waits: bool) -> Self {
        self.kept.waits = waits;
        self
    }

    /// Put what was written on the disk so often; every second unless set.
    #[must_use]
    pub fn sync_every(mut self, time: Duration) -> Self {
        self.sync = bounded(time);
        self
    }

    /// Try a disk that has failed again so often; every second unless set.
    #[must_use]
    pub fn retry_every(mut self, time: Duration) -> Self {
        self.retry = bounded(time);
        self
    }

    /// Opens a recording, or makes one, and goes on at its end. Makes blocking calls.
    ///
    /// # Errors
    ///
    /// The file or its index cannot be opened; one of them is no regular file, or the index none of a
    /// recording; another process records to it (`WouldBlock`).
    pub fn open(self, path: impl Into<PathBuf>) -> io::Result<(Recording, RecordingWriter)> {
        let path = path.into();
        let (file, lock) = rotation::open_locked(&path)?;
        rotation::recover(&path)?;
        let (mut timeline, mut segments) = (Timeline::at(0), VecDeque::new());
        let numbers = names::numbers(&path)?;
        for number in &numbers {
            let closed = Segment::closed(&names::numbered(&path, *number), &mut timeline)?;
            segments.push_back(Arc::new(closed));
        }
        let current = Arc::new(Segment::current(file, &path, &mut timeline)?);
        rotation::sync_folder(&path);
        segments.push_back(Arc::clone(&current));
        let shared = Arc::new(Shared::new(timeline, segments));
        let next = numbers.last().map_or(1, |last| last + 1);
        let place = Written { path, current, lock, next };
        let writer = RecordingWriter::new(Arc::clone(&shared), self, place);
        Ok((Recording { shared }, writer))
    }
}

/// Neither so short that nothing else is done, nor so long that no clock can tell when it ends.
fn bounded(time: Duration) -> Duration {
    time.clamp(Duration::from_millis(1), Duration::from_secs(10 * 365 * 24 * 3600))
}
