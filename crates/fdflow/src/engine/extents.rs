//! Where a file has holes, and making them in another.

use std::os::fd::{AsFd, OwnedFd};

use super::{Ends, Step, Stop, call_failed};
use crate::kind::Kind;
use crate::operation::{Operation, Side};
use crate::policy::Sparse;
use crate::sys::Kernel;
use crate::sys::errno::uninterrupted;

/// What lies next in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// So many bytes to move.
    Data(u64),
    /// So many bytes that are a hole.
    Hole(u64),
}

/// Looks for holes, once an extent.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    /// Up to here the source is known to hold data.
    data_end: u64,
    /// Looking moves a position. Where the source's is not ours to move, it is that of a
    /// description of our own.
    private: Option<OwnedFd>,
    /// Nothing is to be found, or not without harm.
    off: bool,
}

impl Extents {
    /// What lies next, at most `n` bytes of it.
    pub(crate) fn part<K: Kernel>(&mut self, ends: &Ends<'_, K>, n: u64) -> Part {
        let wanted = ends.terms.sparse == Sparse::Auto
            && ends.from.holes
            && ends.to.kind == Kind::File
            && !ends.to.append;
        let at = ends.from.position(ends.ledger.taken());
        let (true, false, Some(at)) = (wanted, self.off, at) else { return Part::Data(n) };
        if at < self.data_end {
            return Part::Data(n.min(self.data_end - at));
        }
        self.look(ends, at, n).unwrap_or_else(|| {
            self.off = true;
            Part::Data(n)
        })
    }

    fn look<K: Kernel>(&mut self, ends: &Ends<'_, K>, at: u64, n: u64) -> Option<Part> {
        let fd = ends.source.descriptor()?;
        if ends.from.offset().is_some() && self.private.is_none() {
            self.private = Some(ends.kernel.reopen(fd).ok()?);
        }
        let fd = self.private.as_ref().map_or(fd, AsFd::as_fd);
        let extent = ends.kernel.extent(fd, at).ok()?;
        let length = extent.end.checked_sub(at).filter(|length| *length > 0)?.min(n);
        if extent.hole {
            return Some(Part::Hole(length));
        }
        self.data_end = extent.end;
        Some(Part::Data(length))
    }

    /// Makes the next `n` bytes of the sink a hole, or gives up on holes if it cannot be made.
    pub(crate) fn skip<K: Kernel>(&mut self, ends: &mut Ends<'_, K>, n: u64) -> Option<Step> {
        match make_hole(ends, n) {
            Ok(true) => Some(skipped(ends, n)),
            Ok(false) => {
                self.off = true;
                None
            }
            Err(stop) => Some(Err(stop)),
        }
    }
}

fn skipped<K: Kernel>(ends: &mut Ends<'_, K>, n: u64) -> Step {
    let progress = ends.passed(n, n, n)?;
    ends.sync_positions()?;
    Ok(progress)
}

/// Makes `n` bytes at the sink's place a hole; `false` where the filesystem cannot.
pub(crate) fn make_hole<K: Kernel>(ends: &mut Ends<'_, K>, n: u64) -> Result<bool, Stop> {
    let at = ends.to.position(ends.ledger.given());
    let (Some(fd), Some(at)) = (ends.sink.descriptor(), at) else { return Ok(false) };
    let length = ends.kernel.length(fd).map_err(call_failed(Operation::Hole, Side::Sink))?;
    let end = at.saturating_add(n);
    let there = length.min(end).saturating_sub(at);
    if there > 0 && uninterrupted(|| ends.kernel.punch_hole(fd, at, there)).is_err() {
        return Ok(false);
    }
    // A file that cannot be grown so can perhaps be written to; if not, the write says why.
    Ok(end <= length || uninterrupted(|| ends.kernel.set_length(fd, end)).is_ok())
}
