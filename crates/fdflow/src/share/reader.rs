//! A position in a sealed memfd.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};

use super::sealed::Sealed;
use crate::source::Source;

/// Reads a [`Sealed`] from a position of its own; made by [`Sealed::reader`].
///
/// A clone is another position. As a [`Source`] it goes on from its position, and is moved on by what
/// the transfer takes; the descriptor's position is left alone.
///
/// ```
/// use std::io::{BufRead, Read};
/// use fdflow::share::Sealed;
///
/// let mut reader = Sealed::from_bytes(b"a line\nand the rest")?.reader();
/// let mut line = String::new();
/// reader.read_line(&mut line)?;
/// let mut rest = fdflow::Plain(Vec::new());
/// fdflow::copy(&mut reader, &mut rest)?;
/// assert_eq!(rest.0, b"and the rest");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SealedReader {
    sealed: Sealed,
    /// May lie behind the end.
    at: u64,
}

impl SealedReader {
    pub(super) fn new(sealed: Sealed) -> Self {
        Self { sealed, at: 0 }
    }

    /// What is read.
    #[must_use]
    pub fn get_ref(&self) -> &Sealed {
        &self.sealed
    }

    /// What is read, without the position.
    #[must_use]
    pub fn into_inner(self) -> Sealed {
        self.sealed
    }

    /// Where the next byte lies; it may be behind the end.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.at
    }

    fn rest(&self) -> &[u8] {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        self.sealed.get(at..).unwrap_or_default()
    }
}

impl AsFd for SealedReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.sealed.as_fd()
    }
}

impl Read for SealedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = Read::read(&mut self.rest(), buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl BufRead for SealedReader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest())
    }
    fn consume(&mut self, n: usize) {
        self.at += n.min(self.rest().len()) as u64;
    }
}

impl Seek for SealedReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => (self.sealed.len() as u64).checked_add_signed(by),
        };
        let Some(at) = at else {
            let message = "a position before the beginning, or behind the last that there is";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        self.at = at;
        Ok(at)
    }
}

impl Source for SealedReader {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.sealed.as_fd())
    }
    fn offset(&self) -> Option<u64> {
        Some(self.at)
    }
    fn advanced(&mut self, n: u64) {
        self.at = self.at.saturating_add(n);
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }
}
