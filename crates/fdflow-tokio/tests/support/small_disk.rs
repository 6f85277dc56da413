//! A filesystem that is soon full: in memory, mounted where only the test's own thread, and those
//! that it starts, see it.
#![allow(unsafe_code, reason = "a mount namespace cannot be left by safe calls alone")]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use tempfile::TempDir;

use super::skipped;

pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// One of so many bytes; `None` where none is to be had, which is told for `test`.
    pub fn mount(bytes: u64, test: &str) -> Option<Self> {
        match Self::try_mount(bytes) {
            Ok(disk) => Some(disk),
            Err(error) => {
                skipped(test, &format!("no filesystem of our own: {error}"));
                None
            }
        }
    }

    fn try_mount(bytes: u64) -> io::Result<Self> {
        // SAFETY: only the view of mounts changes; descriptors stay shared with the other threads.
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
        let dir = tempfile::tempdir()?;
        let options = CString::new(format!("size={bytes}"))?;
        mount("small", dir.path(), "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, &*options)?;
        Ok(Self(dir))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Takes all but so many bytes of it away.
    pub fn leave(&self, bytes: u64) {
        let free = rustix::fs::statvfs(self.0.path()).unwrap();
        let free = free.f_bavail * free.f_frsize;
        let taken = File::create(self.path("taken")).unwrap();
        rustix::fs::fallocate(&taken, rustix::fs::FallocateFlags::empty(), 0, free - bytes)
            .unwrap();
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.path("taken")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached even where a failing test still has a file of it.
        if let Err(errno) = unmount(self.0.path(), UnmountFlags::DETACH) {
            eprintln!("{} stays mounted: {errno}", self.0.path().display());
        }
    }
}
