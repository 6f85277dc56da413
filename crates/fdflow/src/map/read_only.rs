//! A file as a slice that is only read.
#![allow(unsafe_code, reason = "a mapping of a file that may change is")]

use std::ops::{Deref, RangeBounds};
use std::os::fd::AsFd;

use memmap2::Mmap;

use super::advice::{self, Advice};
use super::error::MapError;
use super::options::MapOptions;

/// A file, or a part of it, as a slice that is only read.
///
/// It does not keep the descriptor, and shows the length that the file had when it was mapped: what
/// is added later takes another mapping. Empty maps are backed by nothing.
#[derive(Debug)]
pub struct Map {
    /// `None` where it is empty.
    mapped: Option<Mmap>,
    offset: u64,
}

impl Map {
    pub(super) fn of(mapped: Option<Mmap>, offset: u64) -> Self {
        Self { mapped, offset }
    }

    /// Maps a whole file; for a part, see [`MapOptions`].
    ///
    /// # Safety
    ///
    /// Nobody may cut the file, nor write to it, while the mapping lives; see [the module](super).
    ///
    /// # Errors
    ///
    /// As for [`MapOptions::map`].
    pub unsafe fn new(file: impl AsFd) -> Result<Self, MapError> {
        // SAFETY: what the caller promises is what is asked for here.
        unsafe { MapOptions::new().map(file) }
    }

    /// Maps the whole of a file that the kernel keeps from changing.
    ///
    /// # Errors
    ///
    /// As for [`MapOptions::map_sealed`].
    ///
    /// ```
    /// # #[cfg(target_os = "linux")] {
    /// use std::{fs::File, io::Write};
    /// use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    ///
    /// let mut file = File::from(memfd_create("table", MemfdFlags::ALLOW_SEALING)?);
    /// file.write_all(b"twelve bytes")?;
    /// assert!(fdflow::map::Map::sealed(&file).is_err());
    /// fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::WRITE)?;
    /// assert_eq!(&*fdflow::map::Map::sealed(&file)?, b"twelve bytes");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sealed(file: impl AsFd) -> Result<Self, MapError> {
        MapOptions::new().map_sealed(file)
    }

    /// Where in the file the first byte lies.
    #[must_use]
    #[inline]
    pub fn offset(&self) -> u64 {
        self.offset
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

    /// Reads all of it into memory and keeps it there, until [`unlock`](Self::unlock) or the end
    /// of the mapping. The file can be cut all the same.
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

impl Deref for Map {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.mapped.as_deref().unwrap_or_default()
    }
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
