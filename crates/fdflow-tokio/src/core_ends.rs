//! The ends as the core sees them.

use std::io;
use std::os::fd::BorrowedFd;

use fdflow::{Buffered, Sink, Source};

use crate::end::{AsyncSink, AsyncSource};

/// A source, the bytes that go before its own, and how far into it the transfer is.
#[derive(Debug)]
pub(crate) struct Taking<S> {
    end: S,
    /// Boxed: few flows have one.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    prefix: Vec<u8>,
    /// So many bytes of the prefix have been handed out.
    handed: usize,
    /// So many bytes were taken from a source that has an offset, and does not count them.
    taken: u64,
}

impl<S> Taking<S> {
    pub(crate) fn new(end: S) -> Self {
        Self { end, rare: None }
    }

    pub(crate) fn set_prefix(&mut self, bytes: Vec<u8>) {
        let rare = self.rare.get_or_insert_default();
        (rare.prefix, rare.handed) = (bytes, 0);
    }

    /// What has not been handed out of the prefix.
    pub(crate) fn prefix(&self) -> &[u8] {
        self.rare.as_ref().map_or(&[], |rare| &rare.prefix[rare.handed..])
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
        if let Some(rare) = &mut self.rare {
            rare.handed += n;
        }
        if self.prefix().is_empty() {
            self.rare.take_if(|rare| rare.taken == 0);
        }
        Ok(Buffered { n, more: self.may_buffer() })
    }

    fn offset(&self) -> Option<u64> {
        let taken = self.rare.as_ref().map_or(0, |rare| rare.taken);
        self.end.offset().map(|at| at.saturating_add(taken))
    }

    fn advanced(&mut self, n: u64) {
        if self.end.offset().is_some() {
            self.rare.get_or_insert_default().taken += n;
        }
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
