//! A schedule is run and its transfer checked: through to the end, and cut after every step.

use super::schedule::Schedule;
use super::{Scripted, ScriptedSink, ScriptedSource};
use crate::error::TransferError;
use crate::kind::Kind;
use crate::operation::Side;
use crate::sys::errno;
use crate::transfer::{Parts, Step, Transfer};

/// What is wrong.
type Wrong = String;
type Checked<T = ()> = Result<T, Wrong>;
type Run<'k> = Transfer<ScriptedSource<'k>, ScriptedSink<'k>, &'k Scripted>;

/// So many runs that end with an error are more than a script can ask for.
const RUNS: usize = 2000;
/// Small transfers of up to so many steps are cut after each of them, others after some.
const CUTS: usize = 32;
/// A large transfer is cut so often.
const LARGE_CUTS: usize = 4;
/// From so many bytes on a transfer is large.
const LARGE: u64 = 20_000;

/// Makes the transfers that `bytes` stand for and checks them.
///
/// # Panics
///
/// With all that is known about it, if anything is wrong.
pub fn check_schedule(bytes: &[u8]) {
    if let Err(wrong) = try_schedule(bytes) {
        panic!("{wrong}");
    }
}

/// As [`check_schedule`].
///
/// # Errors
///
/// What is wrong, with all that is known about it.
pub fn try_schedule(bytes: &[u8]) -> Checked {
    let schedule = Schedule::decode(bytes);
    let wrong = |wrong: Wrong, what: &str| format!("{wrong}\n{what} of {schedule:?}\n{bytes:?}");
    run_to_end(&schedule).map_err(|text| wrong(text, "runs"))?;
    let steps = cut_at(&schedule, usize::MAX).map_err(|text| wrong(text, "steps"))?;
    let cuts = if schedule.setup.size > LARGE { LARGE_CUTS } else { CUTS };
    for cut in (0..steps).step_by(steps / cuts + 1) {
        cut_at(&schedule, cut).map_err(|text| wrong(text, &format!("{cut} steps")))?;
    }
    Ok(())
}

fn kernel(schedule: &Schedule) -> Checked<Scripted> {
    Scripted::new(schedule.setup.clone(), &schedule.script).map_err(|error| error.to_string())
}

fn transfer<'k>(schedule: &Schedule, kernel: &'k Scripted) -> Run<'k> {
    let source = kernel.source().limited(schedule.source_limit);
    let mut transfer = Transfer::on(kernel, source, kernel.sink()).policy(schedule.policy);
    if let Some(offset) =
        schedule.setup.source_offset.filter(|_| schedule.setup.source.is_seekable())
    {
        transfer = transfer.source_offset(offset);
    }
    if let Some(offset) = schedule.setup.sink_offset.filter(|_| schedule.setup.sink.is_seekable()) {
        transfer = transfer.sink_offset(offset);
    }
    transfer
}

/// Whether a check holds; if not, the kernel's log is told with it.
fn must(kernel: &Scripted, holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds {
        return Ok(());
    }
    let mut wrong = what();
    for entry in kernel.log().iter().rev().take(24).rev() {
        let super::Entry { operation, asked, answer } = entry;
        let answer = match answer {
            Some(Ok(n)) => n.to_string(),
            Some(Err(errno)) => errno::name(*errno).to_owned(),
            None => "-".to_owned(),
        };
        wrong.push_str(&format!("\n  {operation} {asked} = {answer}"));
    }
    Err(wrong)
}

/// What must be true whenever the transfer is not running.
fn check_balance(kernel: &Scripted, transfer: &Run<'_>) -> Checked {
    let violations = kernel.violations();
    must(kernel, violations.is_empty(), || violations.join("\n"))?;
    let (ledger, bytes) = (transfer.ledger(), transfer.report().bytes());
    must(kernel, ledger.taken() == ledger.staged() + ledger.given(), || format!("{ledger:?}"))?;
    must(kernel, bytes == ledger.given(), || format!("{bytes} reported, {ledger:?}"))?;
    let given = kernel.given();
    must(kernel, kernel.holds(bytes), || format!("the sink has {given}, {ledger:?}"))?;
    let taken = kernel.taken();
    must(kernel, taken == ledger.taken(), || format!("{taken} have left the source, {ledger:?}"))?;
    let seen = (transfer.source.seen(), transfer.sink.seen());
    let right = seen == (ledger.taken(), ledger.given());
    must(kernel, right, || format!("the ends were told of {seen:?}, {ledger:?}"))
}

/// What an error may be.
#[derive(Debug, PartialEq, Eq)]
enum After {
    /// Another run can go on.
    GoOn,
    /// Nothing more will come.
    Stop,
}

fn check_error(kernel: &Scripted, schedule: &Schedule, error: &TransferError) -> Checked<After> {
    if error.is_cancelled() && schedule.cancel_at.is_some() {
        return Ok(After::GoOn);
    }
    if kernel.is_silent() {
        return Ok(After::Stop);
    }
    if let Some(fault) = kernel.take_fault() {
        let raw = error.cause().raw_os_error();
        let right = raw == Some(fault.errno.raw_os_error());
        must(kernel, right, || format!("{fault:?} is told as: {error}"))?;
        check_side(kernel, schedule, &fault, error)?;
        return Ok(After::GoOn);
    }
    match error.kind() {
        // An end without a descriptor can only be tried again.
        std::io::ErrorKind::WouldBlock => {
            let user = match error.side() {
                Some(Side::Source) => schedule.setup.source,
                _ => schedule.setup.sink,
            };
            must(kernel, user == Kind::User, || format!("no reason to stop: {error}"))?;
            let waits = kernel.wait(error.side().unwrap_or(Side::Source));
            Ok(if waits { After::GoOn } else { After::Stop })
        }
        std::io::ErrorKind::Unsupported => Ok(After::Stop),
        _ => must(kernel, false, || format!("out of nowhere: {error}")).map(|()| After::Stop),
    }
}

/// Errors that can only be one side's must be told as that side's.
fn check_side(
    kernel: &Scripted,
    schedule: &Schedule,
    fault: &super::Fault,
    error: &TransferError,
) -> Checked {
    use crate::operation::Operation::{
        Buffered, CopyFileRange, Flush, Read, Sendfile, Splice, Write,
    };
    use rustix::io::Errno;
    let operation = fault.operation;
    let side = match (operation, fault.errno) {
        (Read | Buffered, _) => Some(Side::Source),
        (Write | Flush, _) => Some(Side::Sink),
        (Splice | Sendfile | CopyFileRange, errno) => match errno {
            Errno::PIPE | Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Some(Side::Sink),
            Errno::CONNRESET | Errno::TIMEDOUT | Errno::NOTCONN => {
                match (schedule.setup.source.is_stream(), schedule.setup.sink.is_stream()) {
                    (true, false) => Some(Side::Source),
                    (false, true) => Some(Side::Sink),
                    _ => error.side(),
                }
            }
            _ => error.side(),
        },
        _ => error.side(),
    };
    let told = error.side();
    must(kernel, told == side, || format!("{fault:?} is blamed on {told:?}, not {side:?}: {error}"))
}

/// How many bytes must have been given in the end.
fn expected(kernel: &Scripted, schedule: &Schedule) -> u64 {
    let limits = schedule.policy.limit.into_iter().chain(schedule.source_limit);
    limits.fold(kernel.there(), u64::min)
}

fn run_to_end(schedule: &Schedule) -> Checked {
    let kernel = kernel(schedule)?;
    let mut transfer = transfer(schedule, &kernel);
    if let Some(at) = schedule.cancel_at {
        let cancel = transfer.cancel_handle().map_err(|error| error.to_string())?;
        kernel.cancel_at(at, cancel);
    }
    for _ in 0..RUNS {
        let result = transfer.run();
        check_balance(&kernel, &transfer)?;
        let error = match result {
            Ok(report) => {
                let right = report == *transfer.report();
                must(&kernel, right, || "two reports of one run".to_owned())?;
                return check_finished(&kernel, schedule, transfer);
            }
            Err(error) => error,
        };
        let kept = (error.staged(), error.report().bytes());
        let right = kept == (transfer.ledger().staged(), transfer.ledger().given());
        must(&kernel, right, || format!("{kept:?} in {error}"))?;
        if check_error(&kernel, schedule, &error)? == After::Stop {
            return check_stopped(&kernel, schedule, transfer, &error);
        }
    }
    Err(format!("{RUNS} runs without an end"))
}

/// The end was reached: nothing is missing, nothing left, the positions are those of `read(2)`.
fn check_finished(kernel: &Scripted, schedule: &Schedule, transfer: Run<'_>) -> Checked {
    let ledger = transfer.ledger();
    let right = expected(kernel, schedule);
    must(kernel, ledger.given() == right && ledger.staged() == 0, || {
        format!("the end after {ledger:?}, not {right}")
    })?;
    let fault = kernel.take_fault();
    must(kernel, fault.is_none(), || format!("{fault:?}, and the transfer ends well"))?;
    check_positions(kernel, schedule, ledger)?;
    check_parts(kernel, transfer)
}

/// Where the descriptors' own positions must be.
fn check_positions(kernel: &Scripted, schedule: &Schedule, ledger: crate::Ledger) -> Checked {
    let setup = &schedule.setup;
    let (source, sink) = kernel.positions();
    if let Some(position) = source {
        let head = setup.head.min(ledger.taken());
        let right = match setup.source_offset {
            Some(_) => setup.position,
            None => setup.position + ledger.taken() - head,
        };
        must(kernel, position == right, || format!("source at {position}, not {right}"))?;
    }
    if let Some(position) = sink {
        let right = match setup.sink_offset {
            Some(_) => setup.sink_position,
            // As the kernel leaves it: nothing was written, nothing was moved.
            None if ledger.given() == 0 => setup.sink_position,
            None => setup.sink_start() + ledger.given(),
        };
        must(kernel, position == right, || format!("sink at {position}, not {right}"))?;
    }
    Ok(())
}

/// No way is left, or the source has gone silent.
fn check_stopped(
    kernel: &Scripted,
    schedule: &Schedule,
    transfer: Run<'_>,
    error: &TransferError,
) -> Checked {
    if kernel.is_silent() {
        let given = transfer.ledger().given();
        let right = expected(kernel, schedule);
        must(kernel, given == right, || format!("silent after {given} of {right}: {error}"))?;
    } else {
        // Without read and write there may be no way left; with them there always is.
        let denied = !schedule.policy.routes.contains(crate::Route::ReadWrite);
        must(kernel, denied, || error.to_string())?;
    }
    check_parts(kernel, transfer)
}

/// A transfer taken apart hands out the bytes that are missing, all of them and in order.
fn check_parts(kernel: &Scripted, transfer: Run<'_>) -> Checked {
    let ledger = transfer.ledger();
    let Parts { undelivered, .. } = transfer.into_parts();
    let violations = kernel.violations();
    must(kernel, violations.is_empty(), || violations.join("\n"))?;
    let right = undelivered.len() as u64 == ledger.staged();
    must(kernel, right, || format!("{} bytes undelivered of {ledger:?}", undelivered.len()))?;
    let right = kernel.is(ledger.given(), &undelivered);
    must(kernel, right, || format!("other bytes undelivered than those after {}", ledger.given()))
}

/// Makes at most `cut` steps, as a driver of its own, and takes the transfer apart. Returns how
/// many steps were made.
fn cut_at(schedule: &Schedule, cut: usize) -> Checked<usize> {
    let kernel = kernel(schedule)?;
    let mut transfer = transfer(schedule, &kernel);
    let (mut steps, mut errors) = (0, 0);
    while steps < cut && errors < RUNS {
        steps += 1;
        let step = transfer.step();
        check_balance(&kernel, &transfer)?;
        match step {
            Ok(Step::Moved(_)) => {}
            Ok(Step::Finished) => {
                check_finished(&kernel, schedule, transfer)?;
                return Ok(steps);
            }
            Ok(Step::Wait(side)) => {
                if !kernel.wait(side) {
                    break;
                }
                transfer.mark_ready(side);
            }
            Err(error) => {
                errors += 1;
                if check_error(&kernel, schedule, &error)? == After::Stop {
                    check_stopped(&kernel, schedule, transfer, &error)?;
                    return Ok(steps);
                }
            }
        }
    }
    check_balance(&kernel, &transfer)?;
    check_parts(&kernel, transfer)?;
    Ok(steps)
}
