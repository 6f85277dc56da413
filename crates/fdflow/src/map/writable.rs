//! A file, or memory, as a slice that is written to.
#![allow(unsafe_code, reason = "a mapping of a file that may change is")]

use std::io;
use std::ops::{Deref, DerefMut, RangeBounds};
use std::os::fd::AsFd;

use memmap2::MmapMut;

use super::advice::{self, Advice};
use super::error::MapError;
use super::options::MapOptions;

/// A file, a part of it, a private copy of either, or memory without a file, as a slice that is
/// written to.
///
/// What is written to a file reaches it without [`flush`](Self::flush), also when the process
/// dies; what is flushed survives that the machine does.
///
/// ```
/// use fdflow::map::MapMut;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("counters");
/// # std::fs::write(&path, [0; 16])?;
/// let file = std::fs::File::options().read(true).write(true).open(&path)?;
/// // SAFETY: the counters belong to this process, which holds a lock on them.
/// let mut counters = unsafe { MapMut::new(&file) }?;
/// counters[3] += 1;
/// counters.flush_range(3..4)?;
/// assert_eq!(std::fs::read(&path)?[3], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MapMut {
    /// `None` where it is empty.
    mapped: Option<MmapMut>,
    offset: u64,
}

impl MapMut {
    pub(super) fn of(mapped: Option<MmapMut>, offset: u64) -> Self {
        Self { mapped, offset }
    }

    /// Maps a whole file; what is written reaches it.
    ///
    /// # Safety
    ///
    /// As for [`MapOptions::map_mut`].
    ///
    /// # Errors
    ///
    /// As for [`MapOptions::map_mut`].
    pub unsafe fn new(file: impl AsFd) -> Result<Self, MapError> {
        // SAFETY: what the caller promises is what is asked for here.
        unsafe { MapOptions::new().map_mut(file) }
    }

    /// Maps a whole file; what is written stays in this process.
    ///
    /// # Safety
    ///
    /// As for [`MapOptions::map_copy`].
    ///
    /// # Errors
    ///
    /// As for [`MapOptions::map_copy`].
    pub unsafe fn copy_on_write(file: impl AsFd) -> Result<Self, MapError> {
        // SAFETY: what the caller promises is what is asked for here.
        unsafe { MapOptions::new().map_copy(file) }
    }

    /// `length` bytes of memory without a file, zeroed.
    ///
    /// # Errors
    ///
    /// As for [`MapOptions::anonymous`].
    pub fn anonymous(length: usize) -> Result<Self, MapError> {
        MapOptions::new().length(length).anonymous()
    }

    /// Where in the file the first byte lies.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Waits until all of it is on the disk. Of a private copy, or memory, nothing is to be there.
    ///
    /// # Errors
    ///
    /// What `msync` says: the disk is full or broken.
    pub fn flush(&self) -> Result<(), MapError> {
        self.flush_range(..)
    }

    /// As [`flush`](Self::flush), of a part; the kernel takes whole pages.
    ///
    /// # Errors
    ///
    /// [`MapError::Outside`], or as for [`flush`](Self::flush).
    pub fn flush_range(&self, range: impl RangeBounds<usize>) -> Result<(), MapError> {
        self.sync(range, MmapMut::flush_range)
    }

    /// Begins to write all of it to the disk, without waiting.
    ///
    /// # Errors
    ///
    /// What `msync` says. What goes wrong later is told by the next [`flush`](Self::flush).
    pub fn flush_async(&self) -> Result<(), MapError> {
        self.flush_async_range(..)
    }

    /// As [`flush_async`](Self::flush_async), of a part.
    ///
    /// # Errors
    ///
    /// [`MapError::Outside`], or as for [`flush_async`](Self::flush_async).
    pub fn flush_async_range(&self, range: impl RangeBounds<usize>) -> Result<(), MapError> {
        self.sync(range, MmapMut::flush_async_range)
    }

    fn sync(
        &self,
        range: impl RangeBounds<usize>,
        by: fn(&MmapMut, usize, usize) -> io::Result<()>,
    ) -> Result<(), MapError> {
        let (start, length) = advice::part(range, self.len())?;
        let Some(mapped) = self.mapped.as_ref().filter(|_| length > 0) else { return Ok(()) };
        by(mapped, start, length).map_err(|cause| MapError::system("msync", cause))
    }

    /// Says how all of it will be used.
    ///
    /// # Errors
    ///
    /// What `madvise` says.
    pub fn advise(&self, advice: Advice) -> Result<(), MapError> {
        self.advise_range(advice, ..)
    }

    /// Says how a part will be used; the kernel takes whole pages.
    ///
    /// # Errors
    ///
    /// [`MapError::Outside`], or what `madvise` says.
    pub fn advise_range(
        &self,
        advice: Advice,
        range: impl RangeBounds<usize>,
    ) -> Result<(), MapError> {
        let (start, length) = advice::part(range, self.len())?;
        let Some(mapped) = self.mapped.as_ref().filter(|_| length > 0) else { return Ok(()) };
        advice::advise(advice, |said| mapped.advise_range(said, start, length))
    }

    /// Keeps all of it in memory, until [`unlock`](Self::unlock) or the end of the mapping.
    ///
    /// # Errors
    ///
    /// What `mlock` says: often that the limit on locked memory is reached.
    pub fn lock(&self) -> Result<(), MapError> {
        let Some(mapped) = &self.mapped else { return Ok(()) };
        mapped.lock().map_err(|cause| MapError::system("mlock", cause))
    }

    /// Allows it to leave memory again.
    ///
    /// # Errors
    ///
    /// What `munlock` says.
    pub fn unlock(&self) -> Result<(), MapError> {
        let Some(mapped) = &self.mapped else { return Ok(()) };
        mapped.unlock().map_err(|cause| MapError::system("munlock", cause))
    }
}

impl Deref for MapMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.mapped.as_deref().unwrap_or_default()
    }
}

impl DerefMut for MapMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.mapped.as_deref_mut().unwrap_or_default()
    }
}

impl AsRef<[u8]> for MapMut {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for MapMut {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}
