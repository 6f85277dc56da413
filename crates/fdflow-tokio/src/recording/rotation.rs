//! The names of a recording's files change: the one that was written to gets its number, and another
//! takes its place.
//!
//! The new file and its index are made under the number first, whole and locked, and then change
//! names with the old ones, the index first. So there is a file of that name at any time, it is
//! locked, and nothing that can fail for want of room comes between the two. [`recover`] undoes what
//! a crash has left half done.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::index::{self, Index};
use super::lock::Lock;
use super::names;
use super::piece::of;
use super::segment::{Segment, remove};

/// A new file to write to.
#[derive(Debug)]
pub(super) struct Rotated {
    pub(super) segment: Arc<Segment>,
    pub(super) lock: Arc<Lock>,
    /// The number of the one before.
    pub(super) number: u64,
    /// Whether that is there: somebody may have taken it away.
    pub(super) is_kept: bool,
}

/// Begins another file at `end` of the stream. The one before gets the number `next` or, if there is
/// such a file, a later one. After an error everything is as before.
pub(super) fn rotate(old: &Segment, path: &Path, next: u64, end: u64) -> io::Result<Rotated> {
    let file = old.piece.file()?;
    match std::fs::metadata(path) {
        Ok(there) if is_same(&there, &file)? => {}
        Ok(_) => {
            let message = "somebody put another file in its place: move that away";
            return Err(of(path, &io::Error::new(io::ErrorKind::AlreadyExists, message)));
        }
        // Somebody took it away. What is in it is served for as long as it is open.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let (segment, lock) = make(path, path, end)?;
            old.renamed(&names::numbered(path, next));
            return Ok(Rotated { segment, lock, number: next, is_kept: false });
        }
        Err(error) => return Err(of(path, &error)),
    }
    let mut number = next;
    let (to, made) = loop {
        let to = names::numbered(path, number);
        match make(&to, path, end) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            made => break (to, made?),
        }
    };
    exchange_both(path, &to)?;
    let (segment, lock) = made;
    old.renamed(&to);
    Ok(Rotated { segment, lock, number, is_kept: true })
}

/// An empty file, locked, with an index that says where it begins. It is to be called `path`.
fn make(at: &Path, path: &Path, end: u64) -> io::Result<(Arc<Segment>, Arc<Lock>)> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).open(at);
    let file = Arc::new(made.map_err(|error| of(at, &error))?);
    let begun = || {
        let lock = Lock::take(&file)?;
        let index = names::index_of(at);
        // One that was left behind is about a file that is gone.
        remove(&index)?;
        let (mut opened, _) = Index::open(&index, 0)?;
        opened.begin(end, 0, SystemTime::now()).map_err(|error| of(&index, &error))?;
        let segment = Segment::fresh(Arc::clone(&file), path, opened);
        Ok((Arc::new(segment), lock))
    };
    let begun = begun();
    if begun.is_err() {
        discard(at);
    }
    begun
}

/// Takes away what was made and is not needed.
fn discard(path: &Path) {
    // What stays is empty, and taken away by the next process that records.
    let _gone = remove(path).and_then(|()| remove(&names::index_of(path))).is_ok();
}

fn exchange_both(path: &Path, to: &Path) -> io::Result<()> {
    let (index, index_to) = (names::index_of(path), names::index_of(to));
    let is_there = match exchange(&index, &index_to) {
        Ok(()) => true,
        // Somebody took it away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => {
            discard(to);
            return Err(error);
        }
    };
    if let Err(error) = exchange(path, to) {
        // Should this fail as well, the next process sees to it.
        if !is_there || exchange(&index, &index_to).is_ok() {
            discard(to);
        }
        return Err(error);
    }
    if !is_there {
        // It is told of when the index is looked for and missing.
        let _named = std::fs::rename(&index_to, &index).is_ok();
    }
    Ok(())
}

/// Each of two files gets the other's name, at once where the filesystem can do that.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let exchanged = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE);
    match exchanged {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        exchanged => return exchanged.map_err(|errno| of(one, &errno.into())),
    }
    let mut between = other.as_os_str().to_owned();
    between.push(".new");
    let between = PathBuf::from(between);
    std::fs::rename(other, &between)
        .and_then(|()| std::fs::rename(one, other))
        .and_then(|()| std::fs::rename(&between, one))
        .map_err(|error| of(one, &error))
}

fn is_same(there: &std::fs::Metadata, file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
}

/// Opens the file that is written to, or makes it, and locks it.
pub(super) fn open_locked(path: &Path) -> io::Result<(Arc<File>, Arc<Lock>)> {
    loop {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = Arc::new(super::piece::open_regular(path, options)?);
        let lock = Lock::take(&file)?;
        // Unless another process has rotated it meanwhile, and ended.
        if std::fs::metadata(path).is_ok_and(|there| is_same(&there, &file).unwrap_or(false)) {
            return Ok((file, lock));
        }
    }
}

/// Undoes a rotation that a crash interrupted: the file of the last number is empty then, and its
/// index may have changed names already.
pub(super) fn recover(path: &Path) -> io::Result<()> {
    let Some(number) = names::numbers(path)?.last().copied() else { return Ok(()) };
    let last = names::numbered(path, number);
    if std::fs::metadata(&last).map_err(|error| of(&last, &error))?.len() > 0 {
        return Ok(());
    }
    let (index, index_last) = (names::index_of(path), names::index_of(&last));
    let begins = |index: &Path| index::first(index).map(|entry| entry.at);
    if let (Some(ours), Some(theirs)) = (begins(&index), begins(&index_last))
        && theirs < ours
    {
        std::fs::rename(&index_last, &index).map_err(|error| of(&index, &error))?;
    }
    remove(&last)?;
    remove(&index_last)
}

/// Puts the names of a folder's files on the disk. A filesystem that cannot do so is left to itself.
pub(super) fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let opened = File::open(folder.unwrap_or(Path::new(".")));
    let _synced = opened.and_then(|folder| folder.sync_all()).is_ok();
}

#[cfg(test)]
#[path = "rotation_tests.rs"]
mod tests;
