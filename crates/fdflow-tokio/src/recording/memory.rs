//! Bytes that no disk has taken yet: files in memory, of bounded size in all.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fdflow::{Progress, Transfer};
use rustix::fs::MemfdFlags;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::lock::Lock;
use super::piece::Piece;
use super::segment::Segment;
use super::shared::Shared;

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
pub(super) type Outcome = (u64, io::Result<()>);

/// All of it.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) chunks: VecDeque<Chunk>,
    most: u64,
    /// Bytes that were dropped since the disk failed.
    pub(super) missing: u64,
    pub(super) writing: Option<JoinHandle<Outcome>>,
    pub(super) outcome: Option<Outcome>,
    /// The disk has taken what it was given last.
    pub(super) recovers: bool,
    /// When the disk is tried again.
    pub(super) retry: Instant,
    /// It was told that there is not even memory.
    pub(super) is_told: bool,
}

impl Memory {
    pub(super) fn new(most: u64, retry: Instant) -> Self {
        Self {
            chunks: VecDeque::new(),
            most,
            missing: 0,
            writing: None,
            outcome: None,
            recovers: false,
            retry,
            is_told: false,
        }
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
        let (piece, length) = (Piece::open(Arc::new(File::from(file))), Arc::default());
        self.chunks.push_back(Chunk { piece, at, from: 0, length });
        Ok(())
    }

    /// The disk has so many more of the oldest bytes. A piece that is needed no longer.
    pub(super) fn advance(&mut self, n: u64) -> Option<Arc<Piece>> {
        let is_last = self.chunks.len() == 1;
        let chunk = self.chunks.front_mut()?;
        chunk.at += n;
        chunk.from += n;
        if chunk.left() > 0 || is_last {
            return None;
        }
        self.chunks.pop_front().map(|chunk| chunk.piece)
    }
}

/// The oldest bytes in memory, to be written to the end of a file.
pub(super) struct Writing {
    pub(super) shared: Arc<Shared>,
    pub(super) segment: Arc<Segment>,
    /// For as long as it writes.
    pub(super) lock: Arc<Lock>,
    piece: Arc<Piece>,
    at: u64,
    from: u64,
    n: u64,
}

impl Writing {
    /// At most `most` bytes; `None` if there are none.
    pub(super) fn of(
        memory: &Memory,
        most: u64,
        shared: &Arc<Shared>,
        segment: &Arc<Segment>,
        lock: &Arc<Lock>,
    ) -> Option<Self> {
        let chunk = memory.chunks.front()?;
        Some(Self {
            shared: Arc::clone(shared),
            segment: Arc::clone(segment),
            lock: Arc::clone(lock),
            piece: Arc::clone(&chunk.piece),
            at: chunk.at,
            from: chunk.from,
            n: chunk.left().min(most),
        })
    }

    /// Writes them. What is written is entered at once, whatever becomes of who waits for it.
    pub(super) fn run(self) -> Outcome {
        let mut written = 0;
        let result = self.write(&mut written);
        (written, result)
    }

    fn write(self, written: &mut u64) -> io::Result<()> {
        let Self { shared, segment, lock, piece, at, from, n } = self;
        segment.begin(at)?;
        let (source, sink) = (piece.file()?, segment.piece.file()?);
        let to = segment.length();
        let mut seen = 0;
        let enter = move |progress: Progress| {
            let n = progress.bytes - seen;
            let offset = segment.grow(at + seen, n);
            shared.move_to(at + seen, n, &segment.piece, offset);
            seen = progress.bytes;
        };
        let transfer = Transfer::new(&*source, &*sink).source_offset(from).sink_offset(to).limit(n);
        let ended = transfer.observe(enter).run();
        drop(lock);
        match ended {
            Ok(report) => {
                *written = report.bytes();
                let all = *written == n;
                if all { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
            }
            Err(error) => {
                *written = error.report().bytes();
                Err(error.into())
            }
        }
    }
}
