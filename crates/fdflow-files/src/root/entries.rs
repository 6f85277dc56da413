//! Reading a folder.

use std::os::fd::OwnedFd;

use rustix::fs::Dir;
use rustix::io::Errno;

use super::{Facts, Root, describe};
use crate::listing::{self, Entry};
use crate::name::{Name, can_be_asked_for, dotted};

/// What can be asked for in this folder, in the order of a listing. Waits.
pub(super) fn of(root: &Root, folder: &OwnedFd, name: &Name) -> Result<Vec<Entry>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let entry = entry.file_name().to_bytes();
        let dots = matches!(entry, b"." | b"..");
        if dots || (dotted(entry) && !root.shared.hidden) || !can_be_asked_for(entry) {
            continue;
        }
        // Gone meanwhile, or not to be had: it is not there.
        let Some(facts) = facts(root, folder, name, entry) else { continue };
        let Facts { kind, length, modified, .. } = facts;
        entries.push(Entry { name: entry.to_vec(), kind, length, modified });
    }
    entries.sort_by(listing::order);
    Ok(entries)
}

fn facts(root: &Root, folder: &OwnedFd, name: &Name, entry: &[u8]) -> Option<Facts> {
    match describe::entry(folder, entry) {
        Ok(Some(facts)) => Some(facts),
        // Where a link leads is the root's to say.
        Ok(None) => root.look_patiently(&name.child(entry)).ok(),
        Err(_) => None,
    }
}
