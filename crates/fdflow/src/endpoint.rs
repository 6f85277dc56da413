//! One end of a transfer: what it is, and where in it the transfer stands.

use std::os::fd::BorrowedFd;

use crate::kind::{Kind, Traits};
use crate::sys::{self, Kernel};

/// An end as it was found, from which it follows whether it fits and where the transfer begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) traits: Traits,
    /// The explicit offset that the caller gave, or the source.
    pub(crate) offset: Option<u64>,
    /// Whether the source gave it, and may have bytes before it that it has read ahead.
    pub(crate) own: bool,
}

impl Found {
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
        Ok(Self { traits, offset, own: false })
    }

    /// The offset of the transfer's first byte, where offsets mean something.
    pub(crate) fn origin(&self) -> Option<u64> {
        self.offset.or(self.traits.position)
    }
}

/// What calls on an end have to know of it. Small: each quiet flow keeps two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Endpoint {
    pub(crate) kind: Kind,
    pub(crate) nonblocking: bool,
    pub(crate) append: bool,
    pub(crate) holes: bool,
    /// Poll before a call that could block, because somebody may want to interrupt the wait.
    pub(crate) gated: bool,
    /// A gated end that poll has called ready since the last call on it, or whose last call
    /// answered that there is nothing more: to ask again does not block.
    pub(crate) ready: bool,
    /// Who says where the transfer begins.
    place: Place,
    /// The offset of the transfer's first byte.
    origin: u64,
    /// The length of a regular file; none is as long as [`NO_LENGTH`].
    length: u64,
}

const NO_LENGTH: u64 = u64::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nobody: it is a stream.
    Nowhere,
    /// The descriptor's position.
    Position,
    /// The source itself.
    Source,
    /// The caller.
    Caller,
}

impl Endpoint {
    pub(crate) fn new(found: &Found) -> Self {
        let Found { traits, offset, own } = found;
        let place = match (offset, traits.position) {
            (Some(_), _) if *own => Place::Source,
            (Some(_), _) => Place::Caller,
            (None, Some(_)) => Place::Position,
            (None, None) => Place::Nowhere,
        };
        Self {
            kind: traits.kind,
            nonblocking: traits.nonblocking,
            append: traits.append,
            holes: traits.holes,
            gated: false,
            ready: false,
            place,
            origin: found.origin().unwrap_or_default(),
            length: traits.length.unwrap_or(NO_LENGTH),
        }
    }

    /// Looks where a file stands, of which `moved` bytes are behind the descriptor by now.
    pub(crate) fn look_again<K: Kernel>(
        &mut self,
        kernel: &K,
        fd: Option<BorrowedFd<'_>>,
        own: Option<u64>,
        moved: u64,
    ) -> sys::Result<()> {
        let Some(fd) = fd.filter(|_| self.kind == Kind::File) else { return Ok(()) };
        let (offset, own) = match (self.place, own) {
            (Place::Source, Some(at)) => (Some(at.wrapping_sub(moved)), true),
            _ => (self.offset(), false),
        };
        let mut found = Found { traits: kernel.traits(fd)?, offset, own };
        found.traits.position = found.traits.position.map(|at| at.wrapping_sub(moved));
        let Self { gated, ready, .. } = *self;
        *self = Self { gated, ready, ..Self::new(&found) };
        Ok(())
    }

    /// The explicit offset that the transfer begins at.
    pub(crate) fn offset(&self) -> Option<u64> {
        matches!(self.place, Place::Caller | Place::Source).then_some(self.origin)
    }

    /// Whether the caller gave that offset.
    pub(crate) fn is_told(&self) -> bool {
        self.place == Place::Caller
    }

    fn origin(&self) -> Option<u64> {
        (self.place != Place::Nowhere).then_some(self.origin)
    }

    /// The length of a regular file, when it was last asked.
    pub(crate) fn length(&self) -> Option<u64> {
        (self.length != NO_LENGTH).then_some(self.length)
    }

    pub(crate) fn set_length(&mut self, length: u64) {
        self.length = length;
    }

    /// The explicit offset of the byte after `moved` others, where one was given.
    pub(crate) fn at(&self, moved: u64) -> Option<u64> {
        // What was read ahead of the source's own offset can make the origin less than zero.
        let add = if self.is_told() { u64::saturating_add } else { u64::wrapping_add };
        self.offset().map(|offset| add(offset, moved))
    }

    /// Where in a regular file the byte after `moved` others lies.
    pub(crate) fn position(&self, moved: u64) -> Option<u64> {
        self.origin().map(|origin| origin.wrapping_add(moved))
    }

    /// `n` of the transfer's bytes had been read ahead: they lie before the descriptor's position.
    pub(crate) fn read_ahead(&mut self, n: u64) {
        self.origin = self.origin.wrapping_sub(n);
    }
}
