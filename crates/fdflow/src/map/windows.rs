//! A file larger than memory, piece by piece.
#![allow(unsafe_code, reason = "a mapping of a file that may change is")]

use std::ops::{Deref, Range};
use std::os::fd::AsFd;

use super::error::MapError;
use super::pieces::{Piece, Right};
use super::search::Matches;
use super::target;

/// The size of a mapped window, unless another is set.
pub const DEFAULT_WINDOW: usize = 64 << 20;
/// The size of a copied one: no more than what the processor's caches hold.
const COPIED_WINDOW: usize = 128 << 10;

/// A file larger than memory, looked at piece by piece: no more than one window of it is mapped, or
/// in memory, at a time.
///
/// Successive windows can overlap, so that what crosses a border is seen in one piece.
///
/// ```
/// use fdflow::map::Windows;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("f");
/// # std::fs::write(&path, "0123456789")?;
/// let mut windows = Windows::checked(std::fs::File::open(path)?)?.size(4).overlap(1);
/// let mut seen = Vec::new();
/// while let Some(window) = windows.next_window()? {
///     seen.push((window.offset(), String::from_utf8_lossy(&window).into_owned()));
/// }
/// assert_eq!(seen, [(0, "0123".into()), (3, "3456".into()), (6, "6789".into())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Windows<F> {
    file: F,
    piece: Piece,
    range: Range<u64>,
    /// The length of the file when it was looked at.
    length: u64,
    /// Whether the range ends where the file does.
    open: bool,
    size: usize,
    overlap: usize,
    /// The window that is shown.
    shown: Range<u64>,
}

/// One window: its bytes, and where they lie.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    bytes: &'a [u8],
    offset: u64,
    overlap: usize,
}

impl<'a> Window<'a> {
    /// Where in the file the first byte lies.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// All bytes, for as long as the window is shown.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes that the window before did not have.
    #[must_use]
    pub fn fresh(&self) -> &'a [u8] {
        &self.bytes[self.overlap..]
    }
}

impl Deref for Window<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl<F: AsFd> Windows<F> {
    /// Windows of [`DEFAULT_WINDOW`] that are mapped.
    ///
    /// # Safety
    ///
    /// Nobody may cut the file, nor write to it, while a window is shown; see [the module](super).
    /// A cut between two windows is [`MapError::Shrunk`].
    ///
    /// # Errors
    ///
    /// No regular file that is open for reading, or what the system says.
    pub unsafe fn new(file: F) -> Result<Self, MapError> {
        let length = target::look(file.as_fd())?;
        Ok(Self::of(file, length, Piece::mapped(Right::Promised), DEFAULT_WINDOW))
    }

    /// Windows of [`DEFAULT_WINDOW`] that are mapped, of a file that the kernel keeps from
    /// changing.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new). A file that may change shows at the first window, as
    /// [`MapError::Unsealed`].
    pub fn sealed(file: F) -> Result<Self, MapError> {
        let length = target::look(file.as_fd())?;
        Ok(Self::of(file, length, Piece::mapped(Right::Sealed), DEFAULT_WINDOW))
    }

    /// Windows that are copied, of a file that others may cut or write to meanwhile: an error,
    /// never SIGBUS. They have 128 KiB, which is faster than more.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn checked(file: F) -> Result<Self, MapError> {
        let length = target::look(file.as_fd())?;
        Ok(Self::copying(file, length))
    }

    pub(super) fn copying(file: F, length: u64) -> Self {
        Self::of(file, length, Piece::copied(), COPIED_WINDOW)
    }

    fn of(file: F, length: u64, piece: Piece, size: usize) -> Self {
        let range = 0..length;
        Self { file, piece, range, length, open: true, size, overlap: 0, shown: 0..0 }
    }

    /// Windows of so many bytes, at least one.
    #[must_use]
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = bytes.max(1);
        self
    }

    /// Begin each window with the last so many bytes of the one before. Where a window is less
    /// than twice as long it is made so.
    #[must_use]
    pub fn overlap(mut self, bytes: usize) -> Self {
        self.overlap = bytes;
        self
    }

    /// Only these bytes of the file, fewer if it ends before.
    ///
    /// # Errors
    ///
    /// [`MapError::Beyond`] where the range begins behind the end of the file.
    pub fn range(mut self, range: Range<u64>) -> Result<Self, MapError> {
        if range.start > self.length {
            return Err(MapError::Beyond { offset: range.start, length: self.length });
        }
        let end = range.end.clamp(range.start, self.length);
        self.open = false;
        self.range = range.start..end;
        self.rewind();
        Ok(self)
    }

    /// The next window, which unmaps the one before; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`MapError::Shrunk`] where the file has lost some of its bytes, or what the system says. The
    /// next call tries the same window again.
    pub fn next_window(&mut self) -> Result<Option<Window<'_>>, MapError> {
        let overlap = self.overlap;
        self.advance(overlap)
    }

    pub(super) fn advance(&mut self, overlap: usize) -> Result<Option<Window<'_>>, MapError> {
        if self.shown.end >= self.range.end {
            return Ok(None);
        }
        let size = self.size.max(overlap.saturating_mul(2));
        let behind = self.shown.end - self.range.start;
        let overlap = overlap.min(usize::try_from(behind).unwrap_or(usize::MAX));
        let start = self.shown.end - overlap as u64;
        let end = self.range.end.min(start.saturating_add(size as u64));
        self.piece.show(self.file.as_fd(), start..end, self.length)?;
        self.shown = start..end;
        Ok(Some(Window { bytes: self.piece.bytes(), offset: start, overlap }))
    }

    /// Begins anew, and shows nothing until then.
    pub fn rewind(&mut self) {
        self.piece.clear();
        self.shown = self.range.start..self.range.start;
    }

    /// Looks how long the file is by now: windows of what was added follow.
    ///
    /// # Errors
    ///
    /// What `fstat` says.
    pub fn refresh(&mut self) -> Result<u64, MapError> {
        self.length = target::length(self.file.as_fd())?;
        if self.open {
            self.range.end = self.length;
        }
        Ok(self.length)
    }

    /// Where `pattern` lies in the file, from the first window on: each match once, also one that
    /// crosses a border, and none that overlaps the one before. An empty pattern lies nowhere.
    ///
    /// ```
    /// use fdflow::map::Windows;
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("f");
    /// # std::fs::write(&path, "to be or not to be")?;
    /// let mut windows = Windows::checked(std::fs::File::open(path)?)?.size(4);
    /// let found: Result<Vec<u64>, _> = windows.matches(b"to be").collect();
    /// assert_eq!(found?, [0, 13]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn matches<'a>(&'a mut self, pattern: &'a [u8]) -> Matches<'a, F> {
        self.rewind();
        Matches::new(self, pattern)
    }

    /// What is shown, and where it lies.
    pub(super) fn shown(&self) -> (u64, &[u8]) {
        (self.shown.start, self.piece.bytes())
    }
}
