//! Which bytes of which file: looked at before they are mapped.

use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::error::MapError;
use super::kernel;
use crate::kind::{Kind, Traits};
use crate::sys::{Kernel, System};

/// The longest slice that there can be.
const LONGEST: usize = isize::MAX as usize;
/// So often a file has to have bytes and no length until it is believed that it lies: one that is
/// cut and grows at that moment looks the same.
const DOUBTS: usize = 4;

/// Looks at what is to be mapped or read by offset; its length.
pub(crate) fn look(file: BorrowedFd<'_>) -> Result<u64, MapError> {
    let traits = traits(file)?;
    if traits.kind != Kind::File {
        return Err(MapError::Kind(traits.kind));
    }
    if !traits.readable {
        return Err(MapError::NotReadable);
    }
    match traits.length {
        Some(length) if length > 0 => Ok(length),
        _ => empty(file),
    }
}

/// The length of a file that has said it is empty: 0, or more if it has just grown.
fn empty(file: BorrowedFd<'_>) -> Result<u64, MapError> {
    // Pseudo filesystems are not asked by reading: some of their files wait for an event.
    if is_pseudo(file) {
        return Err(MapError::FalseLength);
    }
    for _ in 0..DOUBTS {
        if read_at(file, &mut [0], 0)? == 0 {
            return Ok(0);
        }
        let length = length(file)?;
        if length > 0 {
            return Ok(length);
        }
    }
    Err(MapError::FalseLength)
}

/// Whether what is written to a mapping can reach the file.
pub(super) fn is_writable(file: BorrowedFd<'_>) -> Result<bool, MapError> {
    Ok(traits(file)?.writable)
}

fn traits(file: BorrowedFd<'_>) -> Result<Traits, MapError> {
    System.traits(file).map_err(|errno| MapError::system("fstat", errno))
}

/// Whether the lengths of the files of this filesystem say nothing.
pub(crate) fn is_pseudo(file: BorrowedFd<'_>) -> bool {
    kernel::is_pseudo(file)
}

/// The length of a file by now.
pub(crate) fn length(file: BorrowedFd<'_>) -> Result<u64, MapError> {
    System.length(file).map_err(|errno| MapError::system("fstat", errno))
}

/// One `pread`.
pub(crate) fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], at: u64) -> Result<usize, MapError> {
    loop {
        match rustix::io::pread(file, &mut *buffer, at) {
            Err(Errno::INTR) => {}
            other => return other.map_err(|errno| MapError::system("pread", errno)),
        }
    }
}

/// Reads bytes that the file had when it was `before` long: all, or an error.
pub(crate) fn read_known(
    file: BorrowedFd<'_>,
    buffer: &mut [u8],
    at: u64,
    before: u64,
) -> Result<(), MapError> {
    let mut had = 0;
    while had < buffer.len() {
        let from = at + had as u64;
        match read_at(file, &mut buffer[had..], from)? {
            0 => return Err(MapError::Shrunk { at: from, before, now: length(file)? }),
            n => had += n,
        }
    }
    Ok(())
}

/// The part of a file of `length` bytes that begins at `offset` and has `most` bytes, or ends
/// where the file does.
pub(super) fn within(length: u64, offset: u64, most: usize) -> Result<usize, MapError> {
    let Some(there) = length.checked_sub(offset) else {
        return Err(MapError::Beyond { offset, length });
    };
    let wanted = there.min(most as u64);
    match usize::try_from(wanted) {
        Ok(wanted) if wanted <= LONGEST => Ok(wanted),
        _ => Err(MapError::TooLong { length: wanted }),
    }
}

/// Checks that `file` still reaches as far as `range` does, which it did when it was `before` long.
pub(super) fn still(file: BorrowedFd<'_>, range: Range<u64>, before: u64) -> Result<(), MapError> {
    let now = length(file)?;
    if now < range.end {
        return Err(MapError::Shrunk { at: now.max(range.start), before, now });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_the_file_does() {
        assert_eq!(within(10, 4, 3).unwrap(), 3);
        assert_eq!(within(10, 4, 100).unwrap(), 6);
        assert_eq!(within(10, 10, 1).unwrap(), 0);
        assert_eq!(within(10, 4, usize::MAX).unwrap(), 6);
    }

    #[test]
    fn no_window_begins_behind_the_end_or_is_longer_than_a_slice() {
        assert!(matches!(within(10, 11, 1), Err(MapError::Beyond { offset: 11, length: 10 })));
        let huge = u64::MAX;
        assert!(matches!(within(huge, 0, usize::MAX), Err(MapError::TooLong { length: _ })));
        assert_eq!(within(huge, huge - 2, usize::MAX).unwrap(), 2);
    }
}
