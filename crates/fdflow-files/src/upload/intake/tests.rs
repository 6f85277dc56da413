//! Writes that take a part of what they are given: into a file in user space that takes a third.

use std::ffi::OsStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fuser::{
    Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    ReplyAttr, ReplyEntry, ReplyOpen, ReplyWrite, Request, WriteFlags,
};

use super::*;
use crate::fuse::{attributes, mount};

/// A folder with one file, `file`, that is written by no page cache.
#[derive(Clone, Default)]
struct Partial(Arc<Mutex<Vec<u8>>>);

impl Filesystem for Partial {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == "file" {
            reply.entry(&Duration::ZERO, &attributes(INodeNo(2), 0), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::ZERO, &attributes(inode, 0));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let some = &bytes[..bytes.len().div_ceil(3)];
        let mut file = self.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let end = file.len().max(at + some.len());
        file.resize(end, 0);
        file[at..at + some.len()].copy_from_slice(some);
        reply.written(u32::try_from(some.len()).unwrap());
    }
}

struct Opened(File);

impl AsRef<File> for Opened {
    fn as_ref(&self) -> &File {
        &self.0
    }
}

#[test]
fn a_write_that_takes_a_part_is_gone_on_with_where_it_ended() {
    let test = "a_write_that_takes_a_part_is_gone_on_with_where_it_ended";
    let folder = tempfile::tempdir().unwrap();
    let written = Partial::default();
    let Some(session) = mount(test, written.clone(), folder.path()) else { return };
    let file = File::options().write(true).open(folder.path().join("file")).unwrap();
    let mut sink = Sink::new(Opened(file), 0);
    // Of all lengths, so that a part ends within a piece, at its end and behind it.
    let pieces: Vec<Bytes> = (0..60_u8).map(|n| vec![n; usize::from(n) * 7].into()).collect();
    sink.write(pieces.clone(), None).unwrap();
    let expected = pieces.concat();
    assert_eq!(sink.at, expected.len() as u64);
    assert!(*written.0.lock().unwrap() == expected);
    drop(sink);
    session.umount_and_join().unwrap();
}
