//! The source and the sink that a transfer on a scripted kernel is given.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::Scripted;
use super::objects::index;
use super::script::{Answer, Call};
use crate::kind::Kind;
use crate::operation::Operation;
use crate::source::{Buffered, Sink, Source};
use crate::sys::{End, Kernel};

/// The kernel's source. One of kind `User` offers no descriptor.
#[derive(Debug)]
pub struct ScriptedSource<'k> {
    kernel: &'k Scripted,
    head: u64,
    limit: Option<u64>,
    seen: u64,
}

/// The kernel's sink. One of kind `User` offers no descriptor.
#[derive(Debug)]
pub struct ScriptedSink<'k> {
    kernel: &'k Scripted,
    seen: u64,
}

impl<'k> ScriptedSource<'k> {
    pub(super) fn new(kernel: &'k Scripted) -> Self {
        let head = kernel.world.borrow().setup.head;
        Self { kernel, head, limit: None, seen: 0 }
    }

    /// The same with a limit of its own.
    #[must_use]
    pub fn limited(mut self, limit: Option<u64>) -> Self {
        self.limit = limit;
        self
    }

    /// How many bytes it was told of, or handed out.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    fn saw(&mut self, n: u64) {
        self.seen += n;
        self.limit = self.limit.map(|limit| limit.saturating_sub(n));
    }
}

impl Source for ScriptedSource<'_> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        let user = self.kernel.world.borrow().setup.source == Kind::User;
        (!user).then(|| self.kernel.tokens.0.as_fd())
    }

    fn may_buffer(&self) -> bool {
        self.head > 0
    }

    fn read_buffered(&mut self, buffer: &mut [u8]) -> io::Result<Buffered> {
        let world = &mut *self.kernel.world.borrow_mut();
        let n = self.head.min(buffer.len() as u64);
        let most = match world.enter(&Call { n, ..Call::of(Operation::Buffered) })? {
            Answer::Short(most) => most,
            _ => n,
        };
        let n = n.min(most.max(1));
        let start = world.setup.first() + world.taken;
        world.data.copy(start, &mut buffer[..index(n)]);
        world.check_taken(Operation::Buffered, start, n);
        self.head -= n;
        self.seen += n;
        self.limit = self.limit.map(|limit| limit.saturating_sub(n));
        Ok(Buffered { n: index(n), more: self.head > 0 && self.limit != Some(0) })
    }

    fn limit(&self) -> Option<u64> {
        self.limit
    }

    fn advanced(&mut self, n: u64) {
        self.saw(n);
    }

    fn read_user(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let fd = self.kernel.tokens.0.as_fd();
        let n = self.kernel.read(End { fd, kind: Kind::User, at: None, nowait: false }, buffer)?;
        self.saw(n as u64);
        Ok(n)
    }
}

impl<'k> ScriptedSink<'k> {
    pub(super) fn new(kernel: &'k Scripted) -> Self {
        Self { kernel, seen: 0 }
    }

    /// How many bytes it was told of, or given.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }
}

impl Sink for ScriptedSink<'_> {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        let user = self.kernel.world.borrow().setup.sink == Kind::User;
        (!user).then(|| self.kernel.tokens.1.as_fd())
    }

    fn flush_buffered(&mut self) -> io::Result<()> {
        let world = &mut *self.kernel.world.borrow_mut();
        let again = world.setup.sink_nonblocking;
        world.enter(&Call { again, ..Call::of(Operation::Flush) })?;
        Ok(())
    }

    fn advanced(&mut self, n: u64) {
        self.seen += n;
    }

    fn write_user(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fd = self.kernel.tokens.1.as_fd();
        let n = self.kernel.write(End { fd, kind: Kind::User, at: None, nowait: false }, bytes)?;
        self.seen += n as u64;
        Ok(n)
    }
}
