//! The ends as the core sees them.

use std::io;
use std::os::fd::BorrowedFd;

use fdflow::{Buffered, Sink, Source};

use crate::end::{AsyncSink, AsyncSource};

/// A source, and the bytes that go before its own.
#[derive(Debug)]
pub(crate) struct Taking<S> {
    end: S,
    /// Boxed: few flows have one, and not for long.
    prefix: Option<Box<Prefix>>,
}

#[derive(Debug)]
struct Prefix {
    bytes: Vec<u8>,
    /// So many of them have been handed out.
    handed: usize,
}

impl<S> Taking<S> {
    pub(crate) fn new(end: S) -> Self {
        Self { end, prefix: None }
    }

    pub(crate) fn set_prefix(&mut self, bytes: Vec<u8>) {
        self.prefix = Some(Box::new(Prefix { bytes, handed: 0 }));
    }

    /// What has not been handed out of the prefix.
    pub(crate) fn prefix(&self) -> &[u8] {
        self.prefix.as_ref().map_or(&[], |prefix| &prefix.bytes[prefix.handed..])
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
        if let Some(prefix) = &mut self.prefix {
            prefix.handed += n;
        }
        if self.prefix().is_empty() {
            self.prefix = None;
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
