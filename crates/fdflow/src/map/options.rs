//! Which part of a file is mapped, and how.
#![allow(unsafe_code, reason = "a mapping of a file that may change is")]

use std::os::fd::{AsFd, AsRawFd};

use super::advice::Advice;
use super::error::MapError;
use super::read_only::Map;
use super::target;
use super::writable::MapMut;

/// Which part of a file is mapped, and how: the whole of it if nothing is said.
///
/// ```
/// use fdflow::map::MapOptions;
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("f");
/// # std::fs::write(&path, "0123456789")?;
/// let file = std::fs::File::open(path)?;
/// // SAFETY: nobody else has this file.
/// let map = unsafe { MapOptions::new().offset(3).length(4).map(&file) }?;
/// assert_eq!((&map[..], map.offset()), (&b"3456"[..], 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MapOptions {
    offset: u64,
    length: Option<usize>,
    populate: bool,
    huge_pages: bool,
}

impl MapOptions {
    /// The whole file, page by page as it is read.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begin at this byte of the file. It need not lie at the start of a page.
    #[must_use]
    pub fn offset(mut self, bytes: u64) -> Self {
        self.offset = bytes;
        self
    }

    /// Map so many bytes; fewer if the file ends before.
    #[must_use]
    pub fn length(mut self, bytes: usize) -> Self {
        self.length = Some(bytes);
        self
    }

    /// Read everything at once ([`Advice::Populate`]), and fail if it cannot be had.
    #[must_use]
    pub fn populate(mut self) -> Self {
        self.populate = true;
        self
    }

    /// Huge pages where they can be had ([`Advice::HugePages`]).
    #[must_use]
    pub fn huge_pages(mut self) -> Self {
        self.huge_pages = true;
        self
    }

    /// Maps for reading.
    ///
    /// The descriptor may be closed afterwards. An empty file or part makes no system call to map.
    ///
    /// # Safety
    ///
    /// Nobody may cut the mapped part of the file, nor write to it, while the mapping lives; see
    /// [the module](super).
    ///
    /// # Errors
    ///
    /// No regular file that is open for reading, an offset behind its end, more than there are
    /// addresses for, or what the system says.
    pub unsafe fn map(&self, file: impl AsFd) -> Result<Map, MapError> {
        let file = file.as_fd();
        let length = self.part(target::look(file)?)?;
        let mapped = self.given(length).map(|options| {
            // SAFETY: what the caller promises is what is asked for here.
            unsafe { options.map(file.as_raw_fd()) }
        });
        self.finish(mapped.transpose())
    }

    /// Maps for reading what the kernel keeps from changing: a memfd sealed against cutting and
    /// writing, a file protected by fs-verity, or nothing (an empty part of any file).
    ///
    /// A file whose protected content has rotted on its disk raises SIGBUS all the same.
    ///
    /// # Errors
    ///
    /// [`MapError::Unsealed`], and those of [`map`](Self::map).
    pub fn map_sealed(&self, file: impl AsFd) -> Result<Map, MapError> {
        let file = file.as_fd();
        let length = self.part(target::look(file)?)?;
        let mapped = self.given(length).map(|options| options.map_if_safe(file.as_raw_fd()));
        let mapped = mapped.transpose().map_err(|error| {
            if error.map_failed() { MapError::system("mmap", error) } else { MapError::Unsealed }
        })?;
        self.advised(Map::of(mapped, self.offset))
    }

    /// Maps for reading and writing; what is written reaches the file, and others that map or
    /// read it at once.
    ///
    /// The file does not grow: make it as long as it is to be before
    /// ([`File::set_len`](std::fs::File::set_len)). Writing to a hole on a full disk raises SIGBUS.
    ///
    /// # Safety
    ///
    /// As for [`map`](Self::map); nor may the file be read through another mapping of this
    /// process while there is a `&mut` to these bytes.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map), and a file that is not open for writing as well.
    pub unsafe fn map_mut(&self, file: impl AsFd) -> Result<MapMut, MapError> {
        let file = file.as_fd();
        let length = self.part(target::look(file)?)?;
        if !target::is_writable(file)? {
            return Err(MapError::NotWritable);
        }
        let mapped = self.given(length).map(|options| {
            // SAFETY: what the caller promises is what is asked for here.
            unsafe { options.map_mut(file.as_raw_fd()) }
        });
        self.finish_mut(mapped.transpose())
    }

    /// Maps for reading and writing; what is written stays in this process, page by page.
    ///
    /// # Safety
    ///
    /// As for [`map`](Self::map): pages that were not written to are those of the file.
    ///
    /// # Errors
    ///
    /// As for [`map`](Self::map).
    pub unsafe fn map_copy(&self, file: impl AsFd) -> Result<MapMut, MapError> {
        let file = file.as_fd();
        let length = self.part(target::look(file)?)?;
        let mapped = self.given(length).map(|options| {
            // SAFETY: what the caller promises is what is asked for here.
            unsafe { options.map_copy(file.as_raw_fd()) }
        });
        self.finish_mut(mapped.transpose())
    }

    /// Memory without a file, zeroed; of the length that was set, else empty.
    ///
    /// # Errors
    ///
    /// Not so much memory, or not so many addresses.
    pub fn anonymous(&self) -> Result<MapMut, MapError> {
        let length = target::within(u64::MAX, 0, self.length.unwrap_or(0))?;
        let mapped = (length > 0).then(|| memmap2::MmapOptions::new().len(length).map_anon());
        let of_nothing = Self { offset: 0, ..*self };
        of_nothing.finish_mut(mapped.transpose())
    }

    fn part(&self, length: u64) -> Result<usize, MapError> {
        target::within(length, self.offset, self.length.unwrap_or(usize::MAX))
    }

    /// The same for memmap2; `None` where there is nothing to map.
    fn given(&self, length: usize) -> Option<memmap2::MmapOptions> {
        let mut options = memmap2::MmapOptions::new();
        options.offset(self.offset).len(length);
        (length > 0).then_some(options)
    }

    fn finish(&self, mapped: std::io::Result<Option<memmap2::Mmap>>) -> Result<Map, MapError> {
        let mapped = mapped.map_err(|cause| MapError::system("mmap", cause))?;
        self.advised(Map::of(mapped, self.offset))
    }

    fn advised(&self, map: Map) -> Result<Map, MapError> {
        for advice in self.advice() {
            map.advise(advice)?;
        }
        Ok(map)
    }

    fn finish_mut(
        &self,
        mapped: std::io::Result<Option<memmap2::MmapMut>>,
    ) -> Result<MapMut, MapError> {
        let mapped = mapped.map_err(|cause| MapError::system("mmap", cause))?;
        let map = MapMut::of(mapped, self.offset);
        for advice in self.advice() {
            map.advise(advice)?;
        }
        Ok(map)
    }

    /// Huge pages before they are filled.
    fn advice(&self) -> impl Iterator<Item = Advice> {
        let huge = self.huge_pages.then_some(Advice::HugePages);
        huge.into_iter().chain(self.populate.then_some(Advice::Populate))
    }
}
