//! How a recording is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::segment::Segment;
use super::shared::Shared;
use super::timeline::Timeline;
use super::writer::RecordingWriter;
use super::{Recording, names};

/// How a recording is kept: [`Recording::options`].
#[derive(Debug, Clone)]
pub struct RecordingOptions {
    pub(super) rotate_size: Option<u64>,
    pub(super) rotate_age: Option<Duration>,
    pub(super) keep_files: Option<usize>,
    pub(super) keep_bytes: Option<u64>,
    pub(super) memory: u64,
    pub(super) waits: bool,
    pub(super) sync: Duration,
    pub(super) retry: Duration,
}

impl Default for RecordingOptions {
    fn default() -> Self {
        Self {
            rotate_size: None,
            rotate_age: None,
            keep_files: None,
            keep_bytes: None,
            memory: 16 << 20,
            waits: false,
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
        self.rotate_age = Some(age);
        self
    }

    /// Keep so many files, the one that is written to included; the oldest is removed first.
    #[must_use]
    pub fn keep_files(mut self, files: usize) -> Self {
        self.keep_files = Some(files.max(1));
        self
    }

    /// Keep so many bytes, in whole files: the oldest is removed once those after it have as many.
    #[must_use]
    pub fn keep_bytes(mut self, bytes: u64) -> Self {
        self.keep_bytes = Some(bytes);
        self
    }

    /// While the disk takes nothing, at most so many bytes are kept in memory; 16 MiB unless set.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes.max(64 << 10);
        self
    }

    /// Lose nothing, and make the source wait instead: while the memory is full, and (by keeping
    /// files longer than they would be) for readers that are not done with the oldest file.
    #[must_use]
    pub fn waits(mut self, waits: bool) -> Self {
        self.waits = waits;
        self
    }

    /// Put what was written on the disk so often; every second unless set.
    #[must_use]
    pub fn sync_every(mut self, time: Duration) -> Self {
        self.sync = time;
        self
    }

    /// Try a disk that has failed again so often; every second unless set.
    #[must_use]
    pub fn retry_every(mut self, time: Duration) -> Self {
        self.retry = time;
        self
    }

    /// Opens a recording, or makes one, and goes on at its end. Makes blocking calls.
    ///
    /// # Errors
    ///
    /// The file or its index cannot be opened; it is no regular file; another process records to
    /// it (`WouldBlock`).
    pub fn open(self, path: impl Into<PathBuf>) -> io::Result<(Recording, RecordingWriter)> {
        let path = path.into();
        finish_rotation(&path)?;
        let mut timeline = Timeline::at(0);
        let mut segments = Vec::new();
        let numbers = names::numbers(&path)?;
        for number in &numbers {
            let closed = Segment::open_closed(&names::numbered(&path, *number), &mut timeline)?;
            segments.push(Arc::new(closed));
        }
        let current = Arc::new(Segment::open(&path, &mut timeline)?);
        segments.push(Arc::clone(&current));
        let shared = Arc::new(Shared::new(timeline, segments));
        let next = numbers.last().map_or(1, |last| last + 1);
        let writer = RecordingWriter::new(Arc::clone(&shared), self, path, current, next);
        Ok((Recording { shared }, writer))
    }
}

/// A process that was ended between the two names of a rotation left the index where it was.
fn finish_rotation(path: &Path) -> io::Result<()> {
    let last = names::numbers(path)?.last().map(|last| names::numbered(path, *last));
    if let Some(last) = last.filter(|last| !names::index_of(last).exists() && !path.exists())
        && names::index_of(path).exists()
    {
        std::fs::rename(names::index_of(path), names::index_of(&last))?;
    }
    Ok(())
}
