//! A file that bytes of the stream are in, open or not.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use rustix::fs::OFlags;

use crate::locked;

/// A file of the recording, or one in memory.
#[derive(Debug)]
pub(super) struct Piece {
    handle: Mutex<Handle>,
    /// Its bytes are kept no longer, or elsewhere: who still sends some is to look again.
    withdrawn: AtomicBool,
}

#[derive(Debug)]
enum Handle {
    Open(Arc<File>),
    /// It is not written to any more, and open only while somebody reads it: of these there may be
    /// more than a process may have descriptors.
    Closed {
        path: PathBuf,
        opened: Weak<File>,
    },
}

impl Piece {
    pub(super) fn open(file: Arc<File>) -> Arc<Self> {
        Self::with(Handle::Open(file))
    }

    pub(super) fn closed(path: PathBuf) -> Arc<Self> {
        Self::with(Handle::Closed { path, opened: Weak::new() })
    }

    fn with(handle: Handle) -> Arc<Self> {
        Arc::new(Self { handle: Mutex::new(handle), withdrawn: AtomicBool::new(false) })
    }

    /// Lets go of the file, which is found under this name from now on.
    pub(super) fn close(&self, path: PathBuf) {
        let mut handle = locked(&self.handle);
        let opened = match &*handle {
            Handle::Open(file) => Arc::downgrade(file),
            Handle::Closed { .. } => Weak::new(),
        };
        *handle = Handle::Closed { path, opened };
    }

    /// The file.
    pub(super) fn file(&self) -> io::Result<Arc<File>> {
        match &mut *locked(&self.handle) {
            Handle::Open(file) => Ok(Arc::clone(file)),
            Handle::Closed { path, opened } => {
                if let Some(file) = opened.upgrade() {
                    return Ok(file);
                }
                let file = Arc::new(open_regular(path, OpenOptions::new().read(true))?);
                *opened = Arc::downgrade(&file);
                Ok(file)
            }
        }
    }

    pub(super) fn withdraw(&self) {
        self.withdrawn.store(true, Ordering::Release);
    }

    pub(super) fn is_withdrawn(&self) -> bool {
        self.withdrawn.load(Ordering::Acquire)
    }
}

/// Opens a file that is to be a regular one, and does not wait for what would be at the other end if
/// it is not. The error names it.
pub(super) fn open_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let opened = options.custom_flags(nonblocking).open(path);
    let file = opened.map_err(|error| of(path, &error))?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let message = format!("{}: it is no regular file, and cannot be read again", path.display());
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

/// The error, with the file that it is about.
pub(super) fn of(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
