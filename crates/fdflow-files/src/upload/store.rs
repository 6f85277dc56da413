//! The store: a file that is being written and not yet there, and how it comes to be there.
//!
//! What is uploaded goes into a file without a name (`O_TMPFILE`), which is gone with its last
//! descriptor, however the program ends. Where the filesystem has none, it has a hidden name
//! instead and is locked while it is written: one that is not locked was left by a program that
//! was killed. Every call here may wait for a disk: they belong on a blocking thread.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;

use super::refusal::Refusal;

/// What every name of this crate's own on disk begins with. Nothing of that name is ever served,
/// listed, uploaded to or overwritten, not even where hidden names are shown.
pub(crate) const RESERVED: &[u8] = b".fdflow-";

/// Files that are being written, where they need a name.
pub(super) const DRAFT: &str = ".fdflow-draft-";

/// Whether a component is one of this crate's own.
pub(crate) fn is_reserved(component: &[u8]) -> bool {
    component.starts_with(RESERVED)
}

/// The folder that an upload goes into.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    identity: (u64, u64),
}

impl Folder {
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&fd)?;
        Ok(Self { fd, identity: (stat.st_dev, stat.st_ino) })
    }

    pub(super) fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Device and inode: the same folder whichever name led to it.
    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// What has this name now, links not followed.
    pub(super) fn look(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Whether the filesystem has this many bytes left for the user that the program runs as.
    pub(super) fn has_room_for(&self, bytes: u64) -> bool {
        rustix::fs::fstatvfs(&self.fd)
            .map_or(true, |facts| facts.f_bavail.saturating_mul(facts.f_frsize) >= bytes)
    }

    /// Makes the names in it durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Creates a file that nothing has the name of, with the mode that the umask leaves.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags | OFlags::CLOEXEC, new_mode())?))
    }

    /// Holds back whoever else would put something under this name, within this process.
    fn lock(&self, name: &OsStr) -> MutexGuard<'static, ()> {
        static LOCKS: [Mutex<()>; 64] = [const { Mutex::new(()) }; 64];
        static HASHES: OnceLock<std::hash::RandomState> = OnceLock::new();
        let mut hash = HASHES.get_or_init(Default::default).build_hasher();
        hash.write_u64(self.identity.0);
        hash.write_u64(self.identity.1);
        hash.write(name.as_bytes());
        let stripe = usize::try_from(hash.finish() % 64).unwrap_or(0);
        LOCKS[stripe].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn new_mode() -> Mode {
    Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH
}

/// A name that nobody can guess.
pub(super) fn unguessable() -> io::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a file that is not there yet is on disk.
#[derive(Debug)]
pub(super) enum Staged {
    /// It has no name.
    Unnamed(File),
    /// It has a hidden one, which goes when this is dropped.
    Named(File, Unlinked),
    /// It has a hidden one that somebody else looks after.
    Kept(File, OsString),
}

/// A hidden name that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Unlinked {
    folder: OwnedFd,
    name: OsString,
}

impl Drop for Unlinked {
    fn drop(&mut self) {
        // Nothing can be done about a name that stays; the next start finds it.
        let _stays = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty());
    }
}

impl Staged {
    /// A new file in this folder; without a name, where `unnamed` allows it and there can be one.
    pub(super) fn new(folder: &Folder, unnamed: bool) -> io::Result<Self> {
        if unnamed {
            match Self::without_a_name(folder) {
                Ok(Some(file)) => return Ok(Self::Unnamed(file)),
                Ok(None) => {}
                Err(error) => return Err(error),
            }
        }
        loop {
            let name = OsString::from(format!("{DRAFT}{}", unguessable()?));
            let file = folder.create(&name)?;
            let kept = Unlinked { folder: folder.fd.try_clone()?, name };
            // Whoever cleans up may have come between: then it is theirs, or gone already, and another
            // is made. Where nothing can be locked, nobody can clean up either.
            let is_ours = lock_for_life(&file) != Err(Errno::WOULDBLOCK);
            if is_ours && folder.look(&kept.name)?.is_some() {
                return Ok(Self::Named(file, kept));
            }
        }
    }

    fn without_a_name(folder: &Folder) -> io::Result<Option<File>> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&folder.fd, ".", flags, new_mode()) {
            Ok(fd) => File::from(fd),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        // It is given its name through /proc, which a program in a bare chroot lacks.
        let seen = rustix::fs::statat(CWD, proc_path(&file), AtFlags::empty()).is_ok();
        Ok(seen.then_some(file))
    }

    pub(super) fn file(&self) -> &File {
        match self {
            Self::Unnamed(file) | Self::Named(file, _) | Self::Kept(file, _) => file,
        }
    }

    /// Gives it this name, which nothing has; `EXIST` where something does.
    fn link(&self, folder: &Folder, name: &OsStr) -> rustix::io::Result<()> {
        let old = match self {
            Self::Unnamed(file) => return link_unnamed(file, folder, name),
            Self::Named(_, Unlinked { name, .. }) | Self::Kept(_, name) => name,
        };
        match rustix::fs::renameat_with(&folder.fd, old, &folder.fd, name, RenameFlags::NOREPLACE) {
            // The filesystem cannot rename so, but a second name is never made over another.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(&folder.fd, old, &folder.fd, name, AtFlags::empty())?;
                rustix::fs::unlinkat(&folder.fd, old, AtFlags::empty())
            }
            other => other,
        }
    }

    /// Gives it this name, whatever has it: a reader sees the old one or this one, whole.
    pub(super) fn replace(&self, folder: &Folder, name: &OsStr) -> io::Result<()> {
        let old = match self {
            Self::Unnamed(file) => {
                let passing = OsString::from(format!("{DRAFT}{}", unguessable()?));
                let kept = Unlinked { folder: folder.fd.try_clone()?, name: passing };
                let _cannot_be_locked = lock_for_life(file);
                link_unnamed(file, folder, &kept.name)?;
                rustix::fs::renameat(&folder.fd, &kept.name, &folder.fd, name)?;
                return Ok(());
            }
            Self::Named(_, Unlinked { name, .. }) | Self::Kept(_, name) => name,
        };
        Ok(rustix::fs::renameat(&folder.fd, old, &folder.fd, name)?)
    }
}

/// Tells every program that somebody is at it, until its last descriptor is closed.
pub(super) fn lock_for_life(file: &File) -> rustix::io::Result<()> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}

fn proc_path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

fn link_unnamed(file: &File, folder: &Folder, name: &OsStr) -> rustix::io::Result<()> {
    rustix::fs::linkat(CWD, proc_path(file), &folder.fd, name, AtFlags::SYMLINK_FOLLOW)
}

/// How it came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    Created,
    Replaced,
}

/// Whether what has the name may be replaced, judged by what it is: asked before the body is read,
/// and once more while nobody else of this process can put anything there.
pub(super) trait Rule {
    fn check(&self, there: Option<&Stat>) -> Result<(), Refusal>;
}

/// Makes a written file durable and puts it under its name, whole or not at all.
pub(super) fn publish(
    folder: &Folder,
    staged: &Staged,
    name: &OsStr,
    rule: &impl Rule,
    durable: bool,
) -> Result<Published, Refusal> {
    if durable {
        rustix::fs::fsync(staged.file().as_fd())?;
    }
    let guard = folder.lock(name);
    let there = folder.look(name)?;
    rule.check(there.as_ref())?;
    let published = match there {
        Some(_) => {
            staged.replace(folder, name)?;
            Published::Replaced
        }
        None => match staged.link(folder, name) {
            Ok(()) => Published::Created,
            // Another program was quicker by a moment: its file is judged like any other.
            Err(Errno::EXIST) => {
                rule.check(folder.look(name)?.as_ref())?;
                staged.replace(folder, name)?;
                Published::Replaced
            }
            Err(errno) => return Err(errno.into()),
        },
    };
    drop(guard);
    if durable {
        folder.sync()?;
    }
    Ok(published)
}

/// Removes a draft that no living program holds.
pub(super) fn remove_if_abandoned(folder: &OwnedFd, name: &OsStr) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?);
    match lock_for_life(&file) {
        Ok(()) => {
            rustix::fs::unlinkat(folder, name, AtFlags::empty())?;
            Ok(true)
        }
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
