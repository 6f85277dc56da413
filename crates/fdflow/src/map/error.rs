//! Why a file cannot be mapped, or be read as far as it was mapped.

use std::error::Error;
use std::fmt;
use std::io;

use crate::kind::Kind;

/// Why a file cannot be mapped, or be read as far as it was mapped.
#[derive(Debug)]
#[non_exhaustive]
pub enum MapError {
    /// It is no regular file.
    Kind(Kind),
    /// The descriptor is not open for reading, which every mapping of it needs.
    NotReadable,
    /// The descriptor is not open for writing, which a mapping that writes to the file needs.
    NotWritable,
    /// A file that says it is empty and has bytes all the same, as those of procfs do.
    FalseLength,
    /// A mapping was to begin behind the end of the file.
    Beyond {
        /// Where it was to begin.
        offset: u64,
        /// The length of the file.
        length: u64,
    },
    /// More bytes than this process has addresses for.
    TooLong {
        /// So many.
        length: u64,
    },
    /// Bytes outside of the mapping were named.
    Outside {
        /// The first byte that was named.
        start: usize,
        /// The byte after the last.
        end: usize,
        /// The length of the mapping.
        length: usize,
    },
    /// The file may change, so that only an `unsafe` mapping of it can be had.
    Unsealed,
    /// The file ended before the place where it did when it was looked at.
    Shrunk {
        /// The first byte that could not be had.
        at: u64,
        /// The length that the file had.
        before: u64,
        /// The length that it says it has by now.
        now: u64,
    },
    /// What the system said.
    System {
        /// The call that failed.
        call: &'static str,
        /// Its error.
        cause: io::Error,
    },
}

impl MapError {
    /// The kind of [`io::Error`] that this becomes.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Kind(Kind::Directory) => io::ErrorKind::IsADirectory,
            Self::Kind(_) | Self::FalseLength | Self::Unsealed => io::ErrorKind::Unsupported,
            Self::NotReadable | Self::NotWritable => io::ErrorKind::PermissionDenied,
            Self::Beyond { .. } | Self::Outside { .. } => io::ErrorKind::InvalidInput,
            Self::TooLong { .. } => io::ErrorKind::OutOfMemory,
            Self::Shrunk { .. } => io::ErrorKind::UnexpectedEof,
            Self::System { cause, .. } => cause.kind(),
        }
    }

    pub(crate) fn system(call: &'static str, cause: impl Into<io::Error>) -> Self {
        Self::System { call, cause: cause.into() }
    }
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kind(kind) => write!(f, "{}", unmappable(*kind)),
            Self::NotReadable => {
                f.write_str("the file is not open for reading, which every mapping needs")
            }
            Self::NotWritable => f.write_str(
                "the file is not open for writing: open it for both, or map it copy-on-write",
            ),
            Self::FalseLength => f.write_str(
                "the file says that it is empty and has bytes all the same (procfs does so): it \
                 can only be read",
            ),
            Self::Beyond { offset, length } => {
                write!(
                    f,
                    "offset {offset} lies behind the end of the file, which has {length} bytes"
                )
            }
            Self::TooLong { length } => write!(
                f,
                "{length} bytes are more than the addresses of this process: walk the file \
                 through Windows"
            ),
            Self::Outside { start, end, length } => {
                write!(f, "bytes {start} to {end} are not all in a mapping of {length} bytes")
            }
            Self::Unsealed => f.write_str(
                "the file may be cut or written to while it is mapped (it is neither a memfd \
                 sealed against both nor protected by fs-verity): read it, or map it by an \
                 unsafe function",
            ),
            Self::Shrunk { at, before, now } if now < before => write!(
                f,
                "the file was cut from {before} to {now} bytes while it was read; byte {at} is gone"
            ),
            Self::Shrunk { at, before, .. } => write!(
                f,
                "the file ended after {at} of {before} bytes: it was cut while it was read, or \
                 its filesystem tells a wrong length"
            ),
            Self::System { call, cause } => write!(f, "{call}: {cause}"),
        }
    }
}

fn unmappable(kind: Kind) -> &'static str {
    match kind {
        Kind::Directory => "a directory cannot be mapped",
        Kind::Pipe => "a pipe or FIFO cannot be mapped: read it",
        Kind::Tty => "a terminal cannot be mapped: read it",
        Kind::Device => "a character device cannot be mapped here: read it",
        Kind::Block => "a block device cannot be mapped here: read it",
        Kind::PathOnly => "the file was opened with O_PATH: open it again, for reading",
        _ => "only regular files can be mapped",
    }
}

impl Error for MapError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

impl From<MapError> for io::Error {
    fn from(error: MapError) -> Self {
        Self::new(error.kind(), error)
    }
}
