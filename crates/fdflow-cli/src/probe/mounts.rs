//! Which filesystems are at hand, and a directory on each of them.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::findings::Absent;

/// Filesystems in memory or layered on others: they have no device and hold files all the same.
const WITHOUT_DEVICE: [&str; 6] = ["tmpfs", "ramfs", "overlay", "zfs", "ubifs", "ecryptfs"];
/// Filesystems behind a server: one that does not answer would hang the program.
const REMOTE: [&str; 9] =
    ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "virtiofs", "afs", "glusterfs"];

/// A directory that files can be made in, and the name of its filesystem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) filesystem: String,
    pub(super) dir: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    filesystem: String,
    point: PathBuf,
    read_only: bool,
}

/// One directory on every type of filesystem here that takes files; types that take none are
/// `absent`.
pub(super) fn places(absent: &mut Vec<Absent>) -> Vec<Place> {
    let mounts = parse(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default());
    let mut places: Vec<Place> = Vec::new();
    for dir in usual() {
        let Ok(dir) = dir.canonicalize() else { continue };
        let filesystem = filesystem_of(&dir, &mounts);
        if !has(&places, &filesystem) && tempfile::tempfile_in(&dir).is_ok() {
            places.push(Place { filesystem, dir });
        }
    }
    let block_backed = block_backed(&fs::read_to_string("/proc/filesystems").unwrap_or_default());
    let mut reasons: Vec<Absent> = Vec::new();
    for mount in &mounts {
        let holds_files = WITHOUT_DEVICE.contains(&mount.filesystem.as_str())
            || block_backed.contains(&mount.filesystem)
            || is_remote(&mount.filesystem);
        if !holds_files || has(&places, &mount.filesystem) {
            continue;
        }
        let (filesystem, dir) = (mount.filesystem.clone(), mount.point.clone());
        match usable(mount) {
            Ok(()) => places.push(Place { filesystem, dir }),
            Err(why) => {
                reasons.push(Absent::new(filesystem, format!("{}: {why}", dir.display())));
            }
        }
    }
    let mut told = HashSet::new();
    reasons.retain(|reason| !has(&places, &reason.kind) && told.insert(reason.kind.clone()));
    absent.append(&mut reasons);
    places
}

/// Where files are made most: these are tried first.
fn usual() -> impl Iterator<Item = PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    [std::env::temp_dir(), PathBuf::from("."), PathBuf::from("/dev/shm")].into_iter().chain(runtime)
}

fn has(places: &[Place], filesystem: &str) -> bool {
    places.iter().any(|place| place.filesystem == filesystem)
}

/// Whether files can be made at a mount's root, found out by making one without a name.
fn usable(mount: &Mount) -> Result<(), String> {
    if is_remote(&mount.filesystem) {
        return Err("behind a server that may hang; run in a directory on it to probe it".into());
    }
    if mount.point.starts_with("/boot") || mount.point.starts_with("/efi") {
        return Err("not touched, since the machine starts from it".into());
    }
    if mount.read_only {
        return Err("mounted read-only".into());
    }
    tempfile::tempfile_in(&mount.point).map(drop).map_err(|error| error.kind().to_string())
}

fn is_remote(filesystem: &str) -> bool {
    REMOTE.contains(&filesystem) || filesystem.starts_with("fuse")
}

/// The type of the filesystem that `dir`, without symbolic links in it, lies on.
fn filesystem_of(dir: &Path, mounts: &[Mount]) -> String {
    let above = mounts.iter().filter(|mount| dir.starts_with(&mount.point));
    // Of mounts at one point the latest covers the others: `max_by_key` takes the last.
    let nearest = above.max_by_key(|mount| mount.point.components().count());
    nearest.map_or_else(|| "file".to_owned(), |mount| mount.filesystem.clone())
}

/// Reads `/proc/self/mountinfo`. Lines that it does not understand are left out.
fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let mut fields = after.split(' ');
    let (filesystem, super_options) = (fields.next()?, fields.nth(1).unwrap_or_default());
    let read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        filesystem: filesystem.to_owned(),
        point: PathBuf::from(unescape(point)),
        read_only: read_only(options) || read_only(super_options),
    })
}

/// Blanks and backslashes stand as three octal digits there.
fn unescape(text: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// The types in `/proc/filesystems` that lie on a block device.
fn block_backed(filesystems: &str) -> HashSet<String> {
    let lines = filesystems.lines().filter(|line| !line.starts_with("nodev"));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
30 25 0:27 / /dev/shm rw,relatime shared:4 - tmpfs tmpfs rw
31 27 8:1 / /mnt/a\\040b ro - xfs /dev/sda1 rw
32 27 8:2 / /dev/shm rw - btrfs /dev/sdb rw
a line that no kernel writes
";

    #[test]
    fn a_line_of_mountinfo_is_understood_with_and_without_optional_fields() {
        let mounts = parse(MOUNTINFO);
        assert_eq!(mounts.len(), 4);
        assert_eq!(mounts[1].filesystem, "tmpfs");
        assert_eq!(mounts[2].point, Path::new("/mnt/a b"));
        assert!(mounts[2].read_only && !mounts[0].read_only);
    }

    #[test]
    fn a_directory_lies_on_the_latest_of_the_nearest_mounts() {
        let mounts = parse(MOUNTINFO);
        assert_eq!(filesystem_of(Path::new("/tmp"), &mounts), "ext4");
        assert_eq!(filesystem_of(Path::new("/dev/shm"), &mounts), "btrfs");
        assert_eq!(filesystem_of(Path::new("/dev/shmoo"), &mounts), "ext4");
        assert_eq!(filesystem_of(Path::new("/tmp"), &[]), "file");
    }

    #[test]
    fn only_types_without_nodev_lie_on_a_device() {
        let types = block_backed("nodev\tsysfs\nnodev\ttmpfs\n\text4\n\txfs\n");
        assert_eq!(types, HashSet::from(["ext4".to_owned(), "xfs".to_owned()]));
    }
}
