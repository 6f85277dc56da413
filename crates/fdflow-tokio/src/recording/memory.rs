//! Bytes that no disk has taken yet: files in memory, of bounded size in all.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fdflow::Transfer;
use rustix::fs::MemfdFlags;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::segment::{Piece, Segment};

/// Memory comes and goes in so many pieces.
const PIECES: u64 = 8;

/// A piece of memory.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) piece: Arc<Piece>,
    /// The first byte that no disk has: in the stream, and in this piece.
    pub(super) at: u64,
    from: u64,
    /// How many bytes were put into it.
    length: Arc<AtomicU64>,
}

impl Chunk {
    pub(super) fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// How many bytes no disk has.
    pub(super) fn left(&self) -> u64 {
        self.length() - self.from
    }

    /// For whoever puts bytes into it.
    pub(super) fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.length)
    }
}

/// What came of writing some of it: how many bytes, and why not more.
pub(super) type Written = (u64, io::Result<()>);

/// All of it.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) chunks: VecDeque<Chunk>,
    most: u64,
    /// Bytes that were dropped since the disk failed.
    pub(super) missing: u64,
    pub(super) writing: Option<JoinHandle<Written>>,
    pub(super) written: Option<Written>,
    /// When the disk is tried again.
    pub(super) retry: Instant,
}

impl Memory {
    pub(super) fn new(most: u64, retry: Instant) -> Self {
        let (chunks, missing) = (VecDeque::new(), 0);
        Self { chunks, most, missing, writing: None, written: None, retry }
    }

    /// How many bytes one piece holds.
    pub(super) fn piece(&self) -> u64 {
        self.most.div_ceil(PIECES)
    }

    /// How many bytes no disk has.
    pub(super) fn left(&self) -> u64 {
        self.chunks.iter().map(Chunk::left).sum()
    }

    /// Whether there is room for no other piece.
    pub(super) fn is_full(&self) -> bool {
        self.chunks.len() as u64 >= PIECES && self.room() == 0
    }

    /// How many bytes go into the last piece.
    pub(super) fn room(&self) -> u64 {
        self.chunks.back().map_or(0, |chunk| self.piece() - chunk.length().min(self.piece()))
    }

    /// Another piece, for bytes from `at` on.
    pub(super) fn add(&mut self, at: u64) -> io::Result<()> {
        let file = rustix::fs::memfd_create("fdflow-recording", MemfdFlags::CLOEXEC)?;
        let (piece, length) = (Piece::new(File::from(file)), Arc::default());
        self.chunks.push_back(Chunk { piece, at, from: 0, length });
        Ok(())
    }

    /// Begins to write the oldest bytes to the disk.
    pub(super) fn write_to(&mut self, segment: &Arc<Segment>) {
        let Some(chunk) = self.chunks.front() else { return };
        let (piece, segment) = (Arc::clone(&chunk.piece), Arc::clone(segment));
        let (from, left) = (chunk.from, chunk.left());
        self.writing = Some(spawn_blocking(move || {
            let to = segment.length();
            let transfer = Transfer::new(&*piece.file, &*segment.piece.file);
            let written = transfer.source_offset(from).sink_offset(to).limit(left).run();
            match written {
                Ok(report) => (report.bytes(), Ok(())),
                Err(error) => (error.report().bytes(), Err(error.into())),
            }
        }));
    }

    /// The disk has so many more of the oldest bytes.
    pub(super) fn advance(&mut self, n: u64) {
        let is_last = self.chunks.len() == 1;
        let Some(chunk) = self.chunks.front_mut() else { return };
        chunk.at += n;
        chunk.from += n;
        if chunk.left() == 0 && !is_last {
            self.chunks.pop_front();
        }
    }
}
