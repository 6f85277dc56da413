//! Resolving a path within the root, now or waiting.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Facts, FileOrFolder, OpenError, Shared, Symlinks, describe, stepwise};

/// How names are resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// By the kernel, in one call. `cached`: it can be told to give up rather than wait (Linux 5.12).
    Kernel { cached: bool },
    /// Component by component: before Linux 5.6, and in sandboxes that refuse `openat2`.
    Stepwise,
}

impl Way {
    /// What this kernel can do.
    pub(super) fn of(folder: &OwnedFd) -> Self {
        let can = |resolve| {
            rustix::fs::openat2(
                folder,
                ".",
                LOOKING,
                Mode::empty(),
                resolve | ResolveFlags::BENEATH,
            )
        };
        // Whatever a sandbox answers in place of ENOSYS, the strict fallback is right.
        if can(ResolveFlags::empty()).is_err() {
            return Self::Stepwise;
        }
        Self::Kernel { cached: can(ResolveFlags::CACHED).is_ok() }
    }
}

/// Why resolving ended without a result.
#[derive(Debug)]
pub(super) enum Stop {
    /// It would have to wait, or something was moved meanwhile.
    Wait,
    /// It is known to be this.
    Error(OpenError),
}

impl Stop {
    /// `None` where waiting, or another attempt, can have a result.
    pub(super) fn into_error(self) -> Option<OpenError> {
        match self {
            Self::Wait => None,
            Self::Error(error) => Some(error),
        }
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        if errno == Errno::AGAIN { Self::Wait } else { Self::Error(errno.into()) }
    }
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Error(error)
    }
}

/// What a path led to: not opened, only held.
#[derive(Debug)]
pub(super) struct Looked {
    fd: OwnedFd,
    pub facts: Facts,
    /// What the kernel was told, beside the root's rules.
    resolve: ResolveFlags,
}

pub(super) const LOOKING: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Never waits for a FIFO's other end, and never makes a terminal the process's own; neither is
/// opened unless it has taken a regular file's place just now.
const READING: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

impl Shared {
    /// What the path leads to, as far as the kernel's caches know.
    pub(super) fn look_now(&self, path: &[u8]) -> Result<Looked, Stop> {
        if self.slow || self.way != (Way::Kernel { cached: true }) {
            return Err(Stop::Wait);
        }
        // On the root's own mount everything is as fast as the root.
        let near = ResolveFlags::CACHED | ResolveFlags::NO_XDEV;
        let (fd, resolve) = match self.kernel(path, LOOKING, near) {
            // Another mount, or not in the caches: the kernel answers either with EAGAIN.
            Err(Errno::XDEV | Errno::AGAIN) => (self.across(path)?, ResolveFlags::CACHED),
            answer => (answer?, near),
        };
        let facts = describe::now(&fd)?;
        Ok(Looked { fd, facts, resolve })
    }

    /// The same, over mounts, to filesystems that are known to be fast.
    fn across(&self, path: &[u8]) -> Result<OwnedFd, Stop> {
        let fd = self.kernel(path, LOOKING, ResolveFlags::CACHED)?;
        if self.filesystems.is_known_fast(&fd) { Ok(fd) } else { Err(Stop::Wait) }
    }

    /// Opens for reading what can be opened without waiting.
    pub(super) fn open_now(&self, path: &[u8]) -> Result<(OwnedFd, Facts), Stop> {
        let looked = self.look_now(path)?;
        if looked.facts.kind == FileOrFolder::Folder {
            return Ok((enter(&looked)?, looked.facts));
        }
        let fd = self.kernel(path, READING, looked.resolve)?;
        let facts = describe::now(&fd)?;
        Ok((fd, facts))
    }

    /// What the path leads to. Waits for disks and networks.
    pub(super) fn look_waiting(&self, path: &[u8]) -> Result<Looked, Stop> {
        let resolve = ResolveFlags::empty();
        let fd = self.resolve(path, LOOKING)?;
        let slow = self.filesystems.is_slow(&fd)?;
        let facts = Facts { slow, ..describe::waiting(&fd)? };
        Ok(Looked { fd, facts, resolve })
    }

    /// Opens for reading. Waits for disks and networks, and for whoever has leased the file.
    pub(super) fn open_waiting(&self, path: &[u8]) -> Result<(OwnedFd, Facts), Stop> {
        let looked = self.look_waiting(path)?;
        if looked.facts.kind == FileOrFolder::Folder {
            return Ok((enter(&looked)?, looked.facts));
        }
        let fd = match reopen(&looked) {
            // No /proc here: by the path again, which may lead to something else by now.
            Err(Errno::NOENT) => self.resolve(path, READING)?,
            answer => answer?,
        };
        let facts = Facts { slow: looked.facts.slow, ..describe::waiting(&fd)? };
        Ok((fd, facts))
    }

    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        match self.way {
            Way::Kernel { .. } => self.kernel(path, flags, ResolveFlags::empty()),
            Way::Stepwise => stepwise::open(self.folder.as_fd(), path, flags, self.symlinks),
        }
    }

    fn kernel(&self, path: &[u8], flags: OFlags, more: ResolveFlags) -> Result<OwnedFd, Errno> {
        let rules = ResolveFlags::NO_MAGICLINKS
            | match self.symlinks {
                Symlinks::Never => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
                Symlinks::Inside => ResolveFlags::BENEATH,
                Symlinks::Follow => ResolveFlags::empty(),
            };
        rustix::fs::openat2(&self.folder, path, flags, Mode::empty(), rules | more)
    }
}

/// Opens a folder that was looked at, whatever its name leads to by now.
fn enter(looked: &Looked) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(&looked.fd, ".", READING | OFlags::DIRECTORY, Mode::empty())
}

/// Opens a regular file that was looked at, whatever its name leads to by now.
fn reopen(looked: &Looked) -> Result<OwnedFd, Errno> {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", looked.fd.as_raw_fd());
    // It is a regular file: without O_NONBLOCK a lease is waited for, not reported.
    rustix::fs::open(link, READING - OFlags::NONBLOCK, Mode::empty())
}
