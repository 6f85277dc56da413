//! One process records to a file at a time.

use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The right to write to a file, for as long as this is not dropped. Readers of the same process may
/// have the file open for longer.
#[derive(Debug)]
pub(super) struct Lock(Arc<File>);

impl Lock {
    pub(super) fn take(file: &Arc<File>) -> io::Result<Arc<Self>> {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Arc::new(Self(Arc::clone(file)))),
            Err(Errno::WOULDBLOCK) => {
                let message = "another process records to it: end that one, or name another file";
                Err(io::Error::new(io::ErrorKind::WouldBlock, message))
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It is unlocked at the latest when nobody has it open.
        let _unlocked = flock(&*self.0, FlockOperation::Unlock).is_ok();
    }
}
