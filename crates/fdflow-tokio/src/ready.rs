//! One step of the core, made while the readiness that it needs is held.
//!
//! Readiness is taken before the call and given up after it, for the end that was not ready
//! alone. An event that comes in between is not lost: `try_io` gives up only what it had seen
//! before the call. A call outside of it would leave readiness behind that is no longer true, and
//! the task would spin.

use std::io;

use fdflow::{Needs, Operation, Side, Step, Transfer, TransferError};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::core_ends::{Giving, Taking};
use crate::end::{AsyncSink, AsyncSource};

/// What came of it.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// A step was made.
    Stepped(Step),
    /// This end is not ready, and is not taken for it any more.
    Blocked(Side),
}

/// Makes a step, if the ends that it needs are ready. `dry`: it is likely that one of two is not.
pub(crate) fn attempt<S: AsyncSource + Clone, D: AsyncSink + Clone>(
    core: &mut Transfer<Taking<S>, Giving<D>>,
    source: &S,
    sink: &D,
    dry: bool,
) -> Result<Attempt, TransferError> {
    let mut stepped = None;
    let (side, said) = match core.needs() {
        Needs { source: true, sink: true, .. } => return attempt_both(core, source, sink, dry),
        Needs { source: true, .. } => {
            let mut call = || told(stepped.insert(core.step()), Side::Source);
            (Side::Source, source.when_readable(&mut call))
        }
        Needs { sink: true, .. } => {
            let mut call = || told(stepped.insert(core.step()), Side::Sink);
            (Side::Sink, sink.when_writable(&mut call))
        }
        _ => (Side::Source, told(stepped.insert(core.step()), Side::Source)),
    };
    match stepped {
        Some(Ok(Step::Wait(side))) => Ok(Attempt::Blocked(side)),
        Some(step) => step.map(Attempt::Stepped),
        None => not_made(core, side, said),
    }
}

/// The result of a step as `try_io` wants to be told it.
fn told(step: &Result<Step, TransferError>, side: Side) -> io::Result<()> {
    match step {
        Ok(Step::Wait(waits)) if *waits == side => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// The call was not made: the end was not taken for ready, or cannot be waited for at all.
fn not_made<S: AsyncSource, D: AsyncSink>(
    core: &Transfer<Taking<S>, Giving<D>>,
    side: Side,
    said: io::Result<()>,
) -> Result<Attempt, TransferError> {
    match said {
        Err(cause) if cause.kind() != io::ErrorKind::WouldBlock => {
            Err(core.fail(Operation::Wait, Some(side), cause))
        }
        _ => Ok(Attempt::Blocked(side)),
    }
}

/// A splice between a pipe and another end answers "would block" for either of them, and says not
/// which. Which it was is looked at while the readiness of both is held: what becomes ready after
/// that look is an event of its own. Where the call would likely be in vain, the look comes first,
/// and spares it.
fn attempt_both<S: AsyncSource + Clone, D: AsyncSink + Clone>(
    core: &mut Transfer<Taking<S>, Giving<D>>,
    source: &S,
    sink: &D,
    dry: bool,
) -> Result<Attempt, TransferError> {
    let (mut stepped, mut unready) = (None, (false, false));
    let (mut inner, mut side) = (Ok(()), Side::Source);
    let outer = source.when_readable(&mut || {
        side = Side::Sink;
        inner = sink.when_writable(&mut || {
            if dry {
                unready = look(source, sink);
            }
            if unready == (false, false) {
                unready = match stepped.insert(core.step()) {
                    // Said of the sink alone if the source is ready.
                    Ok(Step::Wait(Side::Sink)) => (false, true),
                    Ok(Step::Wait(Side::Source)) => look(source, sink),
                    _ => (false, false),
                };
            }
            blocked_if(unready.1)
        });
        blocked_if(unready.0)
    });
    match (stepped, unready) {
        (Some(Ok(Step::Wait(_))) | None, (true, _)) => Ok(Attempt::Blocked(Side::Source)),
        (Some(Ok(Step::Wait(_))) | None, (false, true)) => Ok(Attempt::Blocked(Side::Sink)),
        // Both are ready by now: the step is made again, and the core counts how often.
        (Some(Ok(Step::Wait(_))), (false, false)) => Ok(Attempt::Stepped(Step::Moved(0))),
        (Some(step), _) => step.map(Attempt::Stepped),
        (None, _) => not_made(core, side, outer.and(inner)),
    }
}

fn blocked_if(unready: bool) -> io::Result<()> {
    if unready { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

/// Which of the two ends is not ready. An end that cannot be asked counts as ready.
fn look(source: &impl AsyncSource, sink: &impl AsyncSink) -> (bool, bool) {
    let (Some(source), Some(sink)) = (source.descriptor(), sink.descriptor()) else {
        return (false, false);
    };
    let mut both = [
        PollFd::from_borrowed_fd(source, PollFlags::IN),
        PollFd::from_borrowed_fd(sink, PollFlags::OUT),
    ];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if rustix::event::poll(&mut both, Some(&now)).is_err() {
        return (false, false);
    }
    (both[0].revents().is_empty(), both[1].revents().is_empty())
}
