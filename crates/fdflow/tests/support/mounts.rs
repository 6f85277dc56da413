//! Filesystems to move files between, mounted for one test.
//!
//! They are mounted in a mount namespace of the test's own thread: nobody else sees them, and a
//! test that is killed leaves nothing behind but empty directories. Loop devices are detached with their mount.
#![allow(unsafe_code, reason = "a mount namespace cannot be left by safe calls alone")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use tempfile::TempDir;

use crate::support::skipped;

/// A directory on some filesystem.
#[derive(Debug)]
pub struct Place {
    pub name: &'static str,
    pub dir: PathBuf,
}

impl Place {
    /// A new file without a name.
    pub fn file(&self) -> File {
        tempfile::tempfile_in(&self.dir).unwrap()
    }
}

/// The filesystems that could be had; unmounted when dropped.
#[derive(Debug)]
pub struct Mounts {
    pub places: Vec<Place>,
    mounted: Vec<PathBuf>,
    base: TempDir,
}

impl Mounts {
    /// Mounts what can be mounted, and says for `test` what cannot.
    pub fn new(test: &str) -> Self {
        let base = tempfile::tempdir().unwrap();
        let mut mounts = Self { places: Vec::new(), mounted: Vec::new(), base };
        mounts.place("temp", mounts.base.path().join("temp"));
        std::fs::create_dir(&mounts.places[0].dir).unwrap();
        if let Err(reason) = own_namespace() {
            mounts.place("tmpfs", PathBuf::from("/dev/shm"));
            skipped(test, &format!("ext4, xfs, btrfs and overlay: no mounts of our own: {reason}"));
            return mounts;
        }
        for name in ["tmpfs", "ext4", "xfs", "btrfs", "overlay"] {
            if let Err(reason) = mounts.mount(name) {
                skipped(test, &format!("{name}: {reason}"));
            }
        }
        mounts
    }

    /// Every place with every place.
    pub fn pairs(&self) -> impl Iterator<Item = (&Place, &Place)> {
        self.places.iter().flat_map(|from| self.places.iter().map(move |to| (from, to)))
    }

    /// Every place with itself and with its neighbour.
    pub fn some_pairs(&self) -> impl Iterator<Item = (&Place, &Place)> {
        let neighbours = self.places.iter().zip(self.places.iter().cycle().skip(1));
        self.places.iter().zip(&self.places).chain(neighbours)
    }

    fn place(&mut self, name: &'static str, dir: PathBuf) {
        self.places.push(Place { name, dir });
    }

    fn mount(&mut self, name: &'static str) -> Result<(), String> {
        let base = self.base.path().to_owned();
        let at = base.join(name);
        std::fs::create_dir(&at).unwrap();
        let mut mount = Command::new("mount");
        match name {
            "tmpfs" => mount.args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]),
            "overlay" => {
                let tmpfs = base.join("tmpfs");
                let [lower, upper, work] = ["lower", "upper", "work"].map(|dir| tmpfs.join(dir));
                for dir in [&lower, &upper, &work] {
                    std::fs::create_dir(dir).map_err(|error| error.to_string())?;
                }
                let [lower, upper, work] =
                    [lower, upper, work].map(|dir| dir.display().to_string());
                let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
                mount.args(["-t", "overlay", "-o", &options, "overlay"])
            }
            _ => mount.args(["-t", name, "-o", "loop"]).arg(image(name, &base)?),
        };
        let mounted = done(mount.arg(&at));
        // The loop device holds the image, if there is one, for as long as it is mounted.
        let _gone = std::fs::remove_file(base.join(format!("{name}.image"))).is_ok();
        mounted?;
        self.mounted.push(at.clone());
        self.place(name, at);
        Ok(())
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for dir in self.mounted.iter().rev() {
            // Detached even where a failing test still holds a file of it.
            if let Err(errno) = unmount(dir, UnmountFlags::DETACH) {
                eprintln!("{} stays mounted: {errno}", dir.display());
            }
        }
    }
}

/// From here on what this thread mounts is seen by nobody but it and the threads that it starts.
fn own_namespace() -> Result<(), String> {
    // SAFETY: only the view of mounts changes; descriptors stay shared with the other threads.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.map_err(|errno| errno.to_string())?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(|errno| errno.to_string())
}

/// A filesystem in a sparse file.
fn image(name: &str, dir: &Path) -> Result<PathBuf, String> {
    let path = dir.join(format!("{name}.image"));
    let (mib, options): (u64, &[&str]) = match name {
        "xfs" => (320, &["-q", "-m", "reflink=1"]),
        "btrfs" => (256, &["-q"]),
        _ => (64, &["-q"]),
    };
    File::create(&path).and_then(|file| file.set_len(mib << 20)).map_err(|e| e.to_string())?;
    done(Command::new(format!("mkfs.{name}")).args(options).arg(&path))?;
    Ok(path)
}

fn done(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
