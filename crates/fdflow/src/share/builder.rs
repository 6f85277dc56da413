//! A memfd that is still being filled.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;

use super::sealed::Sealed;
use super::verify::SEALS;
use crate::source::Sink;

/// The longest name that the kernel takes.
const LONGEST_NAME: usize = 249;

/// A memfd to be filled, by writing or as the [`Sink`] of a transfer, and then sealed.
///
/// It is a file: what lies between two writes with a seek between them is zeros, what is written twice
/// is as it was written last. Through its descriptor it can also be mapped and filled there; no such
/// mapping may be left when it is sealed.
///
/// ```
/// use fdflow::{Transfer, share::SealedBuilder};
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("film"), "0123456789")?;
/// # let film = std::fs::File::open(dir.path().join("film"))?;
/// let mut builder = SealedBuilder::named("film")?;
/// Transfer::new(&film, &mut builder).limit(4).run()?;
/// let sealed = builder.seal()?;
/// assert_eq!(&sealed[..], b"0123");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SealedBuilder {
    file: File,
}

impl SealedBuilder {
    /// An empty memfd.
    ///
    /// # Errors
    ///
    /// No descriptor or no memory to be had.
    pub fn new() -> io::Result<Self> {
        Self::named("fdflow")
    }

    /// An empty memfd that `/proc` shows by this name: as `/memfd:NAME` among the descriptors and
    /// mappings of every process that has it. At most 249 bytes, none of them 0; it need not be unique.
    ///
    /// # Errors
    ///
    /// `InvalidInput`: a name that cannot be one. No descriptor or no memory to be had.
    pub fn named(name: &str) -> io::Result<Self> {
        if name.len() > LONGEST_NAME || name.contains('\0') {
            let message = format!(
                "the name of a memfd has at most {LONGEST_NAME} bytes and none of them 0; this one \
                 has {}: {name:?}",
                name.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
            // Linux before 6.3 does not know it.
            Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
            made => made?,
        };
        Ok(Self { file: fd.into() })
    }

    /// Seals it: from now on nobody can change it, whoever has its descriptor.
    ///
    /// # Errors
    ///
    /// `ResourceBusy`: it is mapped for writing somewhere, or pages of it are on their way through a
    /// pipe or a socket. Nothing is sealed then, and the builder is in the error, to be sealed again
    /// when that is over. Also where it cannot be mapped.
    pub fn seal(self) -> Result<Sealed, SealError> {
        let Self { file } = self;
        let added = rustix::fs::fcntl_add_seals(&file, SEALS);
        match added {
            // EPERM: somebody has sealed it already; whether it has all seals is looked at next.
            Ok(()) | Err(Errno::PERM) => {}
            Err(errno) => {
                return Err(SealError { cause: refusal(errno), builder: Self { file } });
            }
        }
        Sealed::try_from(OwnedFd::from(file)).map_err(|refused| {
            let cause = io::Error::other(refused.to_string());
            SealError { cause, builder: Self { file: refused.into_fd().into() } }
        })
    }
}

fn refusal(errno: Errno) -> io::Error {
    if errno != Errno::BUSY {
        return errno.into();
    }
    let message = "it is mapped for writing, in this process or another, or its pages are on their \
                   way through a pipe or a socket: unmap it, let them arrive, and seal it again";
    io::Error::new(io::ErrorKind::ResourceBusy, message)
}

/// A memfd that could not be sealed, and why.
#[derive(Debug)]
pub struct SealError {
    cause: io::Error,
    builder: SealedBuilder,
}

impl SealError {
    /// The cause's kind.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }

    /// What could not be sealed, as it was.
    #[must_use]
    pub fn into_builder(self) -> SealedBuilder {
        self.builder
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the memfd cannot be sealed: {}", self.cause)
    }
}

impl Error for SealError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<SealError> for io::Error {
    fn from(error: SealError) -> Self {
        Self::new(error.kind(), error)
    }
}

impl AsFd for SealedBuilder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Write for SealedBuilder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }
    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.file.write_vectored(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for SealedBuilder {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Sink for SealedBuilder {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.file, bytes)
    }
}
