//! Wrappers for sources and sinks: any `Read` or `Write`, and a count that costs no route.

use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::source::{Buffered, Sink, Source};

/// Any [`Read`] as a [`Source`], any [`Write`] as a [`Sink`], through user space.
///
/// For what must see the bytes: hashers, compressors, TLS, memory. Nothing is flushed at the end;
/// that is the caller's, who knows whether more is to come.
///
/// ```
/// let mut out = fdflow::Plain(Vec::new());
/// fdflow::copy(&mut fdflow::Plain(&b"from memory"[..]), &mut out)?;
/// assert_eq!(out.0, b"from memory");
/// # Ok::<(), fdflow::TransferError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain<T>(pub T);

impl<R: Read> Source for Plain<R> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl<W: Write> Sink for Plain<W> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }
}

/// Counts what passes through a source or a sink, by whatever route it passes.
///
/// The count can be read from elsewhere while the transfer runs.
///
/// ```
/// use fdflow::Counted;
/// let (mut reader, mut writer) = std::io::pipe()?;
/// std::io::Write::write_all(&mut writer, b"twelve bytes")?;
/// drop(writer);
/// let mut source = Counted::new(reader);
/// let count = source.count();
/// fdflow::copy(&mut source, &mut fdflow::Plain(Vec::new()))?;
/// assert_eq!(count.get(), 12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Counted<T> {
    inner: T,
    count: Count,
}

/// The number of bytes that a [`Counted`] has seen; clones are the same count.
#[derive(Debug, Clone, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// Bytes so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
}

impl<T> Counted<T> {
    /// Counts what passes through `inner` from now on.
    pub fn new(inner: T) -> Self {
        Self { inner, count: Count::default() }
    }

    /// A handle to the count.
    pub fn count(&self) -> Count {
        self.count.clone()
    }

    /// What is wrapped.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// What is wrapped, without the count.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<S: Source> Source for Counted<S> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }
    fn may_buffer(&self) -> bool {
        self.inner.may_buffer()
    }
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        let ahead = self.inner.read_buffered(buffer)?;
        self.count.add(ahead.n as u64);
        Ok(ahead)
    }
    fn offset(&self) -> Option<u64> {
        self.inner.offset()
    }
    fn limit(&self) -> Option<u64> {
        self.inner.limit()
    }
    fn advanced(&mut self, n: u64) {
        self.count.add(n);
        self.inner.advanced(n);
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read_user(buffer)?;
        self.count.add(n as u64);
        Ok(n)
    }
}

impl<D: Sink> Sink for Counted<D> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }
    fn flush_buffered(&mut self) -> io::Result<()> {
        self.inner.flush_buffered()
    }
    fn advanced(&mut self, n: u64) {
        self.count.add(n);
        self.inner.advanced(n);
    }
    fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write_user(bytes)?;
        self.count.add(n as u64);
        Ok(n)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count.add(n as u64);
        Ok(n)
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.count.add(n as u64);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
