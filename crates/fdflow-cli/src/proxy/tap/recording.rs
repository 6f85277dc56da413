//! One direction of a flow on its way from a pipe to files.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use fdflow::ReadEnd;
use rustix::io::Errno;

use super::Place;
use super::file::{Memory, Out};
use super::name::Name;

/// So much before another recording has its turn.
const TURN: u64 = 4 << 20;
/// How long after a failure another file is tried.
const REST: Duration = Duration::from_secs(1);

/// What is in the files, in the order of their numbers, are the bytes in order; what is missing is
/// missing between two of them, or at the end.
#[derive(Debug)]
pub(super) struct Recording {
    place: Arc<Place>,
    name: Name,
    /// That of the next file.
    number: u32,
    /// So many bytes have left the pipe.
    at: u64,
    reader: ReadEnd,
    /// The present file; `None` before the next byte makes one, and in a gap.
    out: Option<Out>,
    gap: Option<Gap>,
}

/// Bytes that are not recorded.
#[derive(Debug)]
struct Gap {
    from: u64,
    why: io::Error,
    failed: Instant,
}

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It waits for more, or for its next turn.
    Waits,
    /// The flow is over, and everything is written.
    Over,
}

impl Recording {
    pub(super) fn new(place: Arc<Place>, name: Name, reader: ReadEnd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&reader, true)?;
        Ok(Self { place, name, number: 0, at: 0, reader, out: None, gap: None })
    }

    /// Its pipe.
    pub(super) fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Writes what is there, within a budget.
    ///
    /// By `read` and `write`, and not by a splice: the kernel keeps a pipe locked while it splices
    /// from it into a file, however long the disk takes, and whoever puts bytes into that pipe, a
    /// relaying thread with all its flows, would stand still.
    pub(super) fn turn(&mut self, memory: &mut Memory) -> Turn {
        if self.number == 0 && self.gap.is_none() {
            // The first file is made even where nothing comes.
            self.open();
        }
        let mut moved = 0;
        while moved < TURN {
            let length = self.out.as_ref().map_or(0, Out::length);
            let most = self.place.rotate.map_or(u64::MAX, |most| most.saturating_sub(length));
            let room = memory.room(length, most);
            match rustix::io::read(&self.reader, &mut *room) {
                Ok(n) if n > 0 => {
                    self.give(&room[..n]);
                    moved += n as u64;
                }
                Err(Errno::AGAIN) => return Turn::Waits,
                Err(Errno::INTR) => {}
                // Of an error of a pipe of our own there is no more to tell than of its end.
                Ok(_) | Err(_) => {
                    self.end();
                    return Turn::Over;
                }
            }
        }
        Turn::Waits
    }

    /// Writes the next bytes.
    fn give(&mut self, mut bytes: &[u8]) {
        let rested = self.gap.as_ref().is_none_or(|gap| gap.failed.elapsed() >= REST);
        if self.out.is_none() && rested {
            self.open();
        }
        while let Some(out) = &mut self.out
            && !bytes.is_empty()
        {
            match out.write(bytes) {
                Ok(n) => {
                    bytes = bytes.get(n..).unwrap_or_default();
                    self.recorded(n as u64);
                }
                Err(error) => self.fail(error),
            }
        }
        let missed = bytes.len() as u64;
        self.place.lasting.figures.tap.missed.fetch_add(missed, Relaxed);
        self.at += missed;
    }

    /// Makes the next file.
    fn open(&mut self) {
        match Out::create(&self.name.path(&self.place, self.number)) {
            Ok(out) => {
                self.number += 1;
                self.out = Some(out);
            }
            Err(error) => self.fail(error),
        }
    }

    /// `n` bytes are in the present file.
    fn recorded(&mut self, n: u64) {
        self.close_gap();
        self.place.lasting.figures.tap.recorded.fetch_add(n, Relaxed);
        self.at += n;
        self.out.take_if(|out| Some(out.length()) == self.place.rotate);
    }

    /// Something cannot be written: what comes goes to nowhere for a while.
    fn fail(&mut self, why: io::Error) {
        if let Some(out) = self.out.take()
            && out.length() == 0
        {
            self.number -= 1;
            // Its name is for one that has something in it.
            let path = self.name.path(&self.place, self.number);
            let _removed = std::fs::remove_file(path).is_ok();
        }
        let failed = Instant::now();
        if let Some(gap) = &mut self.gap {
            gap.failed = failed;
            return;
        }
        self.place.lasting.figures.tap.gaps.fetch_add(1, Relaxed);
        self.place.fails(&self.name.file(self.number.saturating_sub(1)), &why);
        self.gap = Some(Gap { from: self.at, why, failed });
    }

    fn close_gap(&mut self) {
        let Some(Gap { from, why, .. }) = self.gap.take() else { return };
        self.place.works();
        let (name, to) = (self.name.file(0), self.at);
        let next = self.name.file(self.number.saturating_sub(1));
        eprintln!("fdflow: proxy: {name}: bytes {from} to {to} are missing: {why}; {next} goes on");
    }

    /// The flow is over.
    fn end(&mut self) {
        if let Some(Gap { from, why, .. }) = self.gap.take().filter(|gap| gap.from < self.at) {
            let (name, to) = (self.name.file(0), self.at);
            eprintln!("fdflow: proxy: {name}: bytes {from} to {to}, its last, are missing: {why}");
        }
    }
}
