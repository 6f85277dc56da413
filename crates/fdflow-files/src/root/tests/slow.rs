//! A filesystem that waits for somebody makes nobody else wait (H29): one in user space, which
//! answers nothing about its only file until it is let.

use std::ffi::OsStr;
use std::time::Duration;

use fuser::{
    Errno, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr,
    ReplyData, ReplyDirectory, ReplyEntry, Request,
};
use tokio::task::LocalSet;

use super::{FileOrFolder, Scene, Symlinks, Way, is_root, name, runtime, said, skipped};
use crate::fuse::{Gate, attributes, mount};
use crate::root::Root;

/// Of its file.
const LENGTH: u64 = 4;

/// A folder with one file, `file`.
struct Slow(Gate);

impl Filesystem for Slow {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        self.0.pass();
        if name == "file" {
            // Valid for an hour: the kernel's caches could answer for it.
            reply.entry(&Duration::from_secs(3600), &attributes(INodeNo(2), LENGTH), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.0.pass();
        reply.attr(&Duration::ZERO, &attributes(inode, LENGTH));
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: fuser::ReplyOpen) {
        self.0.pass();
        reply.opened(FileHandle(0), fuser::FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        _: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.0.pass();
        reply.data(&b"slow"[usize::try_from(offset.min(4)).unwrap()..]);
    }

    fn readdir(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.0.pass();
        if offset == 0 {
            let _full = reply.add(INodeNo(2), 1, FileType::RegularFile, "file");
        }
        reply.ok();
    }
}

#[test]
fn h29_a_slow_folder_never_delays_another_request() {
    let scene = Scene::new();
    let gate = Gate::default();
    let test = "h29_a_slow_folder_never_delays_another_request";
    let Some(session) = mount(test, Slow(gate.clone()), &scene.inside("sub/deep")) else { return };
    let root = Root::new(&scene.inside(""), Symlinks::Inside, false).unwrap();
    assert_eq!(root.shared.way, Way::Kernel { cached: true });
    let (slow, fast) = (name("/sub/deep/file"), name("/sub/file"));
    // First nothing of it is known; then all of it is in the kernel's caches; then its filesystem
    // is known, and what it says is still its own to say.
    for _ in 0..3 {
        gate.set_open(false);
        runtime().block_on(LocalSet::new().run_until(async {
            let waiting = {
                let (root, slow) = (root.clone(), slow.clone());
                tokio::task::spawn_local(async move { root.open(&slow).await })
            };
            let stood = gate.clone();
            tokio::task::spawn_blocking(move || stood.somebody_waits()).await.unwrap();
            // On this very thread: they end, or the test hangs.
            for _ in 0..100 {
                assert_eq!(said(root.open(&fast).await), "holds ours below");
                assert_eq!(said(root.open(&name("/sub/")).await), "folder");
                assert!(root.try_open(&slow).is_none());
                assert!(root.try_look(&slow).is_none());
            }
            assert!(!waiting.is_finished());
            gate.set_open(true);
            let opened = waiting.await.unwrap().unwrap();
            assert!(opened.facts.slow && opened.facts.kind == FileOrFolder::File);
            assert!(!root.is_unchanged(&slow, &opened.facts));
            assert_eq!(said(Ok(opened)), "holds slow");
        }));
    }
    session.umount_and_join().unwrap();
}

#[test]
fn h29_a_slow_folder_that_is_being_listed_delays_nobody() {
    let scene = Scene::new();
    let gate = Gate::default();
    let test = "h29_a_slow_folder_that_is_being_listed_delays_nobody";
    let Some(session) = mount(test, Slow(gate.clone()), &scene.inside("sub/deep")) else { return };
    let root = Root::new(&scene.inside(""), Symlinks::Inside, false).unwrap();
    gate.set_open(true);
    runtime().block_on(LocalSet::new().run_until(async {
        let dir = root.open(&name("/sub/deep/")).await.unwrap();
        assert!(dir.facts.slow);
        gate.set_open(false);
        let listing = {
            let root = root.clone();
            tokio::task::spawn_local(async move { root.list(&dir).await })
        };
        let stood = gate.clone();
        tokio::task::spawn_blocking(move || stood.somebody_waits()).await.unwrap();
        assert_eq!(said(root.open(&name("/file")).await), "holds ours");
        assert!(!listing.is_finished());
        gate.set_open(true);
        assert_eq!(listing.await.unwrap().unwrap().len(), 1);
    }));
    session.umount_and_join().unwrap();
}

#[test]
fn h29_a_filesystem_that_answers_nobody_does_not_take_every_thread() {
    let scene = Scene::new();
    let gate = Gate::default();
    gate.set_open(true);
    let test = "h29_a_filesystem_that_answers_nobody_does_not_take_every_thread";
    let Some(session) = mount(test, Slow(gate.clone()), &scene.inside("sub")) else { return };
    let root = Root::new(&scene.inside("sub"), Symlinks::Inside, false).unwrap();
    gate.set_open(false);
    runtime().block_on(async {
        let (root, asked) = (root.clone(), name("/none"));
        let mut waiting = tokio::task::JoinSet::new();
        // More than tokio has threads for, and none of them stays to hear the answer.
        for _ in 0..600 {
            let (root, asked) = (root.clone(), asked.clone());
            waiting.spawn(async move { root.open(&asked).await });
        }
        // Each of them is polled once at least: those that may wait do.
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(root.shared.turns.available_permits(), 0);
        waiting.abort_all();
        while waiting.join_next().await.is_some() {}
        assert_eq!(root.shared.turns.available_permits(), 0);
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        gate.set_open(true);
        assert!(matches!(root.open(&asked).await, Err(super::OpenError::NotFound)));
    });
    drop(root);
    session.umount_and_join().unwrap();
}

#[test]
fn h29_a_root_that_is_slow_itself_is_never_asked_at_once() {
    let scene = Scene::new();
    let gate = Gate::default();
    gate.set_open(true);
    let test = "h29_a_root_that_is_slow_itself_is_never_asked_at_once";
    let Some(session) = mount(test, Slow(gate.clone()), &scene.inside("sub")) else { return };
    let root = Root::new(&scene.inside("sub"), Symlinks::Inside, false).unwrap();
    for _ in 0..2 {
        assert!(root.try_open(&name("/file")).is_none());
        assert_eq!(said(runtime().block_on(root.open(&name("/file")))), "holds slow");
    }
    drop(root);
    session.umount_and_join().unwrap();
}

#[test]
fn another_fast_filesystem_is_learnt_by_the_first_that_asks() {
    if !is_root() {
        return skipped("another_fast_filesystem_is_learnt_by_the_first_that_asks", "not root");
    }
    let scene = Scene::new();
    let deep = scene.inside("sub/deep");
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", &deep, "tmpfs", flags, None).unwrap();
    std::fs::write(deep.join("file"), "quick").unwrap();
    let root = Root::new(&scene.inside(""), Symlinks::Inside, false).unwrap();
    let asked = name("/sub/deep/file");
    assert!(root.try_open(&asked).is_none());
    assert_eq!(said(runtime().block_on(root.open(&asked))), "holds quick");
    assert_eq!(said(root.try_open(&asked).unwrap()), "holds quick");
    rustix::mount::unmount(&deep, rustix::mount::UnmountFlags::DETACH).unwrap();
}
