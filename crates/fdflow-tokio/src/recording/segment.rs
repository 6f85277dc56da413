//! One file of a recording, with its index.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use rustix::fs::FlockOperation;

use super::index::{Entry, Index};
use super::names;
use super::timeline::Timeline;
use crate::locked;

/// A file that bytes of the stream are in: of the recording, or in memory.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) file: Arc<File>,
    /// Its bytes are kept no longer: who still sends some is to stop.
    withdrawn: AtomicBool,
}

impl Piece {
    pub(super) fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file: Arc::new(file), withdrawn: AtomicBool::new(false) })
    }

    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }
}

/// A file of a recording.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) piece: Arc<Piece>,
    pub(super) path: Mutex<PathBuf>,
    index: Mutex<Index>,
    length: AtomicU64,
    /// When its first byte came.
    born: OnceLock<SystemTime>,
    /// What went wrong with the index since somebody asked.
    trouble: Mutex<Option<io::Error>>,
}

impl Segment {
    /// Opens the file that is written to, or makes it, and locks it; enters what is in it.
    pub(super) fn open(path: &Path, timeline: &mut Timeline<Piece>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| {
            let message = "another process records to it: end that one, or name another file";
            match errno {
                rustix::io::Errno::WOULDBLOCK => io::Error::new(io::ErrorKind::WouldBlock, message),
                errno => errno.into(),
            }
        })?;
        Self::enter(file, path, timeline)
    }

    /// One that was written to before.
    pub(super) fn open_closed(path: &Path, timeline: &mut Timeline<Piece>) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Self::enter(file, path, timeline)
    }

    fn enter(file: File, path: &Path, timeline: &mut Timeline<Piece>) -> io::Result<Self> {
        let facts = file.metadata()?;
        if !facts.is_file() {
            let message = "it is no regular file, and cannot be read again";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let length = facts.len();
        let (index, entries) = Index::open(&names::index_of(path), length)?;
        let born = OnceLock::new();
        if length > 0 {
            born.get_or_init(|| entries.first().map_or_else(SystemTime::now, |first| first.time));
        }
        let piece = Piece::new(file);
        enter(timeline, &piece, &entries, length);
        let (path, index) = (Mutex::new(path.to_owned()), Mutex::new(index));
        let (length, trouble) = (AtomicU64::new(length), Mutex::default());
        Ok(Self { piece, path, index, length, born, trouble })
    }

    /// From now on another process may record to it.
    pub(super) fn unlock(&self) {
        // It is unlocked at the latest when nobody has it open.
        let _unlocked = rustix::fs::flock(&*self.piece.file, FlockOperation::Unlock).is_ok();
    }

    /// How many bytes are in it.
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// It has got `n` bytes more, the first of them at `at` of the stream.
    /// Where they are in it.
    pub(super) fn grow(&self, at: u64, n: u64) -> u64 {
        let offset = self.length.fetch_add(n, Ordering::AcqRel);
        let now = SystemTime::now();
        self.born.get_or_init(|| now);
        if let Err(error) = locked(&self.index).note(at, offset, now) {
            *locked(&self.trouble) = Some(error);
        }
        offset
    }

    /// When its first byte came.
    pub(super) fn born(&self) -> Option<SystemTime> {
        self.born.get().copied()
    }

    /// What went wrong with the index since this was asked last.
    pub(super) fn trouble(&self) -> Option<io::Error> {
        locked(&self.trouble).take()
    }

    /// The last byte that came before this time, or at it.
    pub(super) fn at(&self, time: SystemTime) -> io::Result<Option<u64>> {
        Ok(locked(&self.index).at(time)?.map(|entry| entry.at))
    }

    /// Puts what was written on the disk. May take long.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.piece.file.sync_data()?;
        // Not while it is locked: who writes would wait for the disk too.
        let index = locked(&self.index).file()?;
        index.sync_data()
    }

    /// Gives it, and its index, the name of one that is not written to any more.
    pub(super) fn close(&self, to: PathBuf) -> io::Result<()> {
        let mut path = locked(&self.path);
        std::fs::rename(&*path, &to)?;
        std::fs::rename(names::index_of(&path), names::index_of(&to))?;
        *path = to;
        Ok(())
    }

    /// Takes both files away.
    pub(super) fn remove(&self) -> io::Result<()> {
        let path = locked(&self.path);
        std::fs::remove_file(&*path)?;
        std::fs::remove_file(names::index_of(&path))
    }
}

/// Enters what the index says of a file. What it does not know came right behind the last.
fn enter(timeline: &mut Timeline<Piece>, piece: &Arc<Piece>, entries: &[Entry], length: u64) {
    let first = Entry { time: SystemTime::UNIX_EPOCH, at: timeline.end(), offset: 0 };
    let begins = entries.first().is_none_or(|entry| entry.offset > 0);
    let all: Vec<_> = begins.then_some(first).iter().chain(entries).copied().collect();
    for (place, entry) in all.iter().enumerate() {
        let until = all.get(place + 1).map_or(length, |next| next.offset);
        // Of a file that was copied there by hand: its bytes have places of their own.
        let at = entry.at.max(timeline.end());
        timeline.append(at, until - entry.offset, piece, entry.offset);
    }
}
