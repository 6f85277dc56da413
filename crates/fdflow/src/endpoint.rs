//! One end of a transfer: what it is, and where in it the transfer stands.

use std::os::fd::BorrowedFd;

use crate::kind::{Kind, Traits};
use crate::sys::{self, Kernel};

/// One end of a transfer: what it is, and where in it the transfer began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) traits: Traits,
    /// The explicit offset that the caller gave.
    pub(crate) offset: Option<u64>,
    /// The offset of the transfer's first byte in a regular file.
    pub(crate) origin: Option<u64>,
    /// Poll before a call that could block, because somebody may want to interrupt the wait.
    pub(crate) gated: bool,
    /// A gated end that poll has called ready since the last call on it, or whose last call
    /// answered that there is nothing more: to ask again does not block.
    pub(crate) ready: bool,
}

impl Endpoint {
    /// Looks at `fd`, where a transfer is to begin at `offset` or at its position.
    pub(crate) fn probe<K: Kernel>(
        kernel: &K,
        fd: Option<BorrowedFd<'_>>,
        offset: Option<u64>,
    ) -> sys::Result<Self> {
        let traits = match fd {
            Some(fd) => kernel.traits(fd)?,
            None => Traits::USER,
        };
        let origin = offset.or(traits.position);
        Ok(Self { traits, offset, origin, gated: false, ready: false })
    }

    /// Looks where a file stands, of which `moved` bytes are behind the descriptor by now.
    pub(crate) fn look_again<K: Kernel>(
        &mut self,
        kernel: &K,
        fd: Option<BorrowedFd<'_>>,
        moved: u64,
    ) -> sys::Result<()> {
        let Some(fd) = fd.filter(|_| self.traits.kind == Kind::File) else { return Ok(()) };
        self.traits = kernel.traits(fd)?;
        let own = self.traits.position.map(|at| at.wrapping_sub(moved));
        self.origin = self.offset.or(own);
        Ok(())
    }

    /// The explicit offset of the byte after `moved` others, where one was given.
    pub(crate) fn at(&self, moved: u64) -> Option<u64> {
        self.offset.map(|offset| offset.saturating_add(moved))
    }

    /// Where in a regular file the byte after `moved` others lies.
    pub(crate) fn position(&self, moved: u64) -> Option<u64> {
        self.origin.map(|origin| origin.wrapping_add(moved))
    }

    /// `n` of the transfer's bytes had been read ahead: they lie before the descriptor's position.
    pub(crate) fn read_ahead(&mut self, n: u64) {
        self.origin = self.origin.map(|origin| origin.wrapping_sub(n));
    }
}
