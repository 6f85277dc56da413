//! The root: the folder that everything is served from, and the only way to open anything in it.
//!
//! A name is resolved by the kernel within the root (`openat2`), or where that call is missing
//! step by step ([`stepwise`]), and as strictly. It is first only looked at (`O_PATH`): opening
//! alone can act, since a FIFO's writer wakes up, a tape rewinds, a watchdog starts. What is
//! neither a regular file nor a folder is never opened at all (H28).
//!
//! Nothing here makes a runtime wait. The kernel is asked for what its caches hold
//! (`RESOLVE_CACHED`), on a filesystem that is known to answer by itself ([`filesystems`]); for
//! everything else the same is done on tokio's blocking threads.

mod describe;
mod entries;
mod filesystems;
mod resolve;
mod stepwise;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, io, str};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::listing::Entry;
use crate::name::{Name, dotted};

use filesystems::Filesystems;
use resolve::{Stop, Way};

/// The folder that is served, opened once: if its name later leads elsewhere, this is still the
/// same folder. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Root {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    folder: OwnedFd,
    symlinks: Symlinks,
    hidden: bool,
    way: Way,
    /// Whether the root's own filesystem is slow: then nothing is tried on the runtime's thread.
    slow: bool,
    filesystems: Filesystems,
    turns: Arc<Semaphore>,
}

/// So many calls of a root wait at once. Half of tokio's blocking threads, so that a filesystem
/// that answers nobody any more leaves some to the rest of the program.
const TURNS: usize = 256;

/// Which symbolic links are followed. The magic links of `/proc` never are.
///
/// # Examples
///
/// ```
/// use fdflow_files::Symlinks;
///
/// assert_eq!("inside".parse(), Ok(Symlinks::default()));
/// assert_eq!(Symlinks::Never.to_string(), "never");
/// ```
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
    /// What it was opened as: the links in a folder are resolved from the root.
    name: Name,
}

/// What can be served.
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
    /// answered like `NotFound`, so that nobody learns what there is.
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

impl From<Errno> for OpenError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Self::NotFound,
            Errno::XDEV | Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::INVAL => Self::Refused,
            Errno::ACCESS | Errno::PERM => Self::Denied,
            Errno::NOTDIR => Self::NotAFolder,
            Errno::MFILE | Errno::NFILE => Self::NoDescriptors,
            Errno::NAMETOOLONG => Self::NameTooLong,
            other => Self::Failed(other.into()),
        }
    }
}

/// What a path may hold at most, with the NUL that the kernel adds.
const PATH_MAX: usize = 4096;

/// How often something is opened again that was replaced between two calls.
const ATTEMPTS: usize = 64;

impl Root {
    /// Opens the folder. It may itself be reached through links. Blocks: for a program's start.
    ///
    /// Hidden names (see [`Name::is_hidden`]) are kept back unless `hidden`. The rule is about
    /// names that are asked for: a link to a hidden file, with a name that is not, is its owner's
    /// decision to show it.
    ///
    /// # Errors
    ///
    /// What opening it answers, `NotADirectory` for a file.
    pub(crate) fn new(dir: &Path, symlinks: Symlinks, hidden: bool) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(dir, flags, Mode::empty())?;
        let way = Way::of(&folder);
        Ok(Self::by(way, folder, symlinks, hidden)?)
    }

    fn by(way: Way, folder: OwnedFd, symlinks: Symlinks, hidden: bool) -> Result<Self, Errno> {
        let filesystems = Filesystems::default();
        let slow = filesystems.is_slow(&folder)?;
        let turns = Arc::new(Semaphore::new(TURNS));
        let shared = Shared { folder, symlinks, hidden, way, slow, filesystems, turns };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Opens what has this name for reading, without ever making the runtime wait.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub(crate) async fn open(&self, name: &Name) -> Result<Opened, OpenError> {
        if let Some(answer) = self.try_open(name) {
            return answer;
        }
        let (root, name) = (self.clone(), name.clone());
        self.patiently(move || root.open_patiently(&name)).await?
    }

    /// Opens it if that needs no waiting; `None` where it does, or may.
    pub(crate) fn try_open(&self, name: &Name) -> Option<Result<Opened, OpenError>> {
        let path = self.asked_for(name).map_err(Stop::from);
        let opened = path.and_then(|path| self.shared.open_now(path));
        let (fd, facts) = match opened {
            Ok(opened) => opened,
            Err(stop) => return stop.into_error().map(Err),
        };
        Some(matching(name, facts).map(|()| Opened { fd, facts, name: name.clone() }))
    }

    /// What is true of it now, without opening it for reading.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    #[cfg(test)]
    pub(crate) async fn look(&self, name: &Name) -> Result<Facts, OpenError> {
        if let Some(answer) = self.try_look(name) {
            return answer;
        }
        let (root, name) = (self.clone(), name.clone());
        self.patiently(move || root.look_patiently(&name)).await?
    }

    /// What is true of it now, if that needs no waiting: three calls, where [`Root::try_open`]
    /// makes five.
    pub(crate) fn try_look(&self, name: &Name) -> Option<Result<Facts, OpenError>> {
        let path = self.asked_for(name).map_err(Stop::from);
        let looked = path.and_then(|path| self.shared.look_now(path));
        match looked {
            Ok(looked) => Some(matching(name, looked.facts).map(|()| looked.facts)),
            Err(stop) => stop.into_error().map(Err),
        }
    }

    /// Whether the name still leads to what `facts` were taken of, unchanged, and by the rules.
    /// For a cache of open files.
    ///
    /// The caller holds it open: while the name leads to it, all that is met is in memory then,
    /// and nothing waits. `false` where that is not so (`slow`) and where it cannot be told: look
    /// again.
    ///
    /// One call does for a file of the root itself. Where a folder or a link is on the way, it may
    /// have come to lead out of the root, to where the file is the same: only a look by the rules
    /// tells.
    pub(crate) fn is_unchanged(&self, name: &Name, facts: &Facts) -> bool {
        if facts.slow || self.shared.slow {
            return false;
        }
        let Ok(path) = self.asked_for(name) else { return false };
        if !path.contains(&b'/') {
            match describe::named(&self.shared.folder, path) {
                // Most likely a link.
                Err(OpenError::Refused) => {}
                looked => return looked.is_ok_and(|now| now == *facts),
            }
        }
        matches!(self.try_look(name), Some(Ok(now)) if now == *facts)
    }

    /// The folder that a new name goes into, open for reading, and the last component.
    ///
    /// Everything hidden is refused, `.well-known` too: who may put a file there can prove to
    /// others that the site is theirs. With `hidden` it is as any other name.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]; `Refused` for the root itself.
    pub(crate) async fn open_parent(&self, name: &Name) -> Result<(OwnedFd, OsString), OpenError> {
        let (Some(parent), Some(last)) = (name.parent(), name.file_name()) else {
            return Err(OpenError::Refused);
        };
        if !self.shared.hidden && name.components().any(dotted) {
            return Err(OpenError::Refused);
        }
        let opened = self.open(&parent).await?;
        Ok((opened.fd, OsString::from_vec(last.to_vec())))
    }

    /// What is in a folder: what could be asked for by name, folders first. Links are resolved
    /// by the root's rules; special files, and names that no URI has, are left out.
    ///
    /// The folder's own position is not used: it can be listed any number of times at once.
    ///
    /// # Errors
    ///
    /// What reading the folder answers.
    pub(crate) async fn list(&self, dir: &Opened) -> io::Result<Vec<Entry>> {
        let root = self.clone();
        let (folder, name) = (dir.fd.try_clone()?, dir.name.clone());
        self.patiently(move || Ok(entries::of(&root, &folder, &name)?)).await?
    }

    /// As [`Root::open`], but waits on this thread.
    fn open_patiently(&self, name: &Name) -> Result<Opened, OpenError> {
        let path = self.asked_for(name)?;
        let (fd, facts) = again_and_again(|| self.shared.open_waiting(path))?;
        matching(name, facts)?;
        Ok(Opened { fd, facts, name: name.clone() })
    }

    /// As [`Root::look`], but waits on this thread.
    fn look_patiently(&self, name: &Name) -> Result<Facts, OpenError> {
        let path = self.asked_for(name)?;
        let looked = again_and_again(|| self.shared.look_waiting(path))?;
        matching(name, looked.facts).map(|()| looked.facts)
    }

    /// Does work that may wait where it holds nobody up: on tokio's blocking threads, or right here
    /// where no runtime runs.
    async fn patiently<T, F>(&self, work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let Ok(runtime) = Handle::try_current() else { return Ok(work()) };
        let turn =
            Arc::clone(&self.shared.turns).acquire_owned().await.map_err(io::Error::other)?;
        let work = move || {
            // Kept by the work: whoever asked for it may have gone, and it still waits.
            let _turn = turn;
            work()
        };
        runtime.spawn_blocking(work).await.map_err(io::Error::other)
    }

    /// The path of a name that may be asked for.
    fn asked_for<'a>(&self, name: &'a Name) -> Result<&'a [u8], OpenError> {
        if !self.shared.hidden && name.is_hidden() {
            return Err(OpenError::Refused);
        }
        // No name from a URI has one; `Name::child` takes what it is given.
        if name.components().any(|component| component == b"..") {
            return Err(OpenError::Refused);
        }
        let path = name.as_bytes();
        if path.len() >= PATH_MAX {
            return Err(OpenError::NameTooLong);
        }
        Ok(path)
    }
}

/// A name that ends with a slash is a folder's.
fn matching(name: &Name, facts: Facts) -> Result<(), OpenError> {
    if name.has_slash() && facts.kind == FileOrFolder::File {
        return Err(OpenError::NotAFolder);
    }
    Ok(())
}

/// Tries again while what is resolved is being moved about.
fn again_and_again<T>(mut attempt: impl FnMut() -> Result<T, Stop>) -> Result<T, OpenError> {
    for _ in 0..ATTEMPTS {
        match attempt().map_err(Stop::into_error) {
            Ok(done) => return Ok(done),
            Err(Some(error)) => return Err(error),
            Err(None) => {}
        }
    }
    Err(OpenError::Failed(Errno::AGAIN.into()))
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}
