//! The recording's files, as bodies lend them to HTTP.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fdflow_hyper::OpenFile;

/// A file that grows is lent as one that is longer than it is by up to so much: what is given of it
/// is there when it is given.
const AHEAD: u64 = 1 << 30;

/// Files that are being sent. All bodies that send of a file share it; it is closed with the last.
#[derive(Debug, Default)]
pub(super) struct Files(Mutex<Vec<Weak<Lent>>>);

/// A file that is being sent.
#[derive(Debug)]
pub(super) struct Lent {
    /// The recording's own.
    file: Arc<File>,
    pub(super) open: OpenFile,
}

impl Lent {
    fn has(&self, file: &Arc<File>, end: u64) -> bool {
        Arc::ptr_eq(&self.file, file) && end <= self.open.length()
    }
}

impl Files {
    /// This file, up to `end` at least. `last` is what the body has sent of before.
    pub(super) fn lend(
        &self,
        file: &Arc<File>,
        end: u64,
        last: Option<&Arc<Lent>>,
    ) -> io::Result<Arc<Lent>> {
        if let Some(last) = last.filter(|last| last.has(file, end)) {
            return Ok(Arc::clone(last));
        }
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|lent| lent.strong_count() > 0);
        if let Some(lent) = all.iter().filter_map(Weak::upgrade).find(|lent| lent.has(file, end)) {
            return Ok(lent);
        }
        let length = end.saturating_add(AHEAD);
        let open = OpenFile::with_length(file.try_clone()?, length);
        let lent = Arc::new(Lent { file: Arc::clone(file), open });
        all.push(Arc::downgrade(&lent));
        Ok(lent)
    }
}
