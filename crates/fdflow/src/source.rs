//! What a transfer asks of the end that bytes come from, and of the one that they go to.

use std::io;
use std::os::fd::BorrowedFd;

/// Where bytes come from.
///
/// Implemented for files, sockets, pipes, standard input, children's outputs, owned and borrowed
/// descriptors and mutable references to sources; for [`Take`](std::io::Take) and
/// [`BufReader`](std::io::BufReader) around a source; and, through [`Plain`](crate::Plain), for
/// any [`Read`](std::io::Read).
///
/// # Your own type
///
/// A type that reads a descriptor and does something of its own besides keeps the kernel route
/// if it tells the transfer all that it knows: its descriptor, the bytes that it has already read
/// but not handed out, how many more it may give. In return it is told how many bytes went past
/// it. A type that must see the bytes (a hasher, a decompressor, TLS) answers `None` to
/// [`descriptor`](Self::descriptor) and gets its [`read_user`](Self::read_user) called.
///
/// ```
/// use std::{fs::File, io, os::fd::{AsFd, BorrowedFd}};
/// use fdflow::Source;
///
/// /// A file of which at most `quota` bytes may be read.
/// struct Rationed { file: File, quota: u64 }
///
/// impl Source for Rationed {
///     fn descriptor(&self) -> Option<BorrowedFd<'_>> { Some(self.file.as_fd()) }
///     fn limit(&self) -> Option<u64> { Some(self.quota) }
///     fn advanced(&mut self, n: u64) { self.quota -= n }
///     fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
///         io::Read::read(&mut self.file, buffer)
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("f");
/// # std::fs::write(&path, "0123456789")?;
/// let mut source = Rationed { file: File::open(path)?, quota: 4 };
/// let (mut reader, mut writer) = io::pipe()?;
/// let report = fdflow::copy(&mut source, &mut writer)?;
/// assert_eq!((report.bytes(), source.quota), (4, 0));
/// # drop(writer);
/// # assert_eq!(io::read_to_string(&mut reader)?, "0123");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Source {
    /// The descriptor that the next byte (after the buffered ones) would be
    /// read from, or `None` if the bytes must pass through [`read_user`](Self::read_user).
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Whether bytes that were read ahead may lie between the caller and the descriptor.
    fn may_buffer(&self) -> bool {
        false
    }

    /// Hands out bytes that were read ahead: they must go before those of the descriptor. Called
    /// at the start of a run, if [`may_buffer`](Self::may_buffer), until there is no
    /// [`more`](Buffered::more).
    ///
    /// # Errors
    ///
    /// What reading the source says; `WouldBlock` means that nothing is buffered.
    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        let _ = buffer;
        Ok(Buffered::default())
    }

    /// Where in the descriptor, a file, that next byte lies, if the source keeps its own count
    /// ([`advanced`](Self::advanced) moves it): the descriptor's position is neither used nor
    /// moved then. Asked at the start of a run, before the buffered bytes are handed out.
    fn offset(&self) -> Option<u64> {
        None
    }

    /// How many more bytes this source will give, buffered ones included, if it has a limit of
    /// its own.
    fn limit(&self) -> Option<u64> {
        None
    }

    /// `n` bytes were taken from the descriptor without passing through [`read_user`](Self::read_user).
    fn advanced(&mut self, n: u64) {
        let _ = n;
    }

    /// Reads some bytes, as [`Read::read`](std::io::Read::read) does: 0 is the end.
    ///
    /// Called only where [`descriptor`](Self::descriptor) is `None`.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong. `Interrupted` is tried again; `WouldBlock` ends the run with that
    /// error, and another run goes on where it stopped.
    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// What [`Source::read_buffered`] handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Buffered {
    /// So many bytes, at the front of the buffer.
    pub n: usize,
    /// Whether there may be more of them.
    pub more: bool,
}

/// Where bytes go.
///
/// Implemented for what [`Source`] is implemented for, where that can be written to, and for
/// [`BufWriter`](std::io::BufWriter) around a sink; through [`Plain`](crate::Plain) for any
/// [`Write`](std::io::Write).
pub trait Sink {
    /// The descriptor that the next byte would be written to once [`flush_buffered`](Self::flush_buffered) has been
    /// called, or `None` if the bytes must pass through [`write_user`](Self::write_user).
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Writes out what was buffered before the transfer. Called at the start of every run, before
    /// the first byte.
    ///
    /// # Errors
    ///
    /// Whatever goes wrong. After `WouldBlock` it is called again when the descriptor is writable.
    fn flush_buffered(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// `n` bytes were given to the descriptor without passing through [`write_user`](Self::write_user).
    fn advanced(&mut self, n: u64) {
        let _ = n;
    }

    /// Writes some bytes, as [`Write::write`](std::io::Write::write) does.
    ///
    /// Called only where [`descriptor`](Self::descriptor) is `None`.
    ///
    /// # Errors
    ///
    /// As for [`Source::read_user`].
    fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize>;
}
