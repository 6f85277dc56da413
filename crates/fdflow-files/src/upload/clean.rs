//! What is left over: drafts of programs that were killed, and uploads that nobody resumes.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::UploadOptions;
use super::resumable::{id_of_data, id_of_state, state_name};
use super::store::{DRAFT, is_reserved, remove_if_abandoned};
use crate::Root;
use crate::name::Name;

/// Folders are looked into so deep: each level holds a descriptor.
const DEEPEST: usize = 100;

/// Looks through all folders for what is left over and removes it, on a thread of its own, at the
/// start of a program. Errors end it where they occur: what could not be removed harms nobody.
pub(crate) fn clean_in_background(root: &Root, options: &UploadOptions) {
    let (root, expiry) = (root.clone(), options.expiry);
    let work = move || {
        if let Some(Ok(top)) = root.try_open(&Name::root()) {
            tree(&top.fd, expiry, DEEPEST);
        }
    };
    // A system without room for a thread has other worries.
    drop(std::thread::Builder::new().name("fdflow-clean".into()).spawn(work));
}

fn tree(top: &OwnedFd, expiry: Duration, deeper: usize) {
    // Folders that cannot be read are passed over.
    drop(folder(top, expiry));
    if deeper == 0 {
        return;
    }
    for name in folders(top).unwrap_or_default() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(inner) = rustix::fs::openat(top, &name, flags, Mode::empty()) {
            tree(&inner, expiry, deeper - 1);
        }
    }
}

fn folders(top: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(top)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let kind = entry.file_type();
        if matches!(kind, FileType::Directory | FileType::Unknown) && name != b"." && name != b".."
        {
            names.push(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// Removes what is left over in a folder, and counts the uploads that wait to be resumed.
pub(super) fn folder(folder: &OwnedFd, expiry: Duration) -> io::Result<usize> {
    let mut waiting = 0;
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !is_reserved(name) {
            continue;
        }
        let path = OsStr::from_bytes(name);
        if name.starts_with(DRAFT.as_bytes()) {
            // Gone already, or somebody's: either way it is not this one's to remove.
            drop(remove_if_abandoned(folder, path));
        } else if let Some(id) = id_of_data(name) {
            if !old(folder, path, expiry) || !remove_if_abandoned(folder, path).unwrap_or(false) {
                waiting += 1;
                continue;
            }
            let _stays = rustix::fs::unlinkat(folder, state_name(id), AtFlags::empty());
        } else if id_of_state(name).is_some_and(|id| is_orphan(folder, id))
            && old(folder, path, expiry)
        {
            let _stays = rustix::fs::unlinkat(folder, path, AtFlags::empty());
        }
    }
    Ok(waiting)
}

/// Whether a state has no bytes: it is complete, or about to be removed.
fn is_orphan(folder: &OwnedFd, id: &str) -> bool {
    let data = super::resumable::data_name(id);
    rustix::fs::statat(folder, data, AtFlags::SYMLINK_NOFOLLOW).is_err()
}

fn old(folder: &OwnedFd, name: &OsStr, expiry: Duration) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| is_expired(&stat, expiry))
}

/// Whether nothing was written to it for so long.
pub(super) fn is_expired(stat: &Stat, expiry: Duration) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let changed = u64::try_from(stat.st_mtime).unwrap_or(0);
    now.saturating_sub(changed) > expiry.as_secs()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::store::{Folder, Staged};
    use super::*;

    #[test]
    fn a_draft_that_is_being_made_is_never_lost_to_whoever_cleans_up() {
        let dir = tempfile::tempdir().unwrap();
        let open = || OwnedFd::from(File::open(dir.path()).unwrap());
        let (made, cleaned) = (Folder::new(open()).unwrap(), open());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    folder(&cleaned, Duration::MAX).unwrap();
                }
            });
            let make = || Staged::new(&made, false)?.replace(&made, OsStr::new("upload"));
            let all: io::Result<Vec<()>> = (0..3000).map(|_| make()).collect();
            done.store(true, Ordering::Relaxed);
            all.unwrap();
        });
    }
}
