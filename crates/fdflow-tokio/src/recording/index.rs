//! The index beside a file of a recording: when which byte came. What its lines are is told at
//! [`Recording`](super::Recording).
//!
//! All lines are of one length, so that one is found by its number and a time by halving. Lines are
//! only ever added, and the order of neither times nor bytes turns.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::piece::{of, open_regular};

pub(super) const LINE: usize = 67;
const LENGTH: u64 = LINE as u64;
const HEAD: &str = "fdflow recording index 1: time, stream byte, file byte";
/// Bytes that come within this time of a line need none of their own.
const EVERY: Duration = Duration::from_secs(1);
/// The last second that a line has room for, in seconds since 1970.
const LAST: u64 = 253_402_300_799;
/// No stream is longer, so that sums of places and lengths do not overflow.
const MOST: u64 = 1 << 62;

/// A line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) time: SystemTime,
    /// The byte of the stream.
    pub(super) at: u64,
    /// Where it is in the file.
    pub(super) offset: u64,
}

impl Entry {
    fn line(&self) -> String {
        let time = humantime::format_rfc3339_millis(self.time);
        format!("{time} {:020} {:020}\n", self.at, self.offset)
    }

    fn parse(line: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
        let mut fields = line.split(' ');
        let (time, at, offset) = (fields.next()?, fields.next()?, fields.next()?);
        let number = |field: &str| {
            let is_one = field.len() == 20 && field.bytes().all(|byte| byte.is_ascii_digit());
            is_one.then(|| field.parse().ok())?
        };
        let time = humantime::parse_rfc3339(time).ok()?;
        let entry = Self { time, at: number(at)?, offset: number(offset)? };
        fields.next().is_none().then_some(entry)
    }

    /// How many bytes of the stream, up to there, are not in the file.
    fn ahead(&self) -> u64 {
        self.at.saturating_sub(self.offset)
    }

    /// Whether it may come behind `last`, in a file of `length` bytes.
    fn follows(&self, last: Option<&Self>, length: u64) -> bool {
        let is_sane = self.at >= self.offset && self.at <= MOST && self.offset <= length;
        is_sane
            && last.is_none_or(|last| {
                self.time >= last.time && self.offset >= last.offset && self.ahead() >= last.ahead()
            })
    }
}

/// What an index tells of a file as a whole.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    /// The first line, and the first behind each gap.
    pub(super) stretches: Vec<Entry>,
    /// When the first byte of the file came.
    pub(super) born: Option<SystemTime>,
    last: Option<Entry>,
    /// How many lines there are, the head left out.
    pub(super) entries: u64,
}

impl Outline {
    fn add(&mut self, entry: Entry) {
        if self.last.is_none_or(|last| last.ahead() != entry.ahead()) {
            self.stretches.push(entry);
        }
        if self.born.is_none() || entry.offset == 0 {
            self.born = Some(entry.time);
        }
        self.last = Some(entry);
        self.entries += 1;
    }
}

/// The index of a file that is written to.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    entries: u64,
    last: Option<Entry>,
    /// When a line was last to be written, with or without success.
    tried: Option<SystemTime>,
}

impl Index {
    /// A new one, or the one that is there. Lines about bytes beyond the file's `length` are taken
    /// off, and so is everything behind a line that is none.
    pub(super) fn open(path: &Path, length: u64) -> io::Result<(Self, Outline)> {
        let mut options = OpenOptions::new();
        let file = open_regular(path, options.read(true).write(true).create(true).truncate(false))?;
        let index = Self::of(file, length);
        index.map_err(|error| of(path, &error))
    }

    fn of(file: File, length: u64) -> io::Result<(Self, Outline)> {
        let outline = outline(&file, length)?;
        let Outline { entries, last, .. } = outline;
        if file.metadata()?.len() != LENGTH * (1 + entries) || entries == 0 {
            file.write_all_at(format!("{HEAD:<66}\n").as_bytes(), 0)?;
            file.set_len(LENGTH * (1 + entries))?;
        }
        Ok((Self { file, entries, last, tried: None }, outline))
    }

    /// Bytes from `at` of the stream on are about to be written at `offset` of the file: where that
    /// does not follow from the lines that are there, one says so. Before there are such bytes, so
    /// that whatever happens next none is taken for another.
    pub(super) fn begin(&mut self, at: u64, offset: u64, now: SystemTime) -> io::Result<()> {
        let entry = self.entry(at, offset, now);
        if self.last.is_some_and(|last| last.ahead() == entry.ahead()) {
            return Ok(());
        }
        self.add(entry)
    }

    /// Bytes at `at` of the stream are at `offset` of the file since `now`. Writes a line where one
    /// is due.
    pub(super) fn note(&mut self, at: u64, offset: u64, now: SystemTime) -> io::Result<()> {
        let entry = self.entry(at, offset, now);
        let latest = self.last.map(|last| last.time).max(self.tried);
        let is_due = latest.is_none_or(|latest| {
            entry.time.duration_since(latest).is_ok_and(|since| since >= EVERY)
        });
        if is_due { self.add(entry) } else { Ok(()) }
    }

    /// A clock that is set back does not turn the order of the lines.
    fn entry(&self, at: u64, offset: u64, now: SystemTime) -> Entry {
        let now = stamp(now);
        Entry { time: self.last.map_or(now, |last| last.time.max(now)), at, offset }
    }

    fn add(&mut self, entry: Entry) -> io::Result<()> {
        self.tried = Some(entry.time);
        self.file.write_all_at(entry.line().as_bytes(), LENGTH * (1 + self.entries))?;
        self.entries += 1;
        self.last = Some(entry);
        Ok(())
    }

    /// The last byte that is known to have come by `time`; `None` if the first came later.
    pub(super) fn at(&self, time: SystemTime) -> io::Result<Option<Entry>> {
        search(&self.file, self.entries, time)
    }

    /// How many lines there are, the head left out.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// For who syncs it while it is written to.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// What the index of a file that is not written to says; nothing, if there is none.
pub(super) fn read(path: &Path, length: u64) -> io::Result<Outline> {
    match open_regular(path, OpenOptions::new().read(true)) {
        Ok(file) => outline(&file, length).map_err(|error| of(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Outline::default()),
        Err(error) => Err(error),
    }
}

/// As [`Index::at`], in the first lines of the index of a file that is not written to.
pub(super) fn at(path: &Path, entries: u64, time: SystemTime) -> io::Result<Option<Entry>> {
    let file = open_regular(path, OpenOptions::new().read(true))?;
    search(&file, entries, time).map_err(|error| of(path, &error))
}

/// The first line of an index that may not be there.
pub(super) fn first(path: &Path) -> Option<Entry> {
    let file = open_regular(path, OpenOptions::new().read(true)).ok()?;
    let mut line = [0; LINE];
    file.read_exact_at(&mut line, LENGTH).ok()?;
    Entry::parse(&line)
}

fn search(file: &File, entries: u64, time: SystemTime) -> io::Result<Option<Entry>> {
    let (mut low, mut high) = (0, entries);
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let mut line = [0; LINE];
        file.read_exact_at(&mut line, LENGTH * (1 + middle))?;
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a line of it is damaged");
        let entry = Entry::parse(&line).ok_or_else(damaged)?;
        if entry.time <= time {
            found = Some(entry);
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(found)
}

/// The time as a line can tell it.
pub(super) fn stamp(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let millis = Duration::from_millis(u64::from(since.subsec_millis()));
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs().min(LAST)) + millis
}

/// The lines that hold.
fn outline(file: &File, length: u64) -> io::Result<Outline> {
    let (mut reader, mut outline) = (BufReader::with_capacity(64 << 10, file), Outline::default());
    let mut line = Vec::with_capacity(LINE);
    next_line(&mut reader, &mut line)?;
    let head = format!("{HEAD:<66}\n");
    // A head may be torn, or a crash may have left nothing but zeros of it.
    if !head.as_bytes().starts_with(&line) && line.iter().any(|byte| *byte != 0) {
        let message = "it is no index of a recording: move it away, or name another recording";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    if line != head.as_bytes() {
        return Ok(outline);
    }
    loop {
        next_line(&mut reader, &mut line)?;
        let entry = Entry::parse(&line).filter(|_| line.len() == LINE);
        let Some(entry) = entry.filter(|entry| entry.follows(outline.last.as_ref(), length)) else {
            return Ok(outline);
        };
        outline.add(entry);
    }
}

fn next_line(reader: &mut impl Read, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    reader.take(LENGTH).read_to_end(line)
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
