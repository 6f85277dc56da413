//! `Read`, `BufRead` and `Seek` on a buffer, and the source that it is.

use std::io::{self, BufRead, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use super::{Buffered, MOST};
use crate::kind::Kind;
use crate::map::{sought, target};
use crate::source::{self, Source};

impl Read for Buffered {
    #[inline]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.ahead().is_empty() && self.goes_past(buffer.len()) {
            return self.read_past(buffer);
        }
        let ahead = self.fill_buf()?;
        let n = ahead.len().min(buffer.len());
        buffer[..n].copy_from_slice(&ahead[..n]);
        self.consume(n);
        Ok(n)
    }

    fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> io::Result<usize> {
        let before = bytes.len();
        let known = self.length.saturating_sub(self.at);
        bytes.reserve(usize::try_from(known).unwrap_or(0).saturating_add(1));
        loop {
            // Past the buffer once that is used up.
            bytes.extend_from_slice(self.ahead());
            self.at += self.ahead().len() as u64;
            if self.has_all() && !self.has_grown()? {
                break;
            }
            if bytes.capacity() == bytes.len() {
                bytes.reserve(MOST);
            }
            let n = self.read_at(self.at, bytes)?;
            self.came(self.at, n)?;
            self.at = self.after;
            if n == 0 {
                break;
            }
        }
        Ok(bytes.len() - before)
    }
}

impl BufRead for Buffered {
    #[inline]
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead().is_empty() {
            self.fetch()?;
        }
        Ok(self.ahead())
    }

    #[inline]
    fn consume(&mut self, n: usize) {
        self.at += n.min(self.ahead().len()) as u64;
    }
}

impl Seek for Buffered {
    #[inline]
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        if !self.placed {
            return Err(Errno::SPIPE.into());
        }
        let (kind, file) = (self.kind, &self.file);
        self.at = sought(to, self.at, || match kind {
            Kind::File => Ok(target::length(file.as_fd())?),
            _ => (&*file).seek(SeekFrom::End(0)),
        })?;
        Ok(self.at)
    }
}

impl Source for Buffered {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
    fn may_buffer(&self) -> bool {
        !self.ahead().is_empty()
    }
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<source::Buffered> {
        let n = self.ahead().len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.ahead()[..n]);
        self.consume(n);
        Ok(source::Buffered { n, more: self.may_buffer() })
    }
    fn offset(&self) -> Option<u64> {
        let next = self.at + self.ahead().len() as u64;
        self.placed.then_some(next)
    }
    fn advanced(&mut self, n: u64) {
        self.at = self.at.saturating_add(n);
        if !self.placed {
            // What is in the buffer lies before that.
            self.buffer.clear();
            self.base = self.at;
        }
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer)
    }
}
