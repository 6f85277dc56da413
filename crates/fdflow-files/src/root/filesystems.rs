//! Which filesystems answer by themselves, and which wait for a network or a program.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{PoisonError, RwLock};

use rustix::io::Errno;

use super::describe::{self, Mount};

/// What has been learnt about each mount. Looking it up asks the filesystem nothing.
///
/// An overlay counts as fast: containers stand on it, and what is below it does not show.
#[derive(Debug, Default)]
pub(super) struct Filesystems {
    slow: RwLock<HashMap<Mount, bool>>,
}

/// More mounts than this and it is learnt anew: they come and go.
const MOUNTS: usize = 1024;

/// The `f_type` of `statfs(2)` of filesystems that wait for somebody.
const SLOW: [u32; 20] = [
    0x6573_5546, // FUSE, virtiofs
    0x0000_6969, // NFS
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x0000_517b, // SMB
    0x0102_1997, // 9P
    0x00c3_6400, // Ceph
    0x0bd0_0bd0, // Lustre
    0x5346_414f, // AFS
    0x6b41_4653, // AFS of the kernel's own
    0x7375_7245, // Coda
    0x0000_564c, // NCP
    0x0116_1970, // GFS2
    0x7461_636f, // OCFS2
    0x4750_4653, // GPFS
    0x2003_0528, // OrangeFS
    0xaad7_aaea, // PanFS
    0x786f_4256, // VirtualBox's shared folders
    0xbacb_acbc, // VMware's
    0x0000_0187, // autofs: mounts something first
];

impl Filesystems {
    /// Whether what this is on is slow. Asks the filesystem once, and may wait for it.
    pub(super) fn is_slow(&self, fd: &OwnedFd) -> Result<bool, Errno> {
        let mount = describe::mount(fd)?;
        if let Some(slow) = self.known(mount) {
            return Ok(slow);
        }
        let magic = rustix::fs::fstatfs(fd)?.f_type;
        let slow = SLOW.iter().any(|slow| i64::from(*slow) == magic & 0xffff_ffff);
        let mut mounts = self.slow.write().unwrap_or_else(PoisonError::into_inner);
        if mounts.len() >= MOUNTS {
            mounts.clear();
        }
        mounts.insert(mount, slow);
        Ok(slow)
    }

    /// Whether what this is on is known to be fast. Never waits.
    pub(super) fn is_known_fast(&self, fd: &OwnedFd) -> bool {
        describe::mount(fd).is_ok_and(|mount| self.known(mount) == Some(false))
    }

    fn known(&self, mount: Mount) -> Option<bool> {
        self.slow.read().unwrap_or_else(PoisonError::into_inner).get(&mount).copied()
    }
}
