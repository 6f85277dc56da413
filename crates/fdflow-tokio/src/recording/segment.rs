//! One file of a recording, with its index.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::index::{self, Index, Outline};
use super::names;
use super::piece::{Piece, open_regular};
use super::timeline::Timeline;
use crate::locked;

/// A file of a recording.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) piece: Arc<Piece>,
    path: Mutex<PathBuf>,
    index: Mutex<Lines>,
    length: AtomicU64,
    /// When its first byte came, by the clock that is never set.
    born: OnceLock<Instant>,
    /// The time of the index's first line.
    since: OnceLock<SystemTime>,
    /// What went wrong with the index since somebody asked.
    trouble: Mutex<Option<io::Error>>,
}

/// Its index.
#[derive(Debug)]
enum Lines {
    /// While the file is written to.
    Open(Index),
    /// So many lines of it hold.
    Closed(u64),
}

impl Lines {
    fn open(&mut self) -> Option<&mut Index> {
        match self {
            Self::Open(index) => Some(index),
            Self::Closed(_) => None,
        }
    }
}

impl Segment {
    /// The file that is written to; enters what is in it.
    pub(super) fn current(
        file: Arc<File>,
        path: &Path,
        timeline: &mut Timeline<Piece>,
    ) -> io::Result<Self> {
        let length = file.metadata()?.len();
        let (index, outline) = Index::open(&names::index_of(path), length)?;
        let piece = Piece::open(file);
        enter(timeline, &piece, &outline, length);
        Ok(Self::new(piece, path, Lines::Open(index), &outline, length))
    }

    /// One that was written to before.
    pub(super) fn closed(path: &Path, timeline: &mut Timeline<Piece>) -> io::Result<Self> {
        let length = open_regular(path, OpenOptions::new().read(true))?.metadata()?.len();
        let outline = index::read(&names::index_of(path), length)?;
        let piece = Piece::closed(path.to_owned());
        enter(timeline, &piece, &outline, length);
        Ok(Self::new(piece, path, Lines::Closed(outline.entries), &outline, length))
    }

    /// One that nothing was written to yet.
    pub(super) fn fresh(file: Arc<File>, path: &Path, index: Index) -> Self {
        Self::new(Piece::open(file), path, Lines::Open(index), &Outline::default(), 0)
    }

    fn new(piece: Arc<Piece>, path: &Path, index: Lines, outline: &Outline, length: u64) -> Self {
        let (born, since) = (OnceLock::new(), OnceLock::new());
        if length > 0 {
            let age = outline.born.and_then(|born| born.elapsed().ok()).unwrap_or_default();
            let now = Instant::now();
            born.get_or_init(|| now.checked_sub(age).unwrap_or(now));
        }
        if let Some(first) = outline.stretches.first() {
            since.get_or_init(|| first.time);
        }
        Self {
            piece,
            path: Mutex::new(path.to_owned()),
            index: Mutex::new(index),
            length: AtomicU64::new(length),
            born,
            since,
            trouble: Mutex::default(),
        }
    }

    /// What it is called.
    pub(super) fn path(&self) -> PathBuf {
        locked(&self.path).clone()
    }

    /// How many bytes are in it.
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Bytes from `at` of the stream on are about to be written to its end.
    pub(super) fn begin(&self, at: u64) -> io::Result<()> {
        let now = SystemTime::now();
        let mut lines = locked(&self.index);
        let Some(index) = lines.open() else { return Ok(()) };
        index.begin(at, self.length(), now)?;
        self.since.get_or_init(|| index::stamp(now));
        Ok(())
    }

    /// It has got `n` bytes more, the first of them at `at` of the stream.
    /// Where they are in it.
    pub(super) fn grow(&self, at: u64, n: u64) -> u64 {
        let offset = self.length.fetch_add(n, Ordering::AcqRel);
        self.born.get_or_init(Instant::now);
        if let Some(index) = locked(&self.index).open()
            && let Err(error) = index.note(at, offset, SystemTime::now())
        {
            *locked(&self.trouble) = Some(error);
        }
        offset
    }

    /// How long ago its first byte came.
    pub(super) fn age(&self) -> Option<Duration> {
        self.born.get().map(Instant::elapsed)
    }

    /// What went wrong with the index since this was asked last.
    pub(super) fn trouble(&self) -> Option<io::Error> {
        locked(&self.trouble).take()
    }

    /// The last byte that came before this time, or at it.
    pub(super) fn at(&self, time: SystemTime) -> io::Result<Option<u64>> {
        if self.since.get().is_none_or(|since| *since > time) {
            return Ok(None);
        }
        let entry = match &*locked(&self.index) {
            Lines::Open(index) => index.at(time)?,
            Lines::Closed(lines) => index::at(&names::index_of(&self.path()), *lines, time)?,
        };
        Ok(entry.map(|entry| entry.at))
    }

    /// Puts what was written on the disk. May take long.
    pub(super) fn sync(&self) -> io::Result<()> {
        // Not while it is locked: who writes would wait for the disk too. And first, so that no byte
        // behind a gap is on the disk without the line that says so.
        let index = locked(&self.index).open().map(|index| index.file()).transpose()?;
        if let Some(index) = index {
            index.sync_data()?;
        }
        let (file, length) = (self.piece.file()?, self.length());
        file.sync_data()?;
        if file.metadata()?.len() < length {
            let message = "somebody cut it: bytes that were recorded are not there any more";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, message));
        }
        Ok(())
    }

    /// It has another name now.
    pub(super) fn renamed(&self, to: &Path) {
        to.clone_into(&mut locked(&self.path));
    }

    /// It is written to no longer, and everything is on the disk.
    pub(super) fn close(&self) {
        self.piece.close(self.path());
        let mut lines = locked(&self.index);
        if let Lines::Open(index) = &*lines {
            *lines = Lines::Closed(index.entries());
        }
    }

    /// Takes both files away.
    pub(super) fn remove(&self) -> io::Result<()> {
        let path = self.path();
        remove(&path)?;
        remove(&names::index_of(&path))
    }
}

/// Removes a file. That somebody else has done so is no failure.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(super::piece::of(path, &error))
        }
        _ => Ok(()),
    }
}

/// Enters what the index says of a file. What it does not know came right behind the last.
fn enter(timeline: &mut Timeline<Piece>, piece: &Arc<Piece>, outline: &Outline, length: u64) {
    let mut offset = 0;
    let mut stretches = outline.stretches.iter().peekable();
    // Before the first line, and where the bytes before them are not what the lines take them for
    // (a file that was put there by hand), bytes have the place that is next.
    let before = stretches.peek().map_or(0, |first| first.at - first.offset);
    timeline.advance(before);
    while offset < length || stretches.peek().is_some() {
        if let Some(entry) = stretches.next_if(|entry| entry.offset <= offset) {
            timeline.advance(entry.at);
            continue;
        }
        let until = stretches.peek().map_or(length, |next| next.offset);
        timeline.append(timeline.end(), until - offset, piece, offset);
        offset = until;
    }
}
