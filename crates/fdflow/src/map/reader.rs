//! `Read`, `BufRead` and `Seek` on a mapping.
#![allow(unsafe_code, reason = "a mapping of a file that may change is")]

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

use super::error::MapError;
use super::pieces::{self, Right};
use super::read_only::Map;
use super::target;
use super::windows::DEFAULT_WINDOW;
use crate::source::Source;

/// The whole file at once, where there are addresses enough.
const WHOLE: usize = if usize::BITS >= 64 { isize::MAX as usize } else { DEFAULT_WINDOW };

/// Reads a mapped file: [`Read`], [`BufRead`] and [`Seek`], with bytes and lines lent from the
/// mapping.
///
/// It is a [`Source`] too: a transfer takes the bytes from the file, by sendfile or
/// copy_file_range, from where the reader stands, and the reader goes on behind what was taken. What
/// `fill_buf` has lent and `consume` has not taken is still to be read, by either. The
/// descriptor's position is neither used nor moved.
///
/// ```
/// use fdflow::map::MapReader;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("message");
/// # std::fs::write(&path, "to: you\n\nall the rest")?;
/// # let (mut reader, mut socket) = std::io::pipe()?;
/// // SAFETY: messages are never changed once they are delivered.
/// let mut message = unsafe { MapReader::new(std::fs::File::open(path)?) }?;
/// while let Some(line) = message.next_line()?.filter(|line| *line != b"\n") {
///     assert_eq!(line, b"to: you\n");
/// }
/// let report = fdflow::copy(&mut message, &mut socket)?; // the body, from the file
/// assert_eq!(report.bytes(), 12);
/// # drop(socket);
/// # assert_eq!(std::io::read_to_string(&mut reader)?, "all the rest");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MapReader<F> {
    file: F,
    right: Right,
    range: Range<u64>,
    /// The length of the file when it was looked at.
    length: u64,
    /// Whether the range ends where the file does.
    open: bool,
    window: usize,
    /// What is mapped.
    map: Option<Map>,
    /// Where in the file the next byte lies; may lie behind the end.
    at: u64,
}

impl<F: AsFd> MapReader<F> {
    /// Reads the file from its start; nothing of it is mapped until a byte is asked for.
    ///
    /// # Safety
    ///
    /// Nobody may cut the file, nor write to it, while the reader lives; see [the module](super).
    ///
    /// # Errors
    ///
    /// No regular file that is open for reading, or what the system says.
    pub unsafe fn new(file: F) -> Result<Self, MapError> {
        Self::of(file, Right::Promised)
    }

    /// Reads a file that the kernel keeps from changing.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new). A file that may change shows at the first byte, as
    /// [`MapError::Unsealed`].
    pub fn sealed(file: F) -> Result<Self, MapError> {
        Self::of(file, Right::Sealed)
    }

    fn of(file: F, right: Right) -> Result<Self, MapError> {
        let length = target::look(file.as_fd())?;
        let range = 0..length;
        Ok(Self { file, right, range, length, open: true, window: WHOLE, map: None, at: 0 })
    }

    /// Map no more than so many bytes at a time, but for lines that are longer.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Self {
        self.window = bytes.max(1);
        self
    }

    /// Only these bytes of the file, fewer if it ends before; positions count from the first.
    ///
    /// # Errors
    ///
    /// [`MapError::Beyond`] where the range begins behind the end of the file.
    pub fn range(mut self, range: Range<u64>) -> Result<Self, MapError> {
        if range.start > self.length {
            return Err(MapError::Beyond { offset: range.start, length: self.length });
        }
        self.open = false;
        self.at = range.start;
        self.range = range.start..range.end.clamp(range.start, self.length);
        Ok(self)
    }

    /// Looks how long the file is by now, and reads on as far as that; its length.
    ///
    /// # Errors
    ///
    /// What `fstat` says.
    pub fn refresh(&mut self) -> Result<u64, MapError> {
        self.length = target::length(self.file.as_fd())?;
        if self.open {
            self.range.end = self.length;
            // It may reach beyond that.
            self.map = None;
        }
        Ok(self.length)
    }

    /// Where the next byte lies, counted from the start of the range.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at - self.range.start
    }

    /// The next line with its `\n`, which the last may lack; `None` at the end. Lent from the
    /// mapping, wherever the border of a window lies.
    ///
    /// # Errors
    ///
    /// [`MapError::Shrunk`] where the file was cut before a window of it was mapped, or what the
    /// system says.
    #[inline]
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, MapError> {
        self.next_until(b'\n')
    }

    /// As [`next_line`](Self::next_line), for another end than `\n`.
    ///
    /// # Errors
    ///
    /// As for [`next_line`](Self::next_line).
    #[inline]
    pub fn next_until(&mut self, end: u8) -> Result<Option<&[u8]>, MapError> {
        let n = match memchr::memchr(end, self.ahead()) {
            Some(at) => at + 1,
            None => self.find_further(end)?,
        };
        let from = self.at;
        self.at += n as u64;
        let Some(map) = self.map.as_ref().filter(|_| n > 0) else { return Ok(None) };
        let skip = usize::try_from(from.wrapping_sub(map.offset())).unwrap_or(usize::MAX);
        Ok(map.get(skip..skip.saturating_add(n)))
    }

    /// The length of a line whose end is not mapped yet, and which is mapped whole then.
    #[cold]
    fn find_further(&mut self, end: u8) -> Result<usize, MapError> {
        let mut seen = self.ahead().len();
        while self.at.saturating_add(seen as u64) < self.range.end {
            if seen == 0 {
                self.look()?;
            } else {
                // Again from here on, and more of it: the line crosses the border.
                let size = self.window.max(seen.saturating_mul(2));
                self.show(self.at..self.at.saturating_add(size as u64).min(self.range.end))?;
            }
            let ahead = self.ahead();
            if let Some(at) = memchr::memchr(end, &ahead[seen..]) {
                return Ok(seen + at + 1);
            }
            seen = ahead.len();
        }
        Ok(seen)
    }

    /// The file.
    pub fn into_inner(self) -> F {
        self.file
    }

    /// What is mapped of what is to be read next.
    #[inline]
    fn ahead(&self) -> &[u8] {
        let Some(map) = &self.map else { return &[] };
        let skip = self.at.checked_sub(map.offset()).and_then(|skip| usize::try_from(skip).ok());
        skip.and_then(|skip| map.get(skip..)).unwrap_or_default()
    }

    /// Sees to it that something is mapped of what is to be read next, unless that is nothing.
    #[inline]
    fn look(&mut self) -> Result<(), MapError> {
        if self.at >= self.range.end || !self.ahead().is_empty() {
            return Ok(());
        }
        self.show_here()
    }

    #[cold]
    fn show_here(&mut self) -> Result<(), MapError> {
        // On a grid, so that going back and forth a little maps nothing anew.
        let window = self.window as u64;
        let start = self.range.start + (self.at - self.range.start) / window * window;
        self.show(start..start.saturating_add(window).min(self.range.end))
    }

    fn show(&mut self, range: Range<u64>) -> Result<(), MapError> {
        // Unmapped first, so that there are never two.
        self.map = None;
        self.map = Some(pieces::map(self.file.as_fd(), self.right, range, self.length)?);
        Ok(())
    }
}

impl<F: AsFd> Read for MapReader<F> {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.look()?;
        let ahead = self.ahead();
        let n = ahead.len().min(buffer.len());
        buffer[..n].copy_from_slice(&ahead[..n]);
        self.at += n as u64;
        Ok(n)
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let before = bytes.len();
        loop {
            let ahead = self.fill_buf()?;
            if ahead.is_empty() {
                return Ok(bytes.len() - before);
            }
            bytes.extend_from_slice(ahead);
            self.consume(usize::MAX);
        }
    }
}

impl<F: AsFd> BufRead for MapReader<F> {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.look()?;
        Ok(self.ahead())
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.at += n.min(self.ahead().len()) as u64;
    }
}

impl<F: AsFd> Seek for MapReader<F> {
    /// Positions behind the end can be taken; there is nothing to be read there.
    #[inline]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = self.range.end - self.range.start;
        let position = sought(to, self.position(), || Ok(length))?;
        let at = self.range.start.checked_add(position).ok_or_else(nowhere)?;
        self.at = at;
        Ok(position)
    }

    fn stream_position(&mut self) -> io::Result<u64> {
        Ok(self.position())
    }
}

/// The position that `to` names.
pub(crate) fn sought(
    to: SeekFrom,
    from: u64,
    length: impl FnOnce() -> io::Result<u64>,
) -> io::Result<u64> {
    let position = match to {
        SeekFrom::Start(position) => Some(position),
        SeekFrom::Current(by) => from.checked_add_signed(by),
        SeekFrom::End(by) => length()?.checked_add_signed(by),
    };
    position.ok_or_else(nowhere)
}

fn nowhere() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a position before the start, or beyond 2^64")
}

/// The file itself, from where the reader stands, as far as the reader goes.
impl<F: AsFd> Source for MapReader<F> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
    fn offset(&self) -> Option<u64> {
        Some(self.at)
    }
    fn limit(&self) -> Option<u64> {
        Some(self.range.end.saturating_sub(self.at))
    }
    fn advanced(&mut self, n: u64) {
        self.at = self.at.saturating_add(n);
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }
}
