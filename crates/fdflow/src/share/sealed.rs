//! A sealed memfd, mapped: the slice that never changes, and the source of transfers.
#![allow(
    unsafe_code,
    reason = "a mapping is memory of which only its file's seals say that it stays"
)]

use std::fmt;
use std::io::{self, BufWriter, Read, Write};
use std::ops::Deref;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use memmap2::{Mmap, MmapOptions};

use super::builder::SealedBuilder;
use super::reader::SealedReader;
use super::verify::{Flaw, NotSealed, verified_length};
use crate::source::Source;
use crate::transfer::Transfer;

/// What a reader is copied through.
const BUFFER: usize = 256 << 10;

/// Bytes that cannot change any more: a memfd with all its seals (write, shrink, grow, seal), mapped.
///
/// * **Filled** from [bytes](Self::from_bytes), a [reader](Self::from_reader) or a
///   [transfer](Self::from_source), or piece by piece by a [`SealedBuilder`].
/// * **Read** as a slice, which it dereferences to, without a copy: by any thread, and by any process
///   that was [sent](super::send) its descriptor. A clone is the same mapping.
/// * **Moved** by any number of [`reader`](Self::reader)s, each a [`Source`] with a position of its own:
///   the same memory may be on its way to many sinks at once.
///   [`Stability::Snapshot`](crate::Stability::Snapshot) leaves it every route: it goes to sockets by
///   sendfile.
/// * **Received**: `Sealed::try_from` a descriptor verifies the seals of what came from elsewhere, and
///   gives it back where it is refused, with the reason by name.
///
/// Holes of a memfd that another process has made are memory that it has not paid for: to read them
/// as a slice has the kernel provide that memory then, and a process that it has none for dies as
/// when it touches any other memory. Look at the length before reading all of what a stranger sent.
///
/// ```
/// use fdflow::{Stability, Transfer, share::Sealed};
///
/// let page = Sealed::from_bytes(b"<h1>the same for everyone</h1>")?;
/// assert!(page.starts_with(b"<h1>"));
/// let (reader, writer) = std::io::pipe()?;
/// let report = Transfer::new(page.reader(), writer).stability(Stability::Snapshot).run()?;
/// assert_eq!(report.bytes(), 30);
/// # assert_eq!(std::io::read_to_string(reader)?.as_bytes(), &page[..]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sealed {
    inner: Arc<Inner>,
}

struct Inner {
    map: Mmap,
    fd: OwnedFd,
}

impl Sealed {
    /// A copy of `bytes`.
    ///
    /// # Errors
    ///
    /// No descriptor or no memory to be had.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Self> {
        let mut builder = SealedBuilder::new()?;
        builder.write_all(bytes)?;
        Ok(builder.seal()?)
    }

    /// Everything that `reader` gives, to its end.
    ///
    /// # Errors
    ///
    /// The reader's, and those of [`from_bytes`](Self::from_bytes).
    pub fn from_reader(mut reader: impl Read) -> io::Result<Self> {
        let mut builder = SealedBuilder::new()?;
        // The buffer is what it copies through.
        let mut buffered = BufWriter::with_capacity(BUFFER, &mut builder);
        io::copy(&mut reader, &mut buffered)?;
        buffered.flush()?;
        drop(buffered);
        Ok(builder.seal()?)
    }

    /// Everything that `source` gives, to its end, by the best route: a file or a socket is spliced.
    ///
    /// For limits, offsets and cancelling, and for the report, give a [`SealedBuilder`] to a
    /// [`Transfer`].
    ///
    /// # Errors
    ///
    /// Those of the transfer, with its [`TransferError`](crate::TransferError) inside, and those of
    /// [`from_bytes`](Self::from_bytes).
    pub fn from_source(source: impl Source) -> io::Result<Self> {
        let mut builder = SealedBuilder::new()?;
        let mut transfer = Transfer::new(source, &mut builder);
        let moved = transfer.run();
        moved.map_err(|error| error.with_undelivered(transfer.take_undelivered()))?;
        Ok(builder.seal()?)
    }

    /// A [`Source`], and a `Read`, `BufRead` and `Seek`, with a position of its own, at the beginning.
    #[must_use]
    pub fn reader(&self) -> SealedReader {
        SealedReader::new(self.clone())
    }

    /// Its descriptor, to keep: a duplicate where there are clones.
    ///
    /// # Errors
    ///
    /// No descriptor to be had for the duplicate.
    pub fn into_fd(self) -> io::Result<OwnedFd> {
        match Arc::try_unwrap(self.inner) {
            Ok(inner) => Ok(inner.fd),
            Err(shared) => shared.fd.try_clone(),
        }
    }

    fn map(fd: &OwnedFd) -> Result<Mmap, Flaw> {
        let length = verified_length(fd.as_fd())?;
        let mut options = MmapOptions::new();
        // Private, though nothing is ever written: kernels before 6.7 refuse to share a mapping of a
        // file that is sealed. The pages are the file's own all the same.
        let options = options.len(length);
        // SAFETY: the mapping is what a slice has to be, for as long as it lives. `verified_length`
        // has seen F_SEAL_WRITE, so that no process can write these pages or has them mapped for
        // writing, and F_SEAL_SHRINK, so that every page up to the length stays. Seals cannot be
        // taken off, and the mapping itself is read-only and in nobody else's hands.
        let map = unsafe { options.map_copy_read_only(fd.as_raw_fd()) };
        map.map_err(Flaw::Io)
    }
}

/// Verifies that nobody can change the memory behind a descriptor, and maps it.
///
/// It has to be a memfd of ordinary pages, open for reading, with `F_SEAL_WRITE`, `F_SEAL_SHRINK`,
/// `F_SEAL_GROW` and `F_SEAL_SEAL`. Anything else is refused with a [`Flaw`] that says what is
/// missing, and comes back in the [`NotSealed`].
impl TryFrom<OwnedFd> for Sealed {
    type Error = NotSealed;

    fn try_from(fd: OwnedFd) -> Result<Self, NotSealed> {
        match Self::map(&fd) {
            Ok(map) => Ok(Self { inner: Arc::new(Inner { map, fd }) }),
            Err(flaw) => Err(NotSealed::new(flaw, fd)),
        }
    }
}

impl Deref for Sealed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.inner.map
    }
}

impl AsRef<[u8]> for Sealed {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// For passing it on. Its position is shared by all who have it, and used by nothing here.
impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.fd.as_fd()
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealed").field("len", &self.len()).field("fd", &self.inner.fd).finish()
    }
}

/// The same memory, without a copy; its mapping lives as long as the last of the `Bytes`.
#[cfg(feature = "bytes")]
impl From<Sealed> for bytes::Bytes {
    fn from(sealed: Sealed) -> Self {
        Self::from_owner(sealed)
    }
}
