//! What is true of a file or folder.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags};
use rustix::io::Errno;

use super::{Facts, FileOrFolder, OpenError};

/// As far as it is known without asking anybody.
pub(super) fn now(fd: &OwnedFd) -> Result<Facts, OpenError> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    facts(&rustix::fs::statx(fd, c"", flags, StatxFlags::BASIC_STATS)?)
}

/// As its server or program says.
pub(super) fn waiting(fd: &OwnedFd) -> Result<Facts, OpenError> {
    facts(&rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?)
}

/// As [`now`], of what has this name in the folder itself; `Refused` for a link.
pub(super) fn named(folder: &OwnedFd, name: &[u8]) -> Result<Facts, OpenError> {
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT | AtFlags::SYMLINK_NOFOLLOW;
    facts(&rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS)?)
}

/// Of an entry of a folder. `None` for a link.
pub(super) fn entry(folder: &OwnedFd, name: &[u8]) -> Result<Option<Facts>, OpenError> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let statx = rustix::fs::statx(folder, name, flags, StatxFlags::BASIC_STATS)?;
    if FileType::from_raw_mode(statx.stx_mode.into()) == FileType::Symlink {
        return Ok(None);
    }
    facts(&statx).map(Some)
}

/// Which mount something is on, for certain where the kernel numbers them (Linux 5.8), and never
/// the same again (6.8). Asks its filesystem nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mount {
    device: u64,
    number: u64,
}

pub(super) fn mount(fd: &OwnedFd) -> Result<Mount, Errno> {
    // What rustix does not name yet: STATX_MNT_ID_UNIQUE.
    let mask = StatxFlags::MNT_ID | StatxFlags::from_bits_retain(0x4000);
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let statx = rustix::fs::statx(fd, c"", flags, mask)?;
    Ok(Mount { device: device(&statx), number: statx.stx_mnt_id })
}

fn device(statx: &Statx) -> u64 {
    rustix::fs::makedev(statx.stx_dev_major, statx.stx_dev_minor)
}

/// `Refused` for what is neither.
fn facts(statx: &Statx) -> Result<Facts, OpenError> {
    let kind = match FileType::from_raw_mode(statx.stx_mode.into()) {
        FileType::RegularFile => FileOrFolder::File,
        FileType::Directory => FileOrFolder::Folder,
        _ => return Err(OpenError::Refused),
    };
    Ok(Facts {
        kind,
        length: statx.stx_size,
        modified: (statx.stx_mtime.tv_sec, statx.stx_mtime.tv_nsec),
        changed: (statx.stx_ctime.tv_sec, statx.stx_ctime.tv_nsec),
        device: device(statx),
        inode: statx.stx_ino,
        slow: false,
    })
}
