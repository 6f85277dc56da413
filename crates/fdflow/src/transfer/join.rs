//! Looking at the two ends, planning, and what follows for the calls on them.

use super::Transfer;
use crate::endpoint::Endpoint;
use crate::engine::extents::Extents;
use crate::error::Fault;
use crate::fit;
use crate::kind::Kind;
use crate::operation::{Operation, Side};
use crate::pace::Pace;
use crate::plan::{Plan, Way, plan};
use crate::source::{Sink, Source};
use crate::sys::Kernel;

/// The scratch buffer of a flow between sockets.
const MESSAGE_BUFFER: usize = 64 << 10;
/// The buffer of a transfer that goes through user space for good.
const BULK_BUFFER: usize = 256 << 10;
/// The least buffer; a length that is known may still turn out to be wrong.
pub(super) const LEAST_BUFFER: usize = 4 << 10;
/// The two ends, looked at, and what was planned for them.
#[derive(Debug)]
pub(super) struct Joint {
    pub(super) from: Endpoint,
    pub(super) to: Endpoint,
    pub(super) plan: Plan,
    /// How large a buffer the transfer has, if it needs one.
    pub(super) buffer: usize,
}

impl<S: Source, D: Sink, K: Kernel> Transfer<S, D, K> {
    /// Looks at both ends and plans, once; in a later run, looks where files stand by then.
    pub(super) fn join(&mut self) -> Result<(), Fault> {
        if self.joint.is_some() {
            return if std::mem::take(&mut self.stale) { self.look_again() } else { Ok(()) };
        }
        self.stale = false;
        let (at, to_at) = self.offsets;
        let from = Endpoint::probe(&self.kernel, self.source.descriptor(), at)
            .map_err(|errno| Fault::new(Operation::Probe, Side::Source, errno))?;
        let to = Endpoint::probe(&self.kernel, self.sink.descriptor(), to_at)
            .map_err(|errno| Fault::new(Operation::Probe, Side::Sink, errno))?;
        fit::check(&from, &to, &self.policy)?;
        let there = from.traits.length.zip(from.origin).map(|(end, at)| end.saturating_sub(at));
        let known = there.map(|there| there.min(self.left_to_take()));
        let plan = plan(&from, &to, &self.policy);
        plan.refused.iter().for_each(|refusal| self.report.refuse(*refusal));
        let source = from.traits.kind;
        let buffer = buffer_size(&plan, known);
        self.joint = Some(Joint { from, to, plan, buffer });
        self.gate();
        if self.is_paced() {
            self.pace = Pace::of(source);
        }
        Ok(())
    }

    /// Between two runs the caller may have moved the position of a file, or another its end.
    fn look_again(&mut self) -> Result<(), Fault> {
        let Some(Joint { from, to, .. }) = &mut self.joint else { return Ok(()) };
        from.look_again(&self.kernel, self.source.descriptor(), self.ledger.taken())
            .map_err(|errno| Fault::new(Operation::Probe, Side::Source, errno))?;
        to.look_again(&self.kernel, self.sink.descriptor(), self.ledger.given())
            .map_err(|errno| Fault::new(Operation::Probe, Side::Sink, errno))?;
        self.extents = Extents::default();
        Ok(())
    }

    /// Decides which ends have to be polled before calls on them: those that block, if somebody
    /// may want to interrupt the wait, or if a pipe would be locked meanwhile.
    pub(crate) fn gate(&mut self) {
        let interruptible = self.cancel.is_some() || self.policy.idle_timeout.is_some();
        let Some(Joint { from, to, plan, .. }) = &mut self.joint else { return };
        let polled = interruptible || locks_a_pipe(from.traits.kind, to.traits.kind, plan);
        for end in [from, to] {
            end.gated = polled && !end.traits.nonblocking && end.traits.kind.waits();
        }
    }
}

/// No larger than what there is to move: the buffer is zeroed when it is got, which costs more
/// than moving a small file.
fn buffer_size(plan: &Plan, known: Option<u64>) -> usize {
    let most = if plan.paced { MESSAGE_BUFFER } else { BULK_BUFFER };
    match known {
        Some(known @ 1..) => usize::try_from(known).unwrap_or(most).clamp(LEAST_BUFFER, most),
        _ => most,
    }
}

/// Whether a call could wait for one end while it holds the lock of the other, a pipe: whoever
/// has the pipe's far end could not read what is in it, nor write where there is room.
fn locks_a_pipe(source: Kind, sink: Kind, plan: &Plan) -> bool {
    let one_is = (source == Kind::Pipe) != (sink == Kind::Pipe);
    one_is && source.waits() && sink.waits() && plan.ways.contains(&Way::Splice)
}
