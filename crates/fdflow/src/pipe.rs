//! A pipe of the program's own, filled and drained by the best route.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::error::TransferError;
use crate::report::Report;
use crate::source::{Sink, Source};
use crate::sys::{Kernel, System};
use crate::tee::Teed;
use crate::transfer::Transfer;

/// A pipe: what is put in at its [`WriteEnd`] comes out of its [`ReadEnd`], in order.
///
/// [`split`](Self::split) it to fill it on one thread and drain it on another. Nothing can be
/// done with an end that is closed, and a reader sees the end of the bytes when the write end is
/// dropped; so there is no state to ask about, and no close to forget but that of a variable
/// that lives too long.
///
/// * **Blocking.** Both ends block: a fill waits while the pipe is full, a drain while it is
///   empty. A whole `Pipe` in one hand that is filled with more than it holds waits for ever.
/// * **Capacity** is in bytes but counted in pages: a page holds what one write or one network
///   segment left in it, so that a pipe may be full with less.
/// * **Errors.** Writing to a pipe whose read end is closed fails with `BrokenPipe`.
///
/// ```
/// use std::{fs::File, thread};
/// use fdflow::Pipe;
/// # let dir = tempfile::tempdir()?;
/// # let (from, to) = (dir.path().join("from"), dir.path().join("to"));
/// # std::fs::write(&from, vec![7; 300_000])?;
/// # let (input, mut output) = (File::open(&from)?, File::create(&to)?);
/// let (mut reader, mut writer) = Pipe::with_capacity(1 << 20)?.split();
/// let filling = thread::spawn(move || writer.fill_from(&input)); // drops the write end
/// let drained = reader.drain_to(&mut output)?;
/// let filled = filling.join().unwrap()?;
/// assert_eq!((filled.bytes(), drained.bytes()), (300_000, 300_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pipe {
    reader: ReadEnd,
    writer: WriteEnd,
}

impl Pipe {
    /// A pipe of the system's usual capacity, 64 KiB on Linux.
    ///
    /// # Errors
    ///
    /// No descriptors to be had.
    pub fn new() -> io::Result<Self> {
        Ok(io::pipe()?.into())
    }

    /// A pipe that holds `bytes` bytes, or as many of them as the system grants.
    ///
    /// The system rounds up to a power of two of pages, and an unprivileged user gets no more
    /// than `/proc/sys/fs/pipe-max-size`: [`capacity`](Self::capacity) tells what was got.
    ///
    /// ```
    /// let pipe = fdflow::Pipe::with_capacity(100_000)?;
    /// # #[cfg(not(fdflow_portable))]
    /// assert_eq!(pipe.capacity()?, 131_072);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No descriptors to be had. A capacity that is not granted is no error.
    pub fn with_capacity(bytes: usize) -> io::Result<Self> {
        let pipe = Self::new()?;
        let mut wanted = bytes;
        while let Err(error) = pipe.set_capacity(wanted) {
            let usual = pipe.capacity().unwrap_or(usize::MAX);
            if error.kind() == io::ErrorKind::Unsupported || wanted / 2 <= usual {
                break;
            }
            wanted /= 2;
        }
        Ok(pipe)
    }

    /// How many bytes it can hold.
    ///
    /// # Errors
    ///
    /// `Unsupported` where the system does not tell.
    pub fn capacity(&self) -> io::Result<usize> {
        self.reader.capacity()
    }

    /// Asks for room for `bytes` bytes and returns the capacity that was got.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`: more than this user may have. `ResourceBusy`: it holds more than would
    /// fit. The capacity is then as it was.
    pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
        self.reader.set_capacity(bytes)
    }

    /// How many bytes it holds now.
    ///
    /// # Errors
    ///
    /// None that is known.
    pub fn len(&self) -> io::Result<usize> {
        self.reader.len()
    }

    /// Whether it holds no bytes now.
    ///
    /// # Errors
    ///
    /// As for [`len`](Self::len).
    pub fn is_empty(&self) -> io::Result<bool> {
        self.reader.is_empty()
    }

    /// The end that bytes come out of.
    pub fn reader(&mut self) -> &mut ReadEnd {
        &mut self.reader
    }

    /// The end that bytes go into.
    pub fn writer(&mut self) -> &mut WriteEnd {
        &mut self.writer
    }

    /// The two ends, to be used at once on different threads, and closed by dropping them.
    #[must_use]
    pub fn split(self) -> (ReadEnd, WriteEnd) {
        (self.reader, self.writer)
    }

    /// Closes the read end: writing fails with `BrokenPipe` from now on, and what the pipe holds
    /// is lost.
    #[must_use]
    pub fn close_read(self) -> WriteEnd {
        self.writer
    }

    /// Closes the write end: reading ends behind what the pipe holds.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// let mut pipe = fdflow::Pipe::new()?;
    /// pipe.writer().write_all(b"the last words")?;
    /// assert_eq!(pipe.len()?, 14);
    /// let mut words = String::new();
    /// pipe.close_write().read_to_string(&mut words)?;
    /// assert_eq!(words, "the last words");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn close_write(self) -> ReadEnd {
        self.reader
    }
}

impl From<(io::PipeReader, io::PipeWriter)> for Pipe {
    /// Two ends that are not of one pipe stay the two that they are.
    fn from((reader, writer): (io::PipeReader, io::PipeWriter)) -> Self {
        Self { reader: reader.into(), writer: writer.into() }
    }
}

impl From<Pipe> for (io::PipeReader, io::PipeWriter) {
    fn from(pipe: Pipe) -> Self {
        (pipe.reader.into(), pipe.writer.into())
    }
}

/// The end of a pipe that bytes come out of; a [`Source`].
///
/// Closed by dropping it. For limits, cancelling and other options give it to a
/// [`Transfer`](crate::Transfer).
#[derive(Debug)]
pub struct ReadEnd(io::PipeReader);

/// The end of a pipe that bytes go into; a [`Sink`].
///
/// Closed by dropping it: then the reader comes to the end. For limits, cancelling and other
/// options give it to a [`Transfer`](crate::Transfer).
#[derive(Debug)]
pub struct WriteEnd(io::PipeWriter);

impl ReadEnd {
    /// Moves all that comes out of the pipe into `sink`, until the write end is closed and the
    /// pipe is empty.
    ///
    /// Blocks while the pipe is empty and while the sink takes nothing. Splices in one call where
    /// the sink has a descriptor, and goes through user space where it has none or refuses.
    ///
    /// # Errors
    ///
    /// The first failure of the sink. Its [`undelivered`](TransferError::undelivered) bytes had
    /// left the pipe; what the pipe still holds stays there.
    pub fn drain_to(&mut self, sink: impl Sink) -> Result<Report, TransferError> {
        finish(Transfer::new(&self.0, sink))
    }

    /// As [`drain_to`](Self::drain_to), but at most `limit` bytes, and not a byte more is taken.
    ///
    /// # Errors
    ///
    /// As for [`drain_to`](Self::drain_to).
    pub fn drain_up_to(&mut self, limit: u64, sink: impl Sink) -> Result<Report, TransferError> {
        finish(Transfer::new(&self.0, sink).limit(limit))
    }

    /// Mirrors what comes out of the pipe from now on to `mirror` too; see [`Teed`].
    ///
    /// Does not block. Bytes that the pipe holds by now are mirrored too.
    #[must_use = "the pipe is drained through what this returns"]
    pub fn tee<M: Sink>(self, mirror: M) -> Teed<M> {
        Teed::new(self, mirror)
    }
}

impl WriteEnd {
    /// Moves all that `source` gives into the pipe.
    ///
    /// Blocks while the source gives nothing and while the pipe is full. The pipe stays open at
    /// the source's end.
    ///
    /// # Errors
    ///
    /// The first failure of the source, or `BrokenPipe` when the read end was closed. Its
    /// [`undelivered`](TransferError::undelivered) bytes had been taken from the source.
    pub fn fill_from(&mut self, source: impl Source) -> Result<Report, TransferError> {
        finish(Transfer::new(source, &self.0))
    }

    /// As [`fill_from`](Self::fill_from), but at most `limit` bytes, and not a byte more is taken.
    ///
    /// ```
    /// let mut pipe = fdflow::Pipe::new()?;
    /// let mut source = &b"0123456789"[..];
    /// pipe.writer().fill_up_to(4, fdflow::Plain(&mut source))?;
    /// assert_eq!((pipe.len()?, source), (4, &b"456789"[..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`fill_from`](Self::fill_from).
    pub fn fill_up_to(&mut self, limit: u64, source: impl Source) -> Result<Report, TransferError> {
        finish(Transfer::new(source, &self.0).limit(limit))
    }
}

fn finish<S: Source, D: Sink>(mut transfer: Transfer<S, D>) -> Result<Report, TransferError> {
    transfer.run().map_err(|error| {
        let undelivered = transfer.take_undelivered();
        error.with_undelivered(undelivered)
    })
}

/// What both ends know of their pipe, and what they are besides.
macro_rules! end {
    ($end:ident, $std:ty) => {
        impl $end {
            /// How many bytes the pipe can hold; see [`Pipe::capacity`].
            ///
            /// # Errors
            ///
            /// As for [`Pipe::capacity`].
            pub fn capacity(&self) -> io::Result<usize> {
                told(System.capacity(self.as_fd()))
            }

            /// Asks for room for `bytes` bytes; see [`Pipe::set_capacity`].
            ///
            /// # Errors
            ///
            /// As for [`Pipe::set_capacity`].
            pub fn set_capacity(&self, bytes: usize) -> io::Result<usize> {
                told(System.set_capacity(self.as_fd(), bytes))
            }

            /// How many bytes the pipe holds now; see [`Pipe::len`].
            ///
            /// # Errors
            ///
            /// As for [`Pipe::len`].
            pub fn len(&self) -> io::Result<usize> {
                told(System.held(self.as_fd()))
            }

            /// Whether the pipe holds no bytes now.
            ///
            /// # Errors
            ///
            /// As for [`Pipe::len`].
            pub fn is_empty(&self) -> io::Result<bool> {
                Ok(self.len()? == 0)
            }
        }

        impl AsFd for $end {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.0.as_fd()
            }
        }
        impl From<$std> for $end {
            fn from(end: $std) -> Self {
                Self(end)
            }
        }
        impl From<$end> for $std {
            fn from(end: $end) -> Self {
                end.0
            }
        }
        impl From<$end> for OwnedFd {
            fn from(end: $end) -> Self {
                end.0.into()
            }
        }
    };
}

end!(ReadEnd, io::PipeReader);
end!(WriteEnd, io::PipeWriter);

fn told(answer: Result<usize, Errno>) -> io::Result<usize> {
    Ok(answer?)
}

impl Read for ReadEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut self.0, buffer)
    }
    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.0.read_vectored(buffers)
    }
}

impl Write for WriteEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.0, bytes)
    }
    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.write_vectored(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for ReadEnd {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut self.0, buffer)
    }
}

impl Sink for WriteEnd {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.0, bytes)
    }
}
