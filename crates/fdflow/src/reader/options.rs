//! What a program knows of the file that it is about to read.
#![allow(unsafe_code, reason = "a mapping of a file that may change is")]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::FileType;

use super::buffered::Buffered;
use super::choice::{self, Access, Choice, Way, Why};
use super::{By, Reader};
use crate::kind::Kind;
use crate::map::{DEFAULT_WINDOW, Map, MapError, MapOptions, MapReader};
use crate::sys::{Kernel, System};

/// What a program knows of the file that it is about to read.
///
/// ```
/// use fdflow::reader::{Access, Options, Way};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("index");
/// # std::fs::write(&path, vec![7; 1 << 20])?;
/// let index = Options::new().access(Access::Random);
/// // It may change: no mapping.
/// assert_eq!(index.open(&path)?.choice().way(), Way::Whole);
/// // SAFETY: nobody writes to an index once it has its name.
/// let index = unsafe { index.unchanging() };
/// assert_eq!(index.open(&path)?.choice().way(), Way::Map);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    access: Access,
    unchanging: bool,
    way: Option<Way>,
}

impl Options {
    /// Nothing: the file is read in order and may change meanwhile.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It is read in this pattern.
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// It does not change, so that it may be mapped. Of a memfd that is sealed against cutting and
    /// writing, and of a file protected by fs-verity, this is known without.
    ///
    /// # Safety
    ///
    /// Nobody may cut the files that are opened with these options, nor write to them, while
    /// readers of them live; see [`map`](crate::map).
    #[must_use]
    pub unsafe fn unchanging(mut self) -> Self {
        self.unchanging = true;
        self
    }

    /// Read in this way, whatever seems best.
    #[must_use]
    pub fn way(mut self, way: Way) -> Self {
        self.way = Some(way);
        self
    }

    /// Opens the file at `path`.
    ///
    /// # Errors
    ///
    /// As for [`reader`](super::reader), and as for [`read`](Self::read).
    pub fn open(&self, path: impl AsRef<Path>) -> io::Result<Reader> {
        let path = path.as_ref();
        let open = || {
            let file = File::open(path)?;
            let found = rustix::fs::fstat(&file)?;
            if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
                // It was opened for reading, and more there is not to be asked.
                let length = u64::try_from(found.st_size).unwrap_or(0);
                return self.read_as(file, Kind::File, length);
            }
            self.read(file)
        };
        open().map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    }

    /// Reads a file that is open: from its start, wherever its position is; a stream from where it
    /// stands.
    ///
    /// # Errors
    ///
    /// Nothing to be read from, not open for reading, or to be mapped and may change.
    pub fn read(&self, file: File) -> io::Result<Reader> {
        let traits = System.traits(file.as_fd())?;
        if let Some(why) = traits.kind.unfit() {
            let kind = MapError::Kind(traits.kind).kind();
            return Err(io::Error::new(kind, format!("the file {why}")));
        }
        if !traits.readable {
            let message = "the file is not open for reading";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        self.read_as(file, traits.kind, traits.length.unwrap_or(0))
    }

    fn read_as(&self, file: File, kind: Kind, length: u64) -> io::Result<Reader> {
        let choice = match self.way {
            Some(way) => Choice { way, why: Why::Asked },
            None => {
                let steady = || self.unchanging || is_sealed(&file);
                choice::choose(kind, length, self.access, steady)
            }
        };
        let by = match choice.way {
            Way::Buffered if self.access == Access::Sequential => {
                By::Buffered(Buffered::in_order(file, kind, length))
            }
            Way::Buffered => By::Buffered(Buffered::jumping(file, kind, length)),
            Way::Whole => By::Buffered(Buffered::whole(file, kind, length)),
            Way::Map => By::Mapped(self.mapped(file)?),
            Way::Windows => By::Mapped(self.mapped(file)?.window(DEFAULT_WINDOW)),
        };
        Ok(Reader { by, choice })
    }

    fn mapped(&self, file: File) -> Result<MapReader<File>, MapError> {
        if self.unchanging {
            // SAFETY: the caller of `unchanging` has promised what is asked for here.
            return unsafe { MapReader::new(file) };
        }
        // Asked for now rather than at the first byte.
        first_sealed(&file)?;
        MapReader::sealed(file)
    }
}

/// Maps one byte, which is not touched: the kernel's word is had by mapping alone.
fn first_sealed(file: &File) -> Result<Map, MapError> {
    MapOptions::new().length(1).map_sealed(file)
}

/// Whether the kernel keeps it as it is. Of an empty file, that may be there only for the moment,
/// nothing is known.
fn is_sealed(file: &File) -> bool {
    first_sealed(file).is_ok_and(|map| !map.is_empty())
}
