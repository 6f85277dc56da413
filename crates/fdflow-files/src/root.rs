//! The root: the folder that everything is served from, and the only way to open anything in it.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, str};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::listing::Entry;
use crate::name::Name;

/// The folder that is served, opened once. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Root {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: OwnedFd,
    symlinks: Symlinks,
    hidden: bool,
}

/// Which symbolic links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// None: what is reached through a link is not there.
    Never,
    /// Those that stay inside the root the whole way. An absolute link does not, wherever it ends.
    #[default]
    Inside,
    /// All, also those that lead out of the root.
    Follow,
}

impl fmt::Display for Symlinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Never => "never",
            Self::Inside => "inside",
            Self::Follow => "follow",
        })
    }
}

impl str::FromStr for Symlinks {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "never" => Ok(Self::Never),
            "inside" => Ok(Self::Inside),
            "follow" => Ok(Self::Follow),
            _ => Err(format!("`{word}` is none of never, inside, follow")),
        }
    }
}

/// A regular file or a folder, nothing else ever, open for reading.
#[derive(Debug)]
pub(crate) struct Opened {
    pub fd: OwnedFd,
    pub facts: Facts,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileOrFolder {
    File,
    Folder,
}

/// What was true of it when it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    pub kind: FileOrFolder,
    pub length: u64,
    /// Seconds since the epoch, and nanoseconds.
    pub modified: (i64, u32),
    /// When its inode last changed: nobody can set it back.
    pub changed: (i64, u32),
    pub device: u64,
    pub inode: u64,
    /// Whether its filesystem is one whose calls may wait for a network or a program.
    pub slow: bool,
}

/// Why it was not opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Nothing has this name.
    NotFound,
    /// The root's rules keep it back: a link, a way out, a hidden name, a special file. To be
    /// answered like `NotFound`.
    Refused,
    /// The program may not read it.
    Denied,
    /// A component that something was asked for below is no folder, or the name ends with a slash
    /// and is a file's.
    NotAFolder,
    /// The process or the system has no descriptor left.
    NoDescriptors,
    /// A component or the whole name is longer than a filesystem can hold.
    NameTooLong,
    /// Anything else.
    Failed(io::Error),
}

impl Root {
    /// Opens the folder. It may itself be reached through links.
    ///
    /// # Errors
    ///
    /// What opening it answers.
    pub(crate) fn new(dir: &Path, symlinks: Symlinks, hidden: bool) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(dir, flags, Mode::empty())?;
        Ok(Self { shared: Arc::new(Shared { folder, symlinks, hidden }) })
    }

    /// Opens what has this name for reading, without ever making the runtime wait.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub(crate) async fn open(&self, name: &Name) -> Result<Opened, OpenError> {
        self.open_now(name)
    }

    /// Opens it if that needs no waiting; `None` where it does, or may.
    pub(crate) fn try_open(&self, name: &Name) -> Option<Result<Opened, OpenError>> {
        Some(self.open_now(name))
    }

    /// What is true of it now, without opening it for reading.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub(crate) async fn look(&self, name: &Name) -> Result<Facts, OpenError> {
        self.open_now(name).map(|opened| opened.facts)
    }

    /// What is true of it now, if that needs no waiting.
    pub(crate) fn try_look(&self, name: &Name) -> Option<Result<Facts, OpenError>> {
        Some(self.open_now(name).map(|opened| opened.facts))
    }

    /// Whether the name still leads to what `facts` were taken of, unchanged. One call. For a
    /// caller that holds it open and whose facts are not `slow`; never waits then. `false` where
    /// it cannot be told: look again.
    pub(crate) fn is_unchanged(&self, name: &Name, facts: &Facts) -> bool {
        matches!(self.try_look(name), Some(Ok(now)) if now == *facts)
    }

    /// The folder that a new name goes into, opened, and the last component. Everything that is
    /// hidden is refused, `.well-known` too.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; `Refused` for the root itself.
    pub(crate) async fn open_parent(&self, name: &Name) -> Result<(OwnedFd, OsString), OpenError> {
        let (Some(parent), Some(last)) = (name.parent(), name.file_name()) else {
            return Err(OpenError::Refused);
        };
        let hidden = name.components().any(crate::name::dotted);
        if hidden && !self.shared.hidden {
            return Err(OpenError::Refused);
        }
        let opened = self.open(&parent).await?;
        match opened.facts.kind {
            FileOrFolder::Folder => Ok((opened.fd, OsString::from_vec(last.to_vec()))),
            FileOrFolder::File => Err(OpenError::NotAFolder),
        }
    }

    /// What is in a folder: what could be opened, by kind and by the root's rules.
    ///
    /// # Errors
    ///
    /// What reading the folder answers.
    pub(crate) async fn list(&self, dir: &Opened) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(&dir.fd)? {
            let name = entry?.file_name().to_bytes().to_vec();
            let dots = name == b"." || name == b"..";
            if dots || (crate::name::dotted(&name) && !self.shared.hidden) {
                continue;
            }
            let Ok(stat) = rustix::fs::statat(&dir.fd, &*name, rustix::fs::AtFlags::empty()) else {
                continue;
            };
            let facts = facts_of(&stat);
            let Some(Facts { kind, length, modified, .. }) = facts else { continue };
            entries.push(Entry { name, kind, length, modified });
        }
        Ok(entries)
    }

    fn open_now(&self, name: &Name) -> Result<Opened, OpenError> {
        if name.is_hidden() && !self.shared.hidden {
            return Err(OpenError::Refused);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let mut resolve = ResolveFlags::NO_MAGICLINKS;
        match self.shared.symlinks {
            Symlinks::Never => resolve |= ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
            Symlinks::Inside => resolve |= ResolveFlags::BENEATH,
            Symlinks::Follow => {}
        }
        let folder = &self.shared.folder;
        let fd = rustix::fs::openat2(folder, name.as_bytes(), flags, Mode::empty(), resolve)
            .map_err(refusal)?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| OpenError::Failed(errno.into()))?;
        let facts = facts_of(&stat).ok_or(OpenError::Refused)?;
        if name.has_slash() && facts.kind == FileOrFolder::File {
            return Err(OpenError::NotAFolder);
        }
        Ok(Opened { fd, facts })
    }
}

fn refusal(errno: Errno) -> OpenError {
    match errno {
        Errno::NOENT => OpenError::NotFound,
        Errno::XDEV | Errno::LOOP | Errno::NXIO | Errno::INVAL => OpenError::Refused,
        Errno::ACCESS | Errno::PERM => OpenError::Denied,
        Errno::NOTDIR => OpenError::NotAFolder,
        Errno::MFILE | Errno::NFILE => OpenError::NoDescriptors,
        Errno::NAMETOOLONG => OpenError::NameTooLong,
        other => OpenError::Failed(other.into()),
    }
}

fn facts_of(stat: &rustix::fs::Stat) -> Option<Facts> {
    let kind = match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::RegularFile => FileOrFolder::File,
        rustix::fs::FileType::Directory => FileOrFolder::Folder,
        _ => return None,
    };
    let nanoseconds = |nsec| u32::try_from(nsec).unwrap_or(0);
    Some(Facts {
        kind,
        length: u64::try_from(stat.st_size).unwrap_or(0),
        modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
        changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        device: stat.st_dev,
        inode: stat.st_ino,
        slow: false,
    })
}
