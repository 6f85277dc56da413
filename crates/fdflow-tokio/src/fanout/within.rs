//! The ends of the pipes within a fan-out.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use fdflow::{ReadEnd, WriteEnd};

use crate::end::{AsyncSink, AsyncSource};

/// An end that the runtime is not asked about: what is at the other one is polled by the same
/// task, which comes back to this one whenever that has moved something.
#[derive(Debug)]
pub(super) struct Within<T>(pub(super) T);

impl AsyncSource for Within<ReadEnd> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        call()
    }
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncSink for Within<WriteEnd> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.as_fd())
    }
    fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        call()
    }
    fn poll_writable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}
