//! Reading into a buffer: in order, by leaps, or everything at once.

mod traits;

use std::fs::File;
use std::io::{self, BufRead};
use std::mem;
use std::os::fd::AsFd;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;

use crate::kind::Kind;
use crate::map::{MapError, target};

/// The largest piece that is read into the buffer.
const MOST: usize = 128 << 10;
/// The smallest: a page.
const LEAST: usize = 4 << 10;

/// What is read into the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// As much as the buffer takes.
    InOrder,
    /// At a new place little, then more and more for as long as it goes on there.
    Jumping,
    /// Everything, kept.
    Whole,
}

#[derive(Debug)]
pub(super) struct Buffered {
    file: File,
    kind: Kind,
    /// Whether it is read by offset; a stream has none.
    placed: bool,
    manner: Manner,
    /// The length of the file when it was looked at; 0 if it has none.
    length: u64,
    /// What lies at `base` in the file.
    buffer: Vec<u8>,
    base: u64,
    /// Where the next byte lies.
    at: u64,
    /// The end of what was read last, where a read goes on in order.
    after: u64,
    /// How much is read next.
    piece: usize,
}

impl Buffered {
    pub(super) fn in_order(file: File, kind: Kind, length: u64) -> Self {
        // One more, so that one read shows all of a small file.
        let all = usize::try_from(length.saturating_add(1)).unwrap_or(MOST);
        let piece = if length == 0 { MOST } else { all.clamp(LEAST, MOST) };
        Self::of(file, kind, length, Manner::InOrder, piece)
    }

    pub(super) fn jumping(file: File, kind: Kind, length: u64) -> Self {
        Self::of(file, kind, length, Manner::Jumping, LEAST)
    }

    /// Everything in memory; a stream in order.
    pub(super) fn whole(file: File, kind: Kind, length: u64) -> Self {
        let known = usize::try_from(length).ok().filter(|length| *length > 0);
        match known.and_then(|length| length.checked_add(1)) {
            Some(all) => Self::of(file, kind, length, Manner::Whole, all),
            None => Self::in_order(file, kind, length),
        }
    }

    fn of(file: File, kind: Kind, length: u64, manner: Manner, piece: usize) -> Self {
        let placed = kind.is_seekable();
        let buffer = Vec::new();
        Self { file, kind, placed, manner, length, buffer, base: 0, at: 0, after: 0, piece }
    }

    /// What was read ahead.
    #[inline]
    fn ahead(&self) -> &[u8] {
        let skip = self.at.checked_sub(self.base).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| self.buffer.get(skip..)).unwrap_or_default()
    }

    fn end(&self) -> u64 {
        self.base + self.buffer.len() as u64
    }

    /// Whether all of the file is in the buffer.
    fn has_all(&self) -> bool {
        self.manner == Manner::Whole && !self.buffer.is_empty()
    }

    #[inline]
    pub(super) fn next_until(&mut self, end: u8) -> io::Result<Option<&[u8]>> {
        let n = match memchr::memchr(end, self.ahead()) {
            Some(at) => at + 1,
            None => self.find_further(end)?,
        };
        let from = self.at;
        self.at += n as u64;
        let skip = usize::try_from(from.wrapping_sub(self.base)).unwrap_or(usize::MAX);
        Ok(self.buffer.get(skip..skip.saturating_add(n)).filter(|line| !line.is_empty()))
    }

    /// The length of a line of which no end was read yet, and which is ahead whole then.
    #[cold]
    fn find_further(&mut self, end: u8) -> io::Result<usize> {
        loop {
            let seen = self.ahead().len();
            if !self.read_more()? {
                return Ok(seen);
            }
            if let Some(at) = memchr::memchr(end, &self.ahead()[seen..]) {
                return Ok(seen + at + 1);
            }
        }
    }

    /// Reads behind what was read ahead, and keeps that; whether there was something.
    fn read_more(&mut self) -> io::Result<bool> {
        let ahead = self.ahead().len();
        if ahead == 0 {
            return Ok(!self.fill_buf()?.is_empty());
        }
        if self.has_all() && !self.has_grown()? {
            return Ok(false);
        }
        let used = self.buffer.len() - ahead;
        self.buffer.drain(..used);
        self.base = self.at;
        self.grow();
        self.buffer.reserve(self.piece.max(ahead));
        Ok(self.append()? > 0)
    }

    /// The next piece in order is twice as large.
    fn grow(&mut self) {
        if self.manner == Manner::Jumping {
            self.piece = (self.piece * 2).min(MOST);
        }
    }

    /// Whether the file has become longer than what is in memory.
    fn has_grown(&mut self) -> io::Result<bool> {
        let grown = target::length(self.file.as_fd())? > self.end();
        if grown {
            self.manner = Manner::InOrder;
            self.piece = MOST;
        }
        Ok(grown)
    }

    /// Reads what is next into the empty or used-up buffer.
    fn fetch(&mut self) -> io::Result<()> {
        if self.has_all() && !self.has_grown()? {
            return Ok(());
        }
        if self.manner == Manner::Jumping {
            if self.at == self.after && self.after > 0 { self.grow() } else { self.piece = LEAST }
        }
        self.buffer.clear();
        if self.buffer.capacity() < self.piece || self.buffer.capacity() / 2 > self.piece {
            self.buffer = Vec::with_capacity(self.piece);
        }
        if self.manner != Manner::Whole {
            self.base = self.at;
            return self.append().map(drop);
        }
        self.base = 0;
        let loaded = self.load();
        if loaded.is_err() {
            // A part of it would be taken for all.
            self.buffer.clear();
        }
        loaded
    }

    /// Reads all of the file.
    fn load(&mut self) -> io::Result<()> {
        while self.buffer.len() < self.piece && self.append()? > 0 {}
        Ok(())
    }

    /// One read behind the buffer's bytes, into the room that it has.
    fn append(&mut self) -> io::Result<usize> {
        let from = self.end();
        let mut buffer = mem::take(&mut self.buffer);
        let read = self.read_at(from, &mut buffer);
        self.buffer = buffer;
        let n = read?;
        self.came(from, n)?;
        Ok(n)
    }

    fn read_at(&mut self, from: u64, buffer: &mut Vec<u8>) -> io::Result<usize> {
        self.call(from, |file, at| match at {
            Some(at) => rustix::io::pread(file, spare_capacity(buffer), at),
            None => rustix::io::read(file, spare_capacity(buffer)),
        })
    }

    /// One read at `from`, which is where a stream stands.
    fn call(
        &mut self,
        from: u64,
        mut read: impl FnMut(&File, Option<u64>) -> rustix::io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match read(&self.file, self.placed.then_some(from)) {
                Err(Errno::INTR) => {}
                // A file of a pseudo filesystem that is a stream.
                Err(Errno::SPIPE) if self.placed && from == 0 => self.placed = false,
                other => return Ok(other?),
            }
        }
    }

    /// Enters that `n` bytes were read at `from`: none before the end is an error, but where the
    /// lengths of files say nothing.
    fn came(&mut self, from: u64, n: usize) -> io::Result<()> {
        self.after = from + n as u64;
        if n > 0 || from >= self.length || target::is_pseudo(self.file.as_fd()) {
            return Ok(());
        }
        let now = target::length(self.file.as_fd())?;
        Err(MapError::Shrunk { at: from, before: self.length, now }.into())
    }

    /// Whether a read of `n` bytes is better made without the buffer: a long one, or the first at
    /// a new place.
    fn goes_past(&self, n: usize) -> bool {
        let leaps = self.manner == Manner::Jumping && (self.at != self.after || self.at == 0);
        self.manner != Manner::Whole && (n >= self.piece.max(LEAST) || leaps)
    }

    fn read_past(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from = self.at;
        let n = self.call(from, |file, at| match at {
            Some(at) => rustix::io::pread(file, &mut *buffer, at),
            None => rustix::io::read(file, &mut *buffer),
        })?;
        self.piece = if self.manner == Manner::Jumping { LEAST / 2 } else { self.piece };
        self.came(from, n)?;
        self.at = self.after;
        Ok(n)
    }
}
