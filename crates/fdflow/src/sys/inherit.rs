//! Descriptors that the program was started with, by their number.
#![allow(unsafe_code, reason = "only the kernel can say whether a number is a descriptor")]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// A close-on-exec duplicate of descriptor `number`: it shares position and flags with it.
///
/// # Errors
///
/// `EBADF`: no such descriptor is open.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC touches no memory; a number that is no descriptor answers EBADF.
    let duplicate = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if duplicate < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has just made this descriptor, so that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(duplicate) })
}
