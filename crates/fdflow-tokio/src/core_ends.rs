//! The ends as the core sees them.

use std::io;
use std::os::fd::BorrowedFd;

use fdflow::{Buffered, Sink, Source};

use crate::end::{AsyncSink, AsyncSource};

/// A source, and the bytes that go before its own.
#[derive(Debug)]
pub(crate) struct Taking<S> {
    end: S,
    prefix: Vec<u8>,
    /// So much of the prefix has been handed out.
    handed: usize,
}

impl<S> Taking<S> {
    pub(crate) fn new(end: S) -> Self {
        Self { end, prefix: Vec::new(), handed: 0 }
    }

    pub(crate) fn set_prefix(&mut self, bytes: Vec<u8>) {
        (self.prefix, self.handed) = (bytes, 0);
    }

    /// What has not been handed out of the prefix.
    pub(crate) fn prefix(&self) -> &[u8] {
        &self.prefix[self.handed..]
    }
}

impl<S: AsyncSource> Source for Taking<S> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.end.descriptor()
    }

    fn may_buffer(&self) -> bool {
        !self.prefix().is_empty()
    }

    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        let n = self.prefix().len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.prefix()[..n]);
        self.handed += n;
        if self.prefix().is_empty() {
            (self.prefix, self.handed) = (Vec::new(), 0);
        }
        Ok(Buffered { n, more: self.may_buffer() })
    }

    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.end.read(buffer)
    }
}

/// A sink.
#[derive(Debug)]
pub(crate) struct Giving<D>(pub(crate) D);

impl<D: AsyncSink> Sink for Giving<D> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.0.descriptor()
    }

    fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}
