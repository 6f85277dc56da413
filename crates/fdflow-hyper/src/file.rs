//! A file that bodies are made of: opened once, shared by any number of them.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::mapping::Mapping;

/// For so long a file that was in the page cache is taken to be there still.
const FRESH: Duration = Duration::from_millis(500);

/// An open regular file, cheap to clone.
///
/// All bodies that are made of clones share one descriptor and one mapping, which go with the
/// last of them.
#[derive(Debug, Clone)]
pub struct OpenFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    file: File,
    length: u64,
    opened: Instant,
    mapping: OnceLock<Option<Mapping>>,
    /// What the page cache is said to hold of it may still be on its way.
    slow: AtomicBool,
    /// The errno with which sendfile refused the file; 0: it has not.
    refused: AtomicI32,
    /// When the whole file was last seen in the page cache: milliseconds from `opened`, plus one.
    cached: AtomicU64,
}

impl OpenFile {
    /// Opens a regular file on one of the runtime's blocking threads.
    ///
    /// # Errors
    ///
    /// What the system answers, and `InvalidInput` where it is no regular file. A FIFO or a
    /// device is opened without waiting for its other side.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn open(path: impl Into<std::path::PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let open = move || {
            use rustix::fs::{Mode, OFlags};
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
            Self::new(rustix::fs::open(path, flags, Mode::empty())?.into())
        };
        tokio::task::spawn_blocking(open).await.map_err(io::Error::other)?
    }

    /// Takes an open regular file, whose length is looked up now.
    ///
    /// The file's position is neither used nor moved.
    ///
    /// # Errors
    ///
    /// What `fstat` answers, and `InvalidInput` where it is no regular file.
    pub fn new(file: File) -> io::Result<Self> {
        let facts = file.metadata()?;
        if !facts.is_file() {
            let message = "only a regular file can be a body";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        Ok(Self::with_length(file, facts.len()))
    }

    /// Takes an open regular file whose length is known.
    #[must_use]
    pub fn with_length(file: File, length: u64) -> Self {
        let shared = Shared {
            file,
            length,
            opened: Instant::now(),
            mapping: OnceLock::new(),
            slow: AtomicBool::new(false),
            refused: AtomicI32::new(0),
            cached: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Says that its filesystem waits for a network or a program: all its bytes are read, and
    /// sent, by blocking threads. For all clones.
    ///
    /// The kernel counts pages as cached that it has only asked such a filesystem for, and
    /// whoever reads them waits for the answer.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use fdflow_hyper::OpenFile;
    ///
    /// let film = OpenFile::new(std::fs::File::open("Cargo.toml")?)?.on_slow_filesystem();
    /// # assert!(film.length() > 0);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on_slow_filesystem(self) -> Self {
        self.shared.slow.store(true, Ordering::Relaxed);
        self
    }

    /// Its length when it was opened.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.shared.length
    }

    pub(crate) fn file(&self) -> &File {
        &self.shared.file
    }

    /// The whole file as memory; `None` where it cannot be mapped.
    pub(crate) fn mapped(&self) -> Option<&[u8]> {
        let map = || {
            let length = usize::try_from(self.shared.length).ok().filter(|length| *length > 0)?;
            Mapping::new(&self.shared.file, length).ok()
        };
        self.shared.mapping.get_or_init(map).as_ref().map(Mapping::bytes)
    }

    /// Sendfile does not work with this file: no body asks for it again.
    pub(crate) fn refuse(&self, errno: Errno) {
        self.shared.refused.store(errno.raw_os_error(), Ordering::Relaxed);
    }

    /// Why sendfile does not work with this file.
    pub(crate) fn refused(&self) -> Option<Errno> {
        match self.shared.refused.load(Ordering::Relaxed) {
            0 => None,
            errno => Some(Errno::from_raw_os_error(errno)),
        }
    }

    /// Whether `range` can be had without waiting for a disk.
    pub(crate) fn is_cached(&self, range: std::ops::Range<u64>) -> bool {
        use std::os::fd::AsFd;
        if self.shared.slow.load(Ordering::Relaxed) {
            return false;
        }
        let whole = range.start == 0 && range.end >= self.shared.length;
        if whole && self.was_cached() {
            return true;
        }
        let cached = fdflow::sys::is_cached(self.shared.file.as_fd(), range);
        if whole && cached {
            self.shared.cached.store(self.now() + 1, Ordering::Relaxed);
        }
        cached
    }

    fn was_cached(&self) -> bool {
        let seen = self.shared.cached.load(Ordering::Relaxed);
        seen > 0 && u128::from(self.now() + 1 - seen) < FRESH.as_millis()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.shared.opened.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }
}
