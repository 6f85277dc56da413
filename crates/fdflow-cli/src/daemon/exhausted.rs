//! Errors of `accept` that say that the process or the machine has no more to give.

use std::io;

use rustix::io::Errno;

/// Whether it is for want of descriptors or memory, and not the connection's own fault.
pub(crate) fn is_exhausted(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].iter().any(|e| errno == Some(*e))
}
