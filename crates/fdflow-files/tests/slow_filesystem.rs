//! A filesystem that waits for somebody makes nobody else wait (H29), from the request to the last
//! byte of its answer: one in user space, which keeps back the bytes of its files until it is let.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

#[path = "support/fuse.rs"]
mod fuse;
mod support;

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use fdflow_files::Files;
use fuse::{Gate, attributes, mount};
use fuser::{
    Errno, FileAttr, FileHandle, Filesystem, Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr,
    ReplyData, ReplyEntry, Request,
};
use support::{Answer, Site, noise};

/// Of each file the first bytes come at once: its kind is told by them.
const AT_ONCE: u64 = 64 << 10;

/// A folder with `file` in it, of which all bytes are kept back, or those behind the first.
struct Slow {
    gate: Gate,
    bytes: Vec<u8>,
    at_once: u64,
}

impl Slow {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        attributes(inode, self.bytes.len() as u64)
    }
}

impl Filesystem for Slow {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == "file" {
            let attributes = self.attributes(INodeNo(2));
            reply.entry(&Duration::from_secs(3600), &attributes, Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&Duration::from_secs(3600), &self.attributes(inode));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: fuser::ReplyOpen) {
        reply.opened(FileHandle(0), fuser::FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if offset >= self.at_once {
            self.gate.pass();
        }
        let from = usize::try_from(offset).unwrap().min(self.bytes.len());
        let to = (from + size as usize).min(self.bytes.len());
        reply.data(&self.bytes[from..to]);
    }
}

/// All that comes until the server closes.
fn rest(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Answer::read(&bytes)
}

/// Downloads `bytes` from the slow filesystem, and another file meanwhile from the same thread.
fn nobody_else_waits(test: &str, bytes: &[u8], at_once: u64, fields: &str, expected: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let (slow, gate) = (folder.path().join("slow"), Gate::default());
    std::fs::create_dir(&slow).unwrap();
    let filesystem = Slow { gate: gate.clone(), bytes: bytes.to_vec(), at_once };
    let Some(session) = mount(test, filesystem, &slow) else { return };
    let files = Files::new(folder.path()).unwrap();
    let site = Site::serving(folder, files);
    let (small, large) = (noise(100), noise(3_000_000));
    site.old("small", &small);
    site.old("large", &large);
    let mut waiting = site.connect();
    let request =
        format!("GET /slow/file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{fields}\r\n");
    waiting.write_all(request.as_bytes()).unwrap();
    gate.somebody_waits();
    // Nobody opens the gate but this thread, later.
    for _ in 0..20 {
        assert_eq!(site.get("/small", &[]).body, small);
        assert_eq!(site.get("/large", &[]).body, large);
    }
    gate.set_open(true);
    assert!(rest(waiting).body == expected);
    drop(site);
    session.umount_and_join().unwrap();
}

#[test]
fn h29_a_large_file_that_is_being_read_slowly_delays_nobody() {
    let bytes = noise(2_000_000);
    let test = "h29_a_large_file_that_is_being_read_slowly_delays_nobody";
    nobody_else_waits(test, &bytes, AT_ONCE, "", &bytes);
}

#[test]
fn h29_a_small_file_that_is_being_read_slowly_delays_nobody() {
    let bytes = noise(1000);
    let test = "h29_a_small_file_that_is_being_read_slowly_delays_nobody";
    nobody_else_waits(test, &bytes, 0, "", &bytes);
}

#[test]
fn h29_a_few_bytes_of_a_large_file_that_is_read_slowly_delay_nobody() {
    let bytes = noise(2_000_000);
    let test = "h29_a_few_bytes_of_a_large_file_that_is_read_slowly_delay_nobody";
    let range = "Range: bytes=1500000-1500099\r\n";
    nobody_else_waits(test, &bytes, AT_ONCE, range, &bytes[1_500_000..1_500_100]);
}

/// The kernel has asked for all of it when the first bytes were read: pages that are there, but
/// hold nothing yet, are not the same as bytes that are there.
#[test]
fn h29_a_file_that_is_being_read_ahead_slowly_delays_nobody() {
    let bytes = noise(160_000);
    let test = "h29_a_file_that_is_being_read_ahead_slowly_delays_nobody";
    nobody_else_waits(test, &bytes, AT_ONCE, "", &bytes);
}
