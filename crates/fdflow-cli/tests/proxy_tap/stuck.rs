//! A disk that takes no byte until it is let: a filesystem in user space.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyCreate, ReplyEmpty, ReplyEntry,
    ReplyWrite, Request, WriteFlags,
};

/// After this long a test hangs.
const HANGS: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(3600);

/// What was written, by the files' names.
pub type Written = HashMap<String, Vec<u8>>;

#[derive(Clone, Default)]
pub struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    open: bool,
    names: Vec<String>,
    written: Written,
}

impl Disk {
    /// Mounts it; `None` where that cannot be done, of which it tells.
    pub fn mount(&self, at: &Path, test: &str) -> Option<BackgroundSession> {
        if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
            crate::skipped(test, "not root, or no /dev/fuse");
            return None;
        }
        Some(fuser::spawn_mount(self.clone(), at, &Config::default()).unwrap())
    }

    /// It writes from now on.
    pub fn open(&self) {
        let (state, changed) = &*self.0;
        state.lock().unwrap().open = true;
        changed.notify_all();
    }

    /// What was written to the one file whose name contains that.
    pub fn written(&self, name: &str) -> Vec<u8> {
        let state = self.0.0.lock().unwrap();
        let mut files = state.written.iter().filter(|(file, _)| file.contains(name));
        files.next().map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }
}

impl State {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let folder = inode == INodeNo::ROOT;
        let epoch = SystemTime::UNIX_EPOCH;
        FileAttr {
            ino: inode,
            size: self.name(inode).and_then(|name| self.written.get(name)).map_or(0, Vec::len)
                as u64,
            blocks: 1,
            atime: epoch,
            mtime: epoch,
            ctime: epoch,
            crtime: epoch,
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

    /// The first file is number 2.
    fn name(&self, inode: INodeNo) -> Option<&String> {
        self.names.get(usize::try_from(inode.0).unwrap().checked_sub(2)?)
    }
}

impl Filesystem for Disk {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let state = self.0.0.lock().unwrap();
        let at = state.names.iter().position(|known| name == known.as_str());
        match at.filter(|at| state.written.contains_key(&state.names[*at])) {
            Some(at) => {
                let attributes = state.attributes(INodeNo(at as u64 + 2));
                reply.entry(&TTL, &attributes, Generation(0));
            }
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TTL, &self.0.0.lock().unwrap().attributes(inode));
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let mut state = self.0.0.lock().unwrap();
        let name = name.to_str().unwrap().to_owned();
        state.names.push(name.clone());
        state.written.insert(name, Vec::new());
        let attributes = state.attributes(INodeNo(state.names.len() as u64 + 1));
        reply.created(&TTL, &attributes, Generation(0), FileHandle(0), FopenFlags::empty());
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.0.0.lock().unwrap().written.remove(name.to_str().unwrap());
        reply.ok();
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn write(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (state, changed) = &*self.0;
        let state = state.lock().unwrap();
        // Whoever waits in vain goes on at last, and its test fails instead of hanging.
        let (mut state, _) = changed.wait_timeout_while(state, HANGS, |state| !state.open).unwrap();
        let name = state.name(inode).unwrap().clone();
        let file = state.written.entry(name).or_default();
        let end = usize::try_from(offset).unwrap() + bytes.len();
        file.resize(file.len().max(end), 0);
        file[end - bytes.len()..end].copy_from_slice(bytes);
        reply.written(u32::try_from(bytes.len()).unwrap());
    }
}
