//! A file's bytes as memory, for whoever reads a body that sendfile was meant for.
#![allow(unsafe_code, reason = "mapping memory is")]

use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::mm::{MapFlags, ProtFlags};

/// A whole file, mapped for reading. No page of it is touched until somebody reads.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the memory belongs to this value alone, and nothing in it depends on a thread.
unsafe impl Send for Mapping {}
// SAFETY: it is only ever read.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes, at least one.
    pub(crate) fn new(file: &File, length: usize) -> io::Result<Self> {
        let (protection, flags) = (ProtFlags::READ, MapFlags::SHARED);
        // SAFETY: the kernel chooses the place, so that no memory in use is replaced.
        let start =
            unsafe { rustix::mm::mmap(ptr::null_mut(), length, protection, flags, file, 0) }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, length })
    }

    /// The mapped bytes. To read a page that the file has lost since raises SIGBUS.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: these addresses stay mapped and readable for as long as this value lives.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: made by `new` with this length, and every slice of it borrows this value.
        let unmapped = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "a whole mapping can be unmapped");
    }
}
