//! Reading a file that others may cut meanwhile.

use std::os::fd::{AsFd, BorrowedFd};

use super::error::MapError;
use super::target;
use super::windows::Windows;

/// A file to be read at any offset, that others may cut or write to meanwhile: an error, never
/// SIGBUS.
///
/// It is what [`Map`](super::Map) is, but that bytes are asked for and copied rather than lent: each
/// read is a `pread`. What the file has lost since it was looked at is [`MapError::Shrunk`]; what was
/// written to it shows, or half of it, as in any read. [`windows`](Self::windows) walks and
/// searches it.
///
/// ```
/// use fdflow::map::{Checked, MapError};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("log");
/// # std::fs::write(&path, [7; 10_000])?;
/// let log = Checked::new(std::fs::File::open(&path)?)?;
/// let mut record = [0; 100];
/// log.read_exact_at(&mut record, 9_000)?;
///
/// // Another process starts the log anew.
/// # std::fs::write(&path, "")?;
/// let error = log.read_exact_at(&mut record, 9_000).unwrap_err();
/// assert!(matches!(error, MapError::Shrunk { before: 10_000, now: 0, .. }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Checked<F> {
    file: F,
    length: u64,
}

impl<F: AsFd> Checked<F> {
    /// Looks at the file, which must be a regular one that is open for reading.
    ///
    /// # Errors
    ///
    /// It is none, or is not, or what the system says.
    pub fn new(file: F) -> Result<Self, MapError> {
        let length = target::look(file.as_fd())?;
        Ok(Self { file, length })
    }

    /// The length that the file had when it was looked at, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it had none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Looks how long the file is by now, and takes that for its length.
    ///
    /// # Errors
    ///
    /// What `fstat` says.
    pub fn refresh(&mut self) -> Result<u64, MapError> {
        self.length = target::length(self.file.as_fd())?;
        Ok(self.length)
    }

    /// Reads the bytes at `offset`: as many as the buffer has room for, fewer only where the file
    /// ends. 0 is the end.
    ///
    /// # Errors
    ///
    /// [`MapError::Shrunk`], or what `pread` says.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, MapError> {
        let there = self.length.saturating_sub(offset);
        let n = buffer.len().min(usize::try_from(there).unwrap_or(usize::MAX));
        target::read_known(self.file.as_fd(), &mut buffer[..n], offset, self.length)?;
        Ok(n)
    }

    /// Reads the bytes at `offset` until the buffer is full.
    ///
    /// # Errors
    ///
    /// [`MapError::Beyond`] where the file has not so many, or as for [`read_at`](Self::read_at).
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), MapError> {
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.length {
            return Err(MapError::Beyond { offset: end, length: self.length });
        }
        self.read_at(buffer, offset).map(drop)
    }

    /// Walks and searches it, window by window.
    pub fn windows(&self) -> Windows<BorrowedFd<'_>> {
        Windows::copying(self.file.as_fd(), self.length)
    }

    /// The file.
    pub fn into_inner(self) -> F {
        self.file
    }
}
