//! A file of a recording, as readers send it.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use crate::end::AsyncSource;

/// A file, and whether what is sent of it next was written just now.
#[derive(Debug)]
pub(super) struct Kept {
    file: Arc<File>,
    is_recent: AtomicBool,
}

impl Kept {
    pub(super) fn new(file: Arc<File>) -> Self {
        Self { file, is_recent: AtomicBool::new(false) }
    }

    /// From the next run on.
    pub(super) fn set_recent(&self, is_recent: bool) {
        self.is_recent.store(is_recent, Ordering::Relaxed);
    }
}

impl AsyncSource for Kept {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.file.when_readable(call)
    }
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncSource::poll_readable(&self.file, cx)
    }
    /// What was written just now is in memory, and nobody need look whether it is.
    fn is_file(&self) -> bool {
        !self.is_recent.load(Ordering::Relaxed)
    }
}
