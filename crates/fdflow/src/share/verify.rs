//! Whether a descriptor is a memfd that nobody can change any more.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, SealFlags};
use rustix::io::Errno;

/// The filesystem of huge pages.
const HUGETLBFS_MAGIC: u32 = 0x9584_58f6;

/// What a [`Sealed`](super::Sealed) has: none of them can be taken off again.
pub(super) const SEALS: SealFlags =
    SealFlags::WRITE.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::SEAL);

/// Why a descriptor is no [`Sealed`](super::Sealed).
#[derive(Debug)]
#[non_exhaustive]
pub enum Flaw {
    /// It is not a memfd, but something else that has no seals.
    NoMemfd,
    /// It lacks seals, so that whoever has it can still change it.
    Unsealed {
        /// `F_SEAL_WRITE` is missing: it can be written.
        write: bool,
        /// `F_SEAL_SHRINK` is missing: it can be cut, and reading what was cut off raises SIGBUS.
        shrink: bool,
        /// `F_SEAL_GROW` is missing: it can become longer.
        grow: bool,
        /// `F_SEAL_SEAL` is missing: seals can be added.
        seal: bool,
        /// `F_SEAL_FUTURE_WRITE` is set, which leaves mappings that exist writable.
        future_write: bool,
    },
    /// It is made of huge pages: reading it raises SIGBUS where the system has none to spare.
    HugePages,
    /// It is not open for reading.
    NotReadable,
    /// It was opened with `O_PATH`.
    PathOnly,
    /// It is longer than this process can map.
    TooLong(u64),
    /// It could not be looked at or mapped.
    Io(io::Error),
}

impl Flaw {
    fn lacking(seals: SealFlags) -> Self {
        Self::Unsealed {
            write: !seals.contains(SealFlags::WRITE),
            shrink: !seals.contains(SealFlags::SHRINK),
            grow: !seals.contains(SealFlags::GROW),
            seal: !seals.contains(SealFlags::SEAL),
            future_write: seals.contains(SealFlags::FUTURE_WRITE),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMemfd => f.write_str("it is not a memfd and has no seals"),
            Self::Unsealed { write, shrink, grow, seal, future_write } => {
                let missing = [
                    (*write, "F_SEAL_WRITE"),
                    (*shrink, "F_SEAL_SHRINK"),
                    (*grow, "F_SEAL_GROW"),
                    (*seal, "F_SEAL_SEAL"),
                ];
                let missing = missing.iter().filter(|(missing, _)| *missing);
                let names: Vec<&str> = missing.map(|(_, name)| *name).collect();
                write!(f, "it lacks {}, so that it can still change", names.join(", "))?;
                if *write && *future_write {
                    f.write_str(" (F_SEAL_FUTURE_WRITE leaves mappings that exist writable)")?;
                }
                f.write_str(": whoever made it has to seal it before it is sent")
            }
            Self::HugePages => f.write_str(
                "it is made of huge pages, and reading it would end this process where there are \
                 none to spare: make it without MFD_HUGETLB",
            ),
            Self::NotReadable => f.write_str("it is not open for reading"),
            Self::PathOnly => f.write_str("it was opened with O_PATH and cannot be read"),
            Self::TooLong(length) => {
                write!(f, "{length} bytes are more than this process can map")
            }
            Self::Io(cause) => write!(f, "it cannot be mapped: {cause}"),
        }
    }
}

/// A descriptor that is not a [`Sealed`](super::Sealed), and why.
///
/// The descriptor is in it, as it came, and is closed with it.
#[derive(Debug)]
pub struct NotSealed {
    flaw: Flaw,
    fd: OwnedFd,
}

impl NotSealed {
    pub(super) fn new(flaw: Flaw, fd: OwnedFd) -> Self {
        Self { flaw, fd }
    }

    /// Why it is none.
    #[must_use]
    pub fn flaw(&self) -> &Flaw {
        &self.flaw
    }

    /// The descriptor.
    #[must_use]
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl fmt::Display for NotSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the descriptor is no sealed memfd: {}", self.flaw)
    }
}

impl Error for NotSealed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.flaw {
            Flaw::Io(cause) => Some(cause),
            _ => None,
        }
    }
}

/// `InvalidData`, or the kind of the error that mapping met with. The descriptor is closed when the
/// error is dropped.
impl From<NotSealed> for io::Error {
    fn from(refused: NotSealed) -> Self {
        let kind = match &refused.flaw {
            Flaw::Io(cause) => cause.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, refused)
    }
}

/// The length of a memfd that has all seals. It is final: asked only after they were seen.
pub(super) fn verified_length(fd: BorrowedFd<'_>) -> Result<usize, Flaw> {
    let failed = |errno: Errno| Flaw::Io(errno.into());
    let flags = rustix::fs::fcntl_getfl(fd).map_err(failed)?;
    if flags.contains(OFlags::PATH) {
        return Err(Flaw::PathOnly);
    }
    let seals = match rustix::fs::fcntl_get_seals(fd) {
        Ok(seals) => seals,
        Err(Errno::INVAL) => return Err(Flaw::NoMemfd),
        Err(errno) => return Err(failed(errno)),
    };
    if flags & OFlags::RWMODE == OFlags::WRONLY {
        return Err(Flaw::NotReadable);
    }
    let filesystem = rustix::fs::fstatfs(fd).map_err(failed)?;
    if u32::try_from(filesystem.f_type) == Ok(HUGETLBFS_MAGIC) {
        return Err(Flaw::HugePages);
    }
    if !seals.contains(SEALS) {
        return Err(Flaw::lacking(seals));
    }
    let length = rustix::fs::fstat(fd).map_err(failed)?.st_size;
    let length = u64::try_from(length).unwrap_or(0);
    match usize::try_from(length) {
        // No slice is longer.
        Ok(mappable) if isize::try_from(mappable).is_ok() => Ok(mappable),
        _ => Err(Flaw::TooLong(length)),
    }
}
