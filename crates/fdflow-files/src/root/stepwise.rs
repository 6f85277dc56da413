//! Resolving component by component, without `openat2` and as strictly.
//!
//! No link is ever followed by the kernel: each component is looked at first, and a link's text is
//! walked like the rest of the path. `..` occurs only in links; it goes back by walking anew from
//! the root along the folders that led here, so that a folder that is moved out of the root
//! meanwhile takes nobody with it.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::Symlinks;

/// As many links as the kernel follows in one path.
const LINKS: usize = 40;

const LOOKING: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens a path within the folder.
///
/// # Errors
///
/// What `openat2` would answer: `XDEV` for a way out, `LOOP` for links against the rules; `AGAIN`
/// where a folder on the way was replaced meanwhile.
pub(super) fn open(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    symlinks: Symlinks,
) -> Result<OwnedFd, Errno> {
    let here = rustix::fs::openat(root, ".", LOOKING, Mode::empty())?;
    let mut walk = Walk { root, symlinks, here, trail: Vec::new(), ahead: Vec::new(), links: 0 };
    walk.put_ahead(path);
    while let Some(component) = walk.ahead.pop() {
        if walk.ahead.is_empty() {
            if let Some(opened) = walk.last(&component, flags)? {
                return Ok(opened);
            }
        } else {
            walk.step(component)?;
        }
    }
    rustix::fs::openat(&walk.here, ".", flags | OFlags::DIRECTORY, Mode::empty())
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    symlinks: Symlinks,
    here: OwnedFd,
    /// The folders that led here from the root, none of them a link. Not kept where links may
    /// leave the root.
    trail: Vec<Vec<u8>>,
    /// What is still to be walked, the next last.
    ahead: Vec<Vec<u8>>,
    links: usize,
}

impl Walk<'_> {
    fn put_ahead(&mut self, path: &[u8]) {
        let components = path.split(|byte| *byte == b'/').rev();
        // An empty one is `.`: it says that what is before it is a folder.
        self.ahead.extend(components.map(|c| if c.is_empty() { b"." } else { c }.to_vec()));
    }

    /// Goes one component on, which more follow.
    fn step(&mut self, component: Vec<u8>) -> Result<(), Errno> {
        match &*component {
            b"." => Ok(()),
            b".." => self.go_up(),
            _ => {
                let found = self.look(&component)?;
                match kind(&found)? {
                    rustix::fs::FileType::Symlink => self.follow(&found),
                    rustix::fs::FileType::Directory => {
                        self.here = found;
                        self.trail.push(component);
                        Ok(())
                    }
                    _ => Err(Errno::NOTDIR),
                }
            }
        }
    }

    /// Opens the last component; `None` where it led on, or is the folder that the walk is in.
    fn last(&mut self, component: &[u8], flags: OFlags) -> Result<Option<OwnedFd>, Errno> {
        if matches!(component, b"." | b"..") {
            self.step(component.to_vec())?;
            return Ok(None);
        }
        let found = self.look(component)?;
        if kind(&found)? == rustix::fs::FileType::Symlink {
            self.follow(&found)?;
            return Ok(None);
        }
        if flags.contains(OFlags::PATH) {
            return Ok(Some(found));
        }
        match rustix::fs::openat(&self.here, component, flags | OFlags::NOFOLLOW, Mode::empty()) {
            Err(Errno::LOOP) => Err(Errno::AGAIN),
            opened => opened.map(Some),
        }
    }

    fn look(&self, component: &[u8]) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(&self.here, component, LOOKING, Mode::empty())
    }

    /// Puts what a link says ahead.
    fn follow(&mut self, link: &OwnedFd) -> Result<(), Errno> {
        self.links += 1;
        if self.symlinks == Symlinks::Never || self.links > LINKS || is_magic(link)? {
            return Err(Errno::LOOP);
        }
        let text = rustix::fs::readlinkat(link, c"", Vec::new())?.into_bytes();
        if text.is_empty() {
            return Err(Errno::NOENT);
        }
        if text.starts_with(b"/") {
            if self.symlinks != Symlinks::Follow {
                return Err(Errno::XDEV);
            }
            self.here = rustix::fs::open("/", LOOKING, Mode::empty())?;
        }
        self.put_ahead(&text);
        Ok(())
    }

    fn go_up(&mut self) -> Result<(), Errno> {
        if self.symlinks == Symlinks::Follow {
            self.here = rustix::fs::openat(&self.here, "..", LOOKING, Mode::empty())?;
            return Ok(());
        }
        self.trail.pop().ok_or(Errno::XDEV)?;
        self.here = rustix::fs::openat(self.root, ".", LOOKING, Mode::empty())?;
        for folder in &self.trail {
            let found = self.look(folder)?;
            if kind(&found)? != rustix::fs::FileType::Directory {
                return Err(Errno::AGAIN);
            }
            self.here = found;
        }
        Ok(())
    }
}

fn kind(fd: &OwnedFd) -> Result<rustix::fs::FileType, Errno> {
    Ok(rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode))
}

/// Whether a link may be one of those in `/proc` that lead to an open file and not along a path.
fn is_magic(link: &OwnedFd) -> Result<bool, Errno> {
    Ok(rustix::fs::fstatfs(link)?.f_type == rustix::fs::PROC_SUPER_MAGIC)
}
