//! Source to stage, stage to sink.
//!
//! The stage is filled only when it is empty and drained until it is. So "would block" on a fill
//! always means that the source is dry, never that the pipe's slots are full, and on a drain that
//! the sink has no room.

use std::io::{self, ErrorKind};

use super::extents::{Extents, Part, make_hole};
use super::{Ends, Progress, Step, Stop, call, count};
use crate::error::Fault;
use crate::kind::Kind;
use crate::ledger::Imbalance;
use crate::operation::{Operation, Side};
use crate::policy::Sparse;
use crate::report::Reason;
use crate::stage::{PipeStage, Stage, WIDE};
use crate::sys::Kernel;
use crate::sys::errno::uninterrupted;

/// Blocks of zeros of this size are looked for when zeros are to become holes.
const ZERO_BLOCK: usize = 4096;

/// Reads up to `want` bytes into the stage's buffer, which has `size` bytes.
pub(crate) fn fill_buffer<K: Kernel>(
    ends: &mut Ends<'_, K>,
    stage: &mut Stage,
    extents: &mut Extents,
    size: usize,
    want: u64,
) -> Step {
    let want = match hole(ends, extents, want) {
        Ok(want) => want,
        Err(step) => return step,
    };
    let space = stage.buffer.space(size);
    let most = space.len().min(count(want.min(ends.terms.call())));
    let read = read(ends, &mut space[..most])?;
    if read == 0 {
        return Ok(Progress::Ended { operation: Operation::Read, asked: true });
    }
    ends.ledger.fill(read as u64, most as u64)?;
    stage.buffer.filled(read);
    Ok(Progress::Staged(read as u64))
}

/// Skips a hole, if one lies next (as the step that is told as an error); else the bytes to move.
fn hole<K: Kernel>(ends: &mut Ends<'_, K>, extents: &mut Extents, want: u64) -> Result<u64, Step> {
    match extents.part(ends, want) {
        Part::Data(n) => Ok(n),
        Part::Hole(n) => match extents.skip(ends, n) {
            Some(step) => Err(step),
            None => Ok(want),
        },
    }
}

/// Reads from the source into `space`, by its descriptor or by its own `read`.
pub(crate) fn read<K: Kernel>(ends: &mut Ends<'_, K>, space: &mut [u8]) -> Result<usize, Stop> {
    if ends.source.descriptor().is_none() {
        return user(Operation::Read, Side::Source, || ends.source.read_user(space));
    }
    if !ends.from.kind.is_stream() {
        ends.gate(Side::Source)?;
    }
    let read = call(Operation::Read, Some(Side::Source), Side::Source, || {
        let Some(end) = ends.source_end() else { return Ok(0) };
        ends.kernel.read(end, space)
    });
    ends.from.ready = false;
    if let Ok(n) = read {
        ends.source.advanced(n as u64);
    }
    read
}

/// Splices up to `want` bytes into the stage's pipe, one of about `capacity` bytes.
pub(crate) fn fill_pipe<K: Kernel>(
    ends: &mut Ends<'_, K>,
    stage: &mut Stage,
    extents: &mut Extents,
    capacity: usize,
    want: u64,
) -> Step {
    let operation = Operation::Splice;
    let want = ends.left().map_or(want, |left| left.min(want));
    if want == 0 {
        return Ok(Progress::Ended { operation, asked: false });
    }
    let want = match hole(ends, extents, want) {
        Ok(want) => want,
        Err(step) => return step,
    };
    ends.gate(Side::Source)?;
    if stage.pipe.as_ref().is_none_or(|pipe| pipe.asked() != capacity) {
        let open = || PipeStage::open(ends.kernel, capacity);
        stage.pipe = Some(call(Operation::Pipe, None, Side::Source, open)?);
    }
    let Some(pipe) = &mut stage.pipe else { return Err(lost()) };
    // A narrow pipe is asked for more than its capacity: its slots may hold more than a page.
    let n = want.min(pipe.capacity().max(WIDE) as u64).min(ends.terms.call());
    let moved = {
        let (Some(from), Some(mut to)) = (ends.source_end(), pipe.writer()) else {
            return Err(Stop::Refused(Reason::NoDescriptor(Side::Source)));
        };
        // The pipe is empty and ours alone: there is nothing in it to wait for. Where the source
        // may block, so may the call, as a hand-written loop's does.
        to.nowait = from.nowait || ends.from.nonblocking;
        call(operation, Some(Side::Source), Side::Source, || ends.kernel.splice(from, to, count(n)))
    };
    ends.from.ready = matches!(moved, Ok(0));
    let moved = moved? as u64;
    if moved == 0 {
        return Ok(Progress::Ended { operation, asked: true });
    }
    ends.ledger.fill(moved, n)?;
    pipe.filled(moved);
    ends.source.advanced(moved);
    Ok(Progress::Staged(moved))
}

/// Splices the stage's pipe into the sink, at most `most` bytes of it.
pub(crate) fn drain_pipe<K: Kernel>(
    ends: &mut Ends<'_, K>,
    pipe: &mut PipeStage,
    most: u64,
) -> Step {
    let operation = Operation::Splice;
    ends.gate(Side::Sink)?;
    let n = ends.room(pipe.len().min(most))?.min(ends.terms.call());
    let moved = {
        let (Some(from), Some(to)) = (pipe.reader(), ends.sink_end()) else {
            return Err(Stop::Refused(Reason::NoDescriptor(Side::Sink)));
        };
        call(operation, Some(Side::Sink), Side::Sink, || ends.kernel.splice(from, to, count(n)))?
    };
    if moved == 0 {
        return Err(Stop::Refused(Reason::ZeroBeforeEnd(operation)));
    }
    let moved = moved as u64;
    ends.ledger.drain(moved)?;
    pipe.drained(moved);
    ends.sink.advanced(moved);
    Ok(Progress::Given { bytes: moved, holes: 0 })
}

/// Moves what a left pipe still holds into the buffer, `size` bytes at a time.
pub(crate) fn unload<K: Kernel>(
    ends: &mut Ends<'_, K>,
    stage: &mut Stage,
    size: usize,
) -> Result<(), Stop> {
    let Some(pipe) = &mut stage.pipe else { return Err(lost()) };
    let space = stage.buffer.space(size);
    let most = space.len().min(count(pipe.len()));
    let Some(end) = pipe.reader() else { return Err(lost()) };
    let read = uninterrupted(|| ends.kernel.read(end, &mut space[..most]))
        .map_err(|errno| Stop::Call { operation: Operation::Read, side: None, errno })?;
    if read == 0 || read > most {
        return Err(lost());
    }
    stage.buffer.filled(read);
    pipe.drained(read as u64);
    Ok(())
}

/// The ledger has bytes in the stage that are not there: an error, where going on would be to
/// look for them for ever.
fn lost() -> Stop {
    let cause = io::Error::new(ErrorKind::InvalidData, "a pipe lost the bytes it was given");
    Stop::Fault(Fault::plain(Operation::Read, cause))
}

/// Writes the stage's buffer into the sink, at most `most` bytes of it.
pub(crate) fn drain_buffer<K: Kernel>(
    ends: &mut Ends<'_, K>,
    stage: &mut Stage,
    most: u64,
) -> Step {
    let bytes = stage.buffer.bytes();
    let bytes = &bytes[..bytes.len().min(count(most))];
    let zeros = zeros_to_skip(ends, bytes);
    if zeros > 0 && make_hole(ends, zeros as u64)? {
        ends.ledger.drain(zeros as u64)?;
        stage.buffer.consume(zeros);
        ends.sink.advanced(zeros as u64);
        ends.sync_positions()?;
        return Ok(Progress::Given { bytes: zeros as u64, holes: zeros as u64 });
    }
    let bytes = if zeros > 0 { bytes } else { &bytes[..before_zeros(ends, bytes)] };
    let written = write(ends, bytes)?;
    ends.ledger.drain(written as u64)?;
    stage.buffer.consume(written);
    Ok(Progress::Given { bytes: written as u64, holes: 0 })
}

fn write<K: Kernel>(ends: &mut Ends<'_, K>, bytes: &[u8]) -> Result<usize, Stop> {
    let (operation, side) = (Operation::Write, Side::Sink);
    let bytes = &bytes[..bytes.len().min(count(ends.terms.call()))];
    let written = if ends.sink.descriptor().is_none() {
        user(operation, side, || ends.sink.write_user(bytes))?
    } else {
        if !ends.to.kind.is_stream() {
            ends.gate(side)?;
        }
        let written = call(operation, Some(side), side, || {
            let Some(end) = ends.sink_end() else { return Ok(0) };
            ends.kernel.write(end, bytes)
        });
        ends.to.ready = false;
        let written = written?;
        ends.sink.advanced(written as u64);
        written
    };
    if written > bytes.len() {
        let (claimed, possible) = (written as u64, bytes.len() as u64);
        return Err(Imbalance { claimed, possible }.into());
    }
    if written == 0 {
        let cause = io::Error::new(ErrorKind::WriteZero, "the sink took none of the bytes");
        return Err(Stop::Fault(Fault::new(operation, side, cause)));
    }
    Ok(written)
}

/// Calls a `read` or `write` that is not the kernel's.
fn user(
    operation: Operation,
    side: Side,
    mut call: impl FnMut() -> io::Result<usize>,
) -> Result<usize, Stop> {
    loop {
        match call() {
            Ok(n) => return Ok(n),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => return Err(Stop::Wait(side)),
            Err(cause) => return Err(Stop::Fault(Fault::new(operation, side, cause))),
        }
    }
}

fn looks_for_zeros<K: Kernel>(ends: &Ends<'_, K>) -> bool {
    ends.terms.sparse == Sparse::Always && ends.to.kind == Kind::File && !ends.to.append
}

/// How many whole blocks of zeros `bytes` begins with.
fn zeros_to_skip<K: Kernel>(ends: &Ends<'_, K>, bytes: &[u8]) -> usize {
    if !looks_for_zeros(ends) {
        return 0;
    }
    let blocks = bytes.chunks_exact(ZERO_BLOCK);
    blocks.take_while(|block| is_zero(block)).count() * ZERO_BLOCK
}

/// How many bytes come before the next whole block of zeros.
fn before_zeros<K: Kernel>(ends: &Ends<'_, K>, bytes: &[u8]) -> usize {
    if !looks_for_zeros(ends) {
        return bytes.len();
    }
    let block = bytes.chunks_exact(ZERO_BLOCK).position(is_zero);
    block.map_or(bytes.len(), |block| block * ZERO_BLOCK)
}

fn is_zero(block: &[u8]) -> bool {
    block.iter().all(|byte| *byte == 0)
}
