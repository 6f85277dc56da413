//! Looking at the two ends, planning, and what follows for the calls on them.

use super::Transfer;
use crate::endpoint::{Endpoint, Found};
use crate::engine::extents::Extents;
use crate::error::Fault;
use crate::fit;
use crate::kind::{Kind, Traits};
use crate::operation::{Operation, Side};
use crate::pace::Pace;
use crate::plan::{self, Plan, Way, Ways};
use crate::policy::Stability;
use crate::source::{Sink, Source};
use crate::sys::Kernel;

/// The scratch buffer of a flow between sockets.
const MESSAGE_BUFFER: u32 = 64 << 10;
/// The buffer of a transfer that goes through user space for good.
const BULK_BUFFER: u32 = 256 << 10;
/// The least buffer; a length that is known may still turn out to be wrong.
pub(super) const LEAST_BUFFER: u32 = 4 << 10;
/// The two ends, looked at, and what was planned for them.
#[derive(Debug)]
pub(super) struct Joint {
    pub(super) from: Endpoint,
    pub(super) to: Endpoint,
    /// The ways that are left, best first.
    pub(super) ways: Ways,
    /// Whether the pace decides between splicing and user space.
    pub(super) paced: bool,
    /// How large a buffer the transfer has, if it needs one.
    pub(super) buffer: u32,
}

/// What is learnt under way: between two sockets the pace, else where the source has holes.
#[derive(Debug)]
pub(super) enum Course {
    Pace(Pace),
    Extents(Extents),
}

/// The two ends, or where the caller wants to begin in them once they are looked at.
#[derive(Debug)]
pub(super) enum Ends {
    Apart { from: Option<u64>, to: Option<u64> },
    Joined(Joint),
}

impl Ends {
    pub(super) fn joint(&self) -> Option<&Joint> {
        match self {
            Self::Joined(joint) => Some(joint),
            Self::Apart { .. } => None,
        }
    }

    pub(super) fn joint_mut(&mut self) -> Option<&mut Joint> {
        match self {
            Self::Joined(joint) => Some(joint),
            Self::Apart { .. } => None,
        }
    }

    /// Whether the caller gave the offset of the source.
    pub(super) fn source_is_told(&self) -> bool {
        match self {
            Self::Joined(joint) => joint.from.is_told(),
            Self::Apart { from, .. } => from.is_some(),
        }
    }
}

/// Two connected stream sockets as they were found, for a transfer the other way between them.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Sockets {
    from: Traits,
    to: Traits,
}

impl Sockets {
    /// The other way.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

impl<S: Source, D: Sink, K: Kernel> Transfer<S, D, K> {
    /// What the ends were found to be, if both are stream sockets, which stay what they are.
    #[doc(hidden)]
    #[must_use]
    pub fn sockets(&self) -> Option<Sockets> {
        let traits = |end: &Endpoint| {
            let traits = Traits { nonblocking: end.nonblocking, ..Traits::of(end.kind) };
            end.kind.is_stream().then_some(traits)
        };
        let joint = self.ends.joint()?;
        Some(Sockets { from: traits(&joint.from)?, to: traits(&joint.to)? })
    }

    /// Looks at both ends and plans, once; in a later run, looks where files stand by then.
    pub(super) fn join(&mut self) -> Result<(), Fault> {
        self.join_known(None)
    }

    /// As [`join`](Self::join), of two sockets that were looked at already.
    pub(super) fn join_known(&mut self, known: Option<Sockets>) -> Result<(), Fault> {
        let Ends::Apart { from: at, to: to_at } = self.ends else {
            return if std::mem::take(&mut self.stale) { self.look_again() } else { Ok(()) };
        };
        self.stale = false;
        let (from, to) = match known {
            Some(Sockets { from, to }) => {
                let found = |traits, offset| Found { traits, offset, own: false };
                (found(from, at), found(to, to_at))
            }
            None => self.look(at, to_at)?,
        };
        fit::check(&from, &to, &self.terms)?;
        let there = from.traits.length.zip(from.origin()).map(|(end, at)| end.saturating_sub(at));
        let known = there.map(|there| there.min(self.left_to_take()));
        let Plan { mut ways, refused, paced } = plan::plan(&from, &to, &self.terms);
        if self.is_mirrored() {
            // What goes past the stage goes past the mirror.
            ways.retain(|way| matches!(way, Way::SpliceStaged | Way::ReadWrite));
        }
        refused.iter().for_each(|refusal| self.report.refuse(*refusal));
        let (from, to) = (Endpoint::new(&from), Endpoint::new(&to));
        if paced {
            self.course = Course::Pace(Pace::of(from.kind));
        }
        let buffer = buffer_size(paced, known);
        self.ends = Ends::Joined(Joint { from, to, ways, paced, buffer });
        self.gate();
        Ok(())
    }

    fn look(&self, at: Option<u64>, to_at: Option<u64>) -> Result<(Found, Found), Fault> {
        let own = self.source.offset().filter(|_| at.is_none());
        let from = Found::probe(&self.kernel, self.source.descriptor(), at.or(own))
            .map_err(|errno| Fault::new(Operation::Probe, Side::Source, errno))?;
        let mut from = Found { own: own.is_some(), ..from };
        from.traits.sealed = from.traits.kind == Kind::File && self.source_is_sealed();
        let to = Found::probe(&self.kernel, self.sink.descriptor(), to_at)
            .map_err(|errno| Fault::new(Operation::Probe, Side::Sink, errno))?;
        Ok((from, to))
    }

    /// Whether references to the source's bytes are as good as copies of them. The kernel is asked,
    /// and not the source's type: it knows, also of a descriptor that came from elsewhere. Nothing
    /// but a snapshot needs to know.
    fn source_is_sealed(&self) -> bool {
        self.terms.stability == Stability::Snapshot
            && self.source.descriptor().is_some_and(|fd| self.kernel.is_sealed(fd) == Ok(true))
    }

    /// Between two runs the caller may have moved the position of a file, or another its end.
    fn look_again(&mut self) -> Result<(), Fault> {
        let Ends::Joined(Joint { from, to, .. }) = &mut self.ends else { return Ok(()) };
        let own = self.source.offset();
        from.look_again(&self.kernel, self.source.descriptor(), own, self.ledger.taken())
            .map_err(|errno| Fault::new(Operation::Probe, Side::Source, errno))?;
        to.look_again(&self.kernel, self.sink.descriptor(), None, self.ledger.given())
            .map_err(|errno| Fault::new(Operation::Probe, Side::Sink, errno))?;
        if let Course::Extents(extents) = &mut self.course {
            *extents = Extents::default();
        }
        Ok(())
    }

    /// Decides which ends have to be polled before calls on them: those that block, if somebody
    /// may want to interrupt the wait, or if a pipe would be locked meanwhile.
    pub(crate) fn gate(&mut self) {
        let interruptible = self.cancel().is_some() || self.idle().is_some();
        let Ends::Joined(Joint { from, to, ways, .. }) = &mut self.ends else { return };
        let polled = interruptible || locks_a_pipe(from.kind, to.kind, ways);
        for end in [from, to] {
            end.gated = polled && !end.nonblocking && end.kind.waits();
        }
    }
}

/// No larger than what there is to move: the buffer is zeroed when it is got, which costs more
/// than moving a small file.
fn buffer_size(paced: bool, known: Option<u64>) -> u32 {
    let most = if paced { MESSAGE_BUFFER } else { BULK_BUFFER };
    match known {
        Some(known @ 1..) => u32::try_from(known).unwrap_or(most).clamp(LEAST_BUFFER, most),
        _ => most,
    }
}

/// Whether a call could wait for one end while it holds the lock of the other, a pipe: whoever
/// has the pipe's far end could not read what is in it, nor write where there is room.
fn locks_a_pipe(source: Kind, sink: Kind, ways: &[Way]) -> bool {
    let one_is = (source == Kind::Pipe) != (sink == Kind::Pipe);
    one_is && source.waits() && sink.waits() && ways.contains(&Way::Splice)
}
