//! The index beside a file of a recording: when which byte came.
//!
//! Text, in lines of 67 bytes, so that a line is found by its number and a time by halving:
//!
//! ```text
//! fdflow recording index 1: time, byte of the stream, byte of the file
//! 2026-11-22T21:02:31.123Z 00000000000000000000 00000000000000000000
//! 2026-11-22T21:02:32.124Z 00000000000000262144 00000000000000262144
//! ```
//!
//! A line says that the byte of the stream with this number is at that place of the file and came at
//! that time, in UTC. There is one for the first byte of a file, one for each second in which bytes
//! came, and one where bytes of the stream are missing: there the difference of the two numbers grows.
//! Lines are only ever added. A last line that is not whole does not count.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

const LINE: usize = 67;
const LENGTH: u64 = LINE as u64;
const HEAD: &str = "fdflow recording index 1: time, stream byte, file byte";
/// Bytes that come within this time of a line need none of their own.
const EVERY: Duration = Duration::from_secs(1);

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
        let mut field = || fields.next();
        let time = humantime::parse_rfc3339(field()?).ok()?;
        let (at, offset) = (field()?.parse().ok()?, field()?.parse().ok()?);
        fields.next().is_none().then_some(Self { time, at, offset })
    }
}

/// An open index.
#[derive(Debug)]
pub(super) struct Index {
    file: File,
    /// How many lines there are, the head left out.
    entries: u64,
    last: Option<Entry>,
}

impl Index {
    /// A new one, or the one that is there. Lines about bytes beyond the file's `length` are taken
    /// off, and so is everything behind a line that is none.
    pub(super) fn open(path: &Path, length: u64) -> io::Result<(Self, Vec<Entry>)> {
        let file =
            File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let all = all(&file, length)?;
        if file.metadata()?.len() < LENGTH {
            file.set_len(0)?;
            file.write_all_at(format!("{HEAD:<66}\n").as_bytes(), 0)?;
        }
        let entries = all.len() as u64;
        file.set_len(LENGTH * (1 + entries))?;
        let last = all.last().copied();
        Ok((Self { file, entries, last }, all))
    }

    /// Bytes at `at` of the stream are at `offset` of the file since `now`. Writes a line where one
    /// is due.
    pub(super) fn note(&mut self, at: u64, offset: u64, now: SystemTime) -> io::Result<()> {
        // A clock that is set back does not turn the order of the lines.
        let time = self.last.map_or(now, |last| last.time.max(now));
        let entry = Entry { time, at, offset };
        let is_due = self.last.is_none_or(|last| {
            at - offset != last.at - last.offset
                || time.duration_since(last.time).is_ok_and(|since| since >= EVERY)
        });
        if !is_due {
            return Ok(());
        }
        self.file.write_all_at(entry.line().as_bytes(), LENGTH * (1 + self.entries))?;
        self.entries += 1;
        self.last = Some(entry);
        Ok(())
    }

    /// The last byte that is known to have come by `time`; `None` if the first came later.
    pub(super) fn at(&self, time: SystemTime) -> io::Result<Option<Entry>> {
        let (mut low, mut high) = (0, self.entries);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let mut line = [0; LINE];
            self.file.read_exact_at(&mut line, LENGTH * (1 + middle))?;
            let entry = Entry::parse(&line).ok_or(io::ErrorKind::InvalidData)?;
            if entry.time <= time {
                found = Some(entry);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(found)
    }

    /// For who syncs it while it is written to.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}

/// The lines that hold.
fn all(file: &File, length: u64) -> io::Result<Vec<Entry>> {
    let mut text = vec![0; usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut text, 0)?;
    let mut all: Vec<Entry> = Vec::new();
    for line in text.chunks(LINE).skip(1) {
        let follows = |entry: &Entry| {
            let first = Entry { time: SystemTime::UNIX_EPOCH, at: 0, offset: 0 };
            let last = all.last().unwrap_or(&first);
            entry.time >= last.time
                && entry.offset >= last.offset
                && entry.at.checked_sub(entry.offset) >= Some(last.at - last.offset)
                && entry.offset <= length
        };
        let Some(entry) = Entry::parse(line).filter(follows) else { break };
        all.push(entry);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + n)
    }

    #[test]
    fn a_line_a_second_and_one_for_each_gap() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (mut index, found) = Index::open(&path, 0).unwrap();
        assert!(found.is_empty());
        for (at, offset, seconds) in
            [(100, 0, 0), (110, 10, 0), (120, 20, 1), (150, 30, 1), (160, 40, 5)]
        {
            index.note(at, offset, second(seconds)).unwrap();
        }
        let at = |time| index.at(time).unwrap().map(|entry| entry.at);
        assert_eq!(
            [at(second(0)), at(second(1)), at(second(4)), at(second(9))].map(Option::unwrap),
            [100, 150, 150, 160]
        );
        assert_eq!(at(SystemTime::UNIX_EPOCH), None);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().all(|line| line.len() == LINE - 1), "{text}");
        assert_eq!(text.lines().count(), 5);
        assert!(
            text.ends_with("2027-01-15T08:00:05.000Z 00000000000000000160 00000000000000000040\n")
        );
    }

    #[test]
    fn what_is_torn_wrong_or_beyond_the_file_is_taken_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let (mut index, _) = Index::open(&path, 0).unwrap();
        for n in 0..4 {
            index.note(n * 10, n * 10, second(n)).unwrap();
        }
        drop(index);
        let whole = std::fs::read(&path).unwrap();
        let reopened = |text: &[u8], length| {
            std::fs::write(&path, text).unwrap();
            let (index, found) = Index::open(&path, length).unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().len(), LENGTH * (1 + found.len() as u64));
            drop(index);
            found.len()
        };
        assert_eq!(reopened(&whole, 30), 4);
        assert_eq!(reopened(&whole, 29), 3);
        assert_eq!(reopened(&whole[..whole.len() - 1], 30), 3);
        let mut wrong = whole.clone();
        wrong[LINE * 2 + 30] = b'x';
        assert_eq!(reopened(&wrong, 30), 1);
        assert_eq!(reopened(b"", 30), 0);
        assert_eq!(reopened(b"torn head", 30), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_keeps_the_order() {
        let dir = tempfile::tempdir().unwrap();
        let (mut index, _) = Index::open(&dir.path().join("index"), 0).unwrap();
        index.note(0, 0, second(100)).unwrap();
        index.note(20, 10, second(50)).unwrap();
        assert_eq!(index.at(second(100)).unwrap().unwrap().at, 20);
        assert_eq!(index.at(second(99)).unwrap(), None);
    }
}
