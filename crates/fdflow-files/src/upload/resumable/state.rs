//! What is known of an upload besides its bytes, as it stands on disk.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::name::Name;
use crate::upload::store::{Folder, RESERVED, Staged};
use crate::upload::whole::Place;

const DATA: &str = ".fdflow-upload-";
const STATE: &str = ".state";
/// No state is longer: one that is was not written by this program.
const LONGEST: u64 = 64 << 10;

/// The upload that a name is of, if it is one's.
pub(crate) fn id_of(name: &Name) -> Option<String> {
    let last = std::str::from_utf8(name.file_name()?).ok()?;
    let id = last.strip_prefix(DATA)?;
    (is_id(id) && !name.has_slash()).then(|| id.to_owned())
}

/// The upload that a file on disk is the state of.
pub(in crate::upload) fn id_of_state(name: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(name).ok()?.strip_prefix(DATA)?.strip_suffix(STATE)?;
    is_id(id).then_some(id)
}

/// The upload that a file on disk has the bytes of.
pub(in crate::upload) fn id_of_data(name: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(name).ok()?.strip_prefix(DATA)?;
    is_id(id).then_some(id)
}

fn is_id(id: &str) -> bool {
    debug_assert!(DATA.as_bytes().starts_with(RESERVED), "its files are never served");
    id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The file that has an upload's bytes, and the last component of its URI.
pub(in crate::upload) fn data_name(id: &str) -> String {
    format!("{DATA}{id}")
}

/// The file that has its state.
pub(in crate::upload) fn state_name(id: &str) -> OsString {
    OsString::from(format!("{DATA}{id}{STATE}"))
}

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    /// The name that it is to have, in the same folder: bytes.
    target: Vec<u8>,
    /// How long the whole is, where the client has told.
    pub(super) length: Option<u64>,
    pub(super) complete: bool,
    /// The preconditions of the request that began it.
    pub(super) conditions: Vec<(String, String)>,
}

impl State {
    pub(super) fn new(place: &Place, length: Option<u64>) -> Self {
        let target = place.name.as_bytes().to_vec();
        Self { target, length, complete: false, conditions: place.terms.to_text() }
    }

    pub(super) fn target(&self) -> OsString {
        OsString::from_vec(self.target.clone())
    }

    /// Puts it on disk in the place of what was there, whole.
    pub(super) fn write(&self, folder: &Folder, id: &str) -> io::Result<()> {
        // Locked while it has no name of its own: else whoever cleans up would take it.
        let staged = Staged::new(folder, false)?;
        staged.file().write_all(&serde_json::to_vec(self)?)?;
        staged.file().sync_all()?;
        staged.replace(folder, &state_name(id))
    }

    /// `None` where there is none, or none that can be read.
    pub(super) fn read(folder: &Folder, id: &str) -> io::Result<Option<Self>> {
        let Some(file) = open(folder, &state_name(id))? else { return Ok(None) };
        let mut text = Vec::new();
        file.take(LONGEST).read_to_end(&mut text)?;
        let state: Option<Self> = serde_json::from_slice(&text).ok();
        // Whoever can write here may have written it: the name is checked like any other.
        Ok(state.filter(|state| {
            Name::root().checked_child(&state.target).is_ok()
                && !crate::upload::is_reserved(&state.target)
        }))
    }
}

/// Opens a file of an upload; what is no regular file is not there.
pub(super) fn open(folder: &Folder, name: &OsStr) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder.fd(), name, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => {
            return Ok(None);
        }
        Err(errno) => return Err(errno.into()),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

/// The files of a new upload, which go again unless they are kept.
#[derive(Debug)]
pub(crate) struct Unfinished {
    folder: Arc<Folder>,
    id: String,
    kept: bool,
}

impl Unfinished {
    pub(super) fn new(folder: &Arc<Folder>, id: &str) -> Self {
        Self { folder: Arc::clone(folder), id: id.to_owned(), kept: false }
    }

    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.kept {
            // What cannot be removed now is when it has expired.
            drop(remove(&self.folder, &self.id));
        }
    }
}

/// Removes the files of an upload, as far as they are there; the state first, so that there is
/// never a state without its bytes that looks as if it could go on.
pub(super) fn remove(folder: &Folder, id: &str) -> io::Result<()> {
    for name in [state_name(id), OsString::from(data_name(id))] {
        match folder.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
