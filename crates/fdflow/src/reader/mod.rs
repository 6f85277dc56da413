//! Reading a file by the way that is the best for it: [`reader`], and [`Options`] for it.
//!
//! What is measured (see `bench/record`) and not what is said of `mmap` decides:
//!
//! | the file | is read | by |
//! |---|---|---|
//! | any | in order | [`Way::Buffered`], 128 KiB at a time |
//! | from 4 MiB on, and it does not change | in order | [`Way::Map`], beyond 64 MiB [`Way::Windows`]: half of the processor time, since nothing is copied |
//! | any | a few times here and there | [`Way::Buffered`]: of each place no more than what is asked for |
//! | up to 256 KiB; up to 16 MiB if it may change | all over, again and again | [`Way::Whole`]: once, into memory |
//! | larger, and it does not change | all over, again and again | [`Way::Map`], [`Way::Windows`] where it is longer than half of the addresses |
//! | larger, and it may change | all over, again and again | [`Way::Buffered`], since no safe way is faster |
//! | pipe, terminal, device, procfs | | [`Way::Buffered`] |
//!
//! Why a file that may change is not mapped, and which may not, says [`map`](crate::map).

mod buffered;
mod choice;
mod options;

use std::fs::File;
use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::fd::BorrowedFd;
use std::path::Path;

use buffered::Buffered;
pub use choice::{Access, Choice, Way, Why};
pub use options::Options;

use crate::map::MapReader;
use crate::source::{self, Source};

/// Opens a file to be read in order, by the way that is the best for it.
///
/// No file that another process cuts meanwhile ends this one: what is lost is an
/// [`UnexpectedEof`](io::ErrorKind::UnexpectedEof). A file that grows is read to its new end. For other
/// patterns of access, and to have a file mapped, see [`Options`].
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("log");
/// # std::fs::write(&path, "one\ntwo\n")?;
/// let mut log = fdflow::reader(&path)?;
/// let mut longest = 0;
/// while let Some(line) = log.next_line()? {
///     longest = longest.max(line.len());
/// }
/// assert_eq!(longest, 4);
/// println!("{}", log.choice()); // buffered reading: it is read in order
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// As for opening a [`File`], with the path; a directory, a socket. A FIFO waits for a writer.
pub fn reader(path: impl AsRef<Path>) -> io::Result<Reader> {
    Options::new().open(path)
}

/// What [`reader`] gives: `Read + BufRead + Seek`, lines lent, a [`Source`], and how it reads.
///
/// A stream cannot be sought. As a source it goes on by the kernel's routes, bytes that were read
/// ahead first; except where it is a stream, the descriptor's position is neither used nor moved.
#[derive(Debug)]
pub struct Reader {
    by: By,
    choice: Choice,
}

#[derive(Debug)]
enum By {
    Buffered(Buffered),
    Mapped(MapReader<File>),
}

impl Reader {
    /// How the file is read, and why so.
    #[must_use]
    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// The next line with its `\n`, which the last may lack; `None` at the end. Lent from where it
    /// lies: unlike [`BufRead::read_line`] it copies nothing, or at most what crosses the border of
    /// a buffer, which grows to the length of the longest line.
    ///
    /// # Errors
    ///
    /// What reading says; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) where the file was cut.
    #[inline]
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        self.next_until(b'\n')
    }

    /// As [`next_line`](Self::next_line), for another end than `\n`.
    ///
    /// # Errors
    ///
    /// As for [`next_line`](Self::next_line).
    #[inline]
    pub fn next_until(&mut self, end: u8) -> io::Result<Option<&[u8]>> {
        match &mut self.by {
            By::Buffered(by) => by.next_until(end),
            By::Mapped(by) => Ok(by.next_until(end)?),
        }
    }
}

impl Read for Reader {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.by {
            By::Buffered(by) => by.read(buffer),
            By::Mapped(by) => by.read(buffer),
        }
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        match &mut self.by {
            By::Buffered(by) => by.read_to_end(bytes),
            By::Mapped(by) => by.read_to_end(bytes),
        }
    }
}

impl BufRead for Reader {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &mut self.by {
            By::Buffered(by) => by.fill_buf(),
            By::Mapped(by) => by.fill_buf(),
        }
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        match &mut self.by {
            By::Buffered(by) => by.consume(n),
            By::Mapped(by) => by.consume(n),
        }
    }
}

impl Seek for Reader {
    #[inline]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.by {
            By::Buffered(by) => by.seek(to),
            By::Mapped(by) => by.seek(to),
        }
    }
}

impl Source for Reader {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.by {
            By::Buffered(by) => by.descriptor(),
            By::Mapped(by) => by.descriptor(),
        }
    }

    fn may_buffer(&self) -> bool {
        match &self.by {
            By::Buffered(by) => by.may_buffer(),
            By::Mapped(by) => by.may_buffer(),
        }
    }

    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<source::Buffered> {
        match &mut self.by {
            By::Buffered(by) => by.read_buffered(buffer),
            By::Mapped(by) => by.read_buffered(buffer),
        }
    }

    fn offset(&self) -> Option<u64> {
        match &self.by {
            By::Buffered(by) => by.offset(),
            By::Mapped(by) => by.offset(),
        }
    }

    fn limit(&self) -> Option<u64> {
        match &self.by {
            By::Buffered(by) => by.limit(),
            By::Mapped(by) => by.limit(),
        }
    }

    fn advanced(&mut self, n: u64) {
        match &mut self.by {
            By::Buffered(by) => by.advanced(n),
            By::Mapped(by) => by.advanced(n),
        }
    }

    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }
}
