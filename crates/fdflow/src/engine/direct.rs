//! One call from source to sink: nothing rests in between.

use rustix::io::Errno;

use super::extents::{Extents, Part};
use super::{Ends, Progress, Step, Stop, call, count};
use crate::kind::Kind;
use crate::operation::{Operation, Side};
use crate::report::Reason;
use crate::sys::errno::blame;
use crate::sys::{Interest, Kernel};

/// Ranges to clone start and end at block borders, but for the file's end.
const BLOCK: u64 = 4096;

/// Shares the next `want` bytes, as far as they make whole blocks.
pub(crate) fn reflink<K: Kernel>(ends: &mut Ends<'_, K>, want: u64) -> Step {
    let operation = Operation::Reflink;
    let left = ends.left();
    if left == Some(0) {
        return Ok(Progress::Ended { operation, asked: false });
    }
    let n = left.map_or(0, |left| if left <= want { left } else { want - want % BLOCK });
    if n == 0 {
        return Err(Stop::Refused(Reason::LessThanABlock));
    }
    let at = ends.from.position(ends.ledger.taken());
    let to_at = ends.to.position(ends.ledger.given());
    let (Some(mut from), Some(mut to)) = (ends.source_end(), ends.sink_end()) else {
        return Err(without_descriptor(operation));
    };
    (from.at, to.at) = (at, to_at);
    call(operation, None, Side::Sink, || ends.kernel.clone_range(from, to, n))?;
    let progress = ends.passed(n, n, 0)?;
    ends.sync_positions()?;
    Ok(progress)
}

/// One bounded `copy_file_range`, or one hole.
pub(crate) fn copy_file_range<K: Kernel>(
    ends: &mut Ends<'_, K>,
    extents: &mut Extents,
    want: u64,
) -> Step {
    let operation = Operation::CopyFileRange;
    let left = ends.left().map_or(want, |left| left.min(want));
    if left == 0 {
        return Ok(Progress::Ended { operation, asked: false });
    }
    let n = match extents.part(ends, left) {
        Part::Data(n) => n,
        Part::Hole(n) => match extents.skip(ends, n) {
            Some(step) => return step,
            None => left,
        },
    };
    one_call(ends, operation, n.min(ends.terms.call()), |ends, n| {
        let (from, to) = (ends.source_end()?, ends.sink_end()?);
        Some(ends.kernel.copy_file_range(from, to, n))
    })
}

/// One bounded `sendfile`, of exactly as many bytes as are there: a larger count would hold the
/// last segment back as a cork does.
pub(crate) fn sendfile<K: Kernel>(ends: &mut Ends<'_, K>, want: u64) -> Step {
    let operation = Operation::Sendfile;
    let n = ends.left().map_or(want, |left| left.min(want)).min(ends.terms.call());
    if n == 0 {
        return Ok(Progress::Ended { operation, asked: false });
    }
    ends.gate(Side::Sink)?;
    let n = ends.room(n)?;
    one_call(ends, operation, n, |ends, n| {
        let (from, to) = (ends.source_end()?, ends.sink_end()?);
        Some(ends.kernel.sendfile(from, to, n))
    })
}

/// One bounded `splice` where an end is a pipe.
pub(crate) fn splice<K: Kernel>(ends: &mut Ends<'_, K>, want: u64) -> Step {
    let operation = Operation::Splice;
    let n = ends.left().map_or(want, |left| left.min(want)).min(ends.terms.call());
    if n == 0 {
        return Ok(Progress::Ended { operation, asked: false });
    }
    // A pipe is told not to block by the call's own flag.
    if ends.from.kind != Kind::Pipe {
        ends.gate(Side::Source)?;
    }
    if ends.to.kind != Kind::Pipe {
        ends.gate(Side::Sink)?;
    }
    let n = ends.room(n)?;
    let step = one_call(ends, operation, n, |ends, n| {
        let (from, to) = (ends.source_end()?, ends.sink_end()?);
        Some(ends.kernel.splice(from, to, n))
    });
    match step {
        // The call does not say which of the two ends it would have to wait for.
        Err(Stop::Wait(_)) => Err(Stop::Wait(unready(ends))),
        step => step,
    }
}

fn one_call<K: Kernel>(
    ends: &mut Ends<'_, K>,
    operation: Operation,
    n: u64,
    make: impl Fn(&Ends<'_, K>, usize) -> Option<crate::sys::Result<usize>>,
) -> Step {
    let answer =
        call(operation, None, Side::Sink, || make(ends, count(n)).unwrap_or(Err(Errno::INVAL)));
    // Readiness is used up by what moves bytes. A zero leaves it to the read that rules on it.
    ends.from.ready = matches!(answer, Ok(0));
    let moved = match answer {
        Ok(moved) => moved as u64,
        Err(Stop::Call { operation, errno, .. }) => {
            let side = blame(operation, errno, ends.from.kind, ends.to.kind);
            return Err(Stop::Call { operation, side, errno });
        }
        Err(stop) => return Err(stop),
    };
    if moved == 0 {
        return Ok(Progress::Ended { operation, asked: true });
    }
    ends.passed(moved, n, 0)
}

/// The end that keeps a splice waiting. Where both are ready the source is named: waiting for it
/// returns at once and the call is made again, and the transfer counts how often.
fn unready<K: Kernel>(ends: &Ends<'_, K>) -> Side {
    let (Some(source), Some(sink)) = (ends.source.descriptor(), ends.sink.descriptor()) else {
        return Side::Source;
    };
    let both = [Interest { fd: source, readable: true }, Interest { fd: sink, readable: false }];
    let ready = ends.kernel.poll(&both, Some(std::time::Duration::ZERO)).unwrap_or(0);
    let waits = ends.to.kind.waits();
    if ready & 1 != 0 && ready & 2 == 0 && waits { Side::Sink } else { Side::Source }
}

fn without_descriptor(operation: Operation) -> Stop {
    Stop::Call { operation, side: None, errno: Errno::INVAL }
}
