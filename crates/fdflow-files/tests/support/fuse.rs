//! What filesystems in user space need that stand in for slow and odd disks; each has one file, `file`.
#![allow(dead_code, clippy::unwrap_used, reason = "each test takes what it needs of this")]

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{BackgroundSession, Config, FileAttr, FileType, Filesystem, INodeNo};

/// After this long a test hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Mounts it; `None` where that cannot be, of which it tells.
pub(crate) fn mount<F>(test: &str, filesystem: F, at: &Path) -> Option<BackgroundSession>
where
    F: Filesystem + Send + Sync + 'static,
{
    if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
        // Not by a macro, whose output the test harness keeps to itself.
        let line = format!("SKIPPED {test}: not root, or no /dev/fuse\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        return None;
    }
    Some(fuser::spawn_mount(filesystem, at, &Config::default()).unwrap())
}

/// Of the folder, or of its file, which is so long.
pub(crate) fn attributes(inode: INodeNo, length: u64) -> FileAttr {
    let folder = inode == INodeNo::ROOT;
    FileAttr {
        ino: inode,
        size: if folder { 0 } else { length },
        blocks: 1,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: if folder { FileType::Directory } else { FileType::RegularFile },
        perm: 0o755,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 512,
        flags: 0,
    }
}

/// What keeps a filesystem's answers back.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    open: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn set_open(&self, open: bool) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().open = open;
        changed.notify_all();
    }

    pub(crate) fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.waiting += 1;
        changed.notify_all();
        let (mut state, waited) =
            changed.wait_timeout_while(state, HANGS, |state| !state.open).unwrap();
        // Whoever should not have waited goes on, and its test fails instead of hanging.
        state.open |= waited.timed_out();
        state.waiting -= 1;
    }

    /// Waits until somebody stands before it.
    pub(crate) fn somebody_waits(&self) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        let (_state, waited) =
            changed.wait_timeout_while(state, HANGS, |state| state.waiting == 0).unwrap();
        assert!(!waited.timed_out(), "the filesystem is not asked");
    }
}
