//! A transfer: the engine, the ledger, the ways that are left. The only place that falls back.

use std::fmt;
use std::io;

use crate::endpoint::{Endpoint, Kind};
use crate::engine::extents::Extents;
use crate::engine::{self, Ends, Progress, Stop, direct, relay};
use crate::error::{Fault, Operation, Side, TransferError};
use crate::fit;
use crate::ledger::Ledger;
use crate::pace::Pace;
use crate::plan::{Plan, Way, plan};
use crate::policy::Policy;
use crate::report::{Reason, Refusal, Report};
use crate::route::Route;
use crate::run::{Cancel, Observer};
use crate::source::{Buffered, Sink, Source};
use crate::stage::{NARROW, Stage, WIDE};
use crate::sys::errno::{Verdict, verdict};
use crate::sys::{Kernel, System};

/// The scratch buffer of a flow between sockets.
const MESSAGE_BUFFER: usize = 64 << 10;
/// The buffer of a transfer that goes through user space for good.
const BULK_BUFFER: usize = 256 << 10;
/// The least buffer; a length that is known may still turn out to be wrong.
const LEAST_BUFFER: usize = 4 << 10;
/// So many waits without a byte between them and a one-call splice is given up: both ends are
/// ready and it would block all the same.
const FRUITLESS_WAITS: u32 = 32;
/// What is read to find out whether the source has ended.
const RULING_READ: usize = 1024;

/// Moves bytes from a source to a sink by the best route, and can be stopped and gone on with.
///
/// [`copy`](crate::copy) is the short way; a `Transfer` is for limits, offsets, progress,
/// cancelling and for going on after an error. Its options are methods that return it.
///
/// * **Blocking.** [`run`](Self::run) blocks until the source ends or the limit is reached, on
///   blocking and non-blocking descriptors alike. Flags of the descriptors are never changed.
/// * **Offsets.** Without an offset the descriptor's own position is used and advanced, as by
///   `read(2)`. With one, the position is left alone.
/// * **Aliasing.** Source and sink may be the same file only with a limit and ranges apart.
///   With [`Stability::Live`](crate::Stability::Live), the default, what is written to a source file
///   while its bytes are on their way may show at the receiver.
/// * **Errors.** Nothing is lost: what was taken and not given stays in the transfer, another
///   `run` goes on with it, [`into_parts`](Self::into_parts) hands it out.
///
/// ```
/// use fdflow::Transfer;
/// # let dir = tempfile::tempdir()?;
/// # std::fs::write(dir.path().join("from"), "0123456789")?;
/// # let from = std::fs::File::open(dir.path().join("from"))?;
/// let (reader, writer) = std::io::pipe()?;
/// let report = Transfer::new(&from, writer).source_offset(2).limit(5).run()?;
/// assert_eq!(report.bytes(), 5);
/// # assert_eq!(std::io::read_to_string(reader)?, "23456");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Transfer<S, D, K = System> {
    pub(crate) kernel: K,
    pub(crate) source: S,
    pub(crate) sink: D,
    pub(crate) policy: Policy,
    pub(crate) offsets: (Option<u64>, Option<u64>),
    pub(crate) observer: Option<Observer>,
    pub(crate) cancel: Option<Cancel>,
    pub(crate) report: Report,
    pub(crate) ledger: Ledger,
    joint: Option<Joint>,
    stage: Stage,
    extents: Extents,
    pace: Pace,
    /// What a run has still to ask of the two ends before bytes are moved.
    preliminaries: Preliminaries,
    /// Waits since the last byte.
    fruitless: u32,
    /// The end that the last step by hand named.
    waited_for: Option<Side>,
    /// Whether the present way has not moved a byte yet.
    fresh: bool,
    /// The route of the latest byte.
    route: Route,
}

/// The two ends, looked at, and what was planned for them.
#[derive(Debug)]
struct Joint {
    from: Endpoint,
    to: Endpoint,
    plan: Plan,
    /// How large a buffer the transfer has, if it needs one.
    buffer: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Preliminaries {
    Flush,
    Head,
    Done,
}

/// What one [`Transfer::step`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes were given to the sink; 0 where they were only taken from the source.
    Moved(u64),
    /// Nothing can be done until this end is ready.
    Wait(Side),
    /// The source has ended, or the limit is reached, and the sink has everything.
    Finished,
}

/// A transfer taken apart.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts<S, D> {
    /// The source.
    pub source: S,
    /// The sink.
    pub sink: D,
    /// Bytes taken from the source and not given to the sink, in order.
    pub undelivered: Vec<u8>,
    /// What had been done.
    pub report: Report,
}

impl<S, D, K> fmt::Debug for Transfer<S, D, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer")
            .field("policy", &self.policy)
            .field("ledger", &self.ledger)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

impl<S: Source, D: Sink, K: Kernel> Transfer<S, D, K> {
    pub(crate) fn with(kernel: K, source: S, sink: D) -> Self {
        Self {
            kernel,
            source,
            sink,
            policy: Policy::default(),
            offsets: (None, None),
            observer: None,
            cancel: None,
            report: Report::default(),
            ledger: Ledger::default(),
            joint: None,
            stage: Stage::default(),
            extents: Extents::default(),
            pace: Pace::default(),
            preliminaries: Preliminaries::Flush,
            fruitless: 0,
            waited_for: None,
            fresh: true,
            route: Route::ReadWrite,
        }
    }

    /// What has been done so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Where the bytes are: taken, staged, given.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.ledger
    }

    /// Gives the ends back, with what was taken from the one and not given to the other.
    #[must_use]
    pub fn into_parts(mut self) -> Parts<S, D> {
        let undelivered = self.take_undelivered();
        let Self { source, sink, report, .. } = self;
        Parts { source, sink, undelivered, report }
    }

    pub(crate) fn take_undelivered(&mut self) -> Vec<u8> {
        self.stage.take(&self.kernel)
    }

    /// Looks at both ends and chooses the routes, without moving or changing anything: what is
    /// wrong with the two ends is said here, where the sink can still be left alone.
    ///
    /// # Errors
    ///
    /// What a run would begin with: ends that cannot be joined, or no route between them.
    pub fn prepare(&mut self) -> Result<(), TransferError> {
        let ready = self.join().and_then(|()| match self.way() {
            Some(_) => Ok(()),
            None => Err(self.no_route()),
        });
        ready.map_err(|fault| self.failed(fault))
    }

    /// Makes at most one call that moves bytes. For drivers: [`run`](Self::run) is this in a loop
    /// with poll.
    ///
    /// After a [`Step::Wait`] the next step takes the end that it named for ready; on a blocking
    /// descriptor that is not, it may block.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn step(&mut self) -> Result<Step, TransferError> {
        if let Some(side) = self.waited_for.take() {
            self.mark_ready(side);
        }
        let step = self.advance_once().map_err(|fault| self.failed(fault))?;
        if let Step::Wait(side) = step {
            self.waited_for = Some(side);
        }
        Ok(step)
    }

    pub(crate) fn advance_once(&mut self) -> Result<Step, Fault> {
        let result = self.try_step();
        if let Ok(Step::Wait(_)) = result {
            self.fruitless = self.fruitless.saturating_add(1);
        } else {
            self.fruitless = 0;
        }
        result
    }

    /// Tells that poll has called this end ready.
    pub(crate) fn mark_ready(&mut self, side: Side) {
        if let Some(joint) = &mut self.joint {
            match side {
                Side::Source => joint.from.ready = true,
                Side::Sink => joint.to.ready = true,
            }
        }
    }

    /// A new run begins: ends are asked for their buffered bytes again.
    pub(crate) fn begin_run(&mut self) {
        self.preliminaries = Preliminaries::Flush;
        self.fruitless = 0;
        self.waited_for = None;
    }

    pub(crate) fn route(&self) -> Route {
        self.route
    }

    pub(crate) fn fruitless(&self) -> u32 {
        self.fruitless
    }

    pub(crate) fn failed(&self, fault: Fault) -> TransferError {
        TransferError::new(fault, self.ledger.staged(), self.report.clone())
    }

    fn try_step(&mut self) -> Result<Step, Fault> {
        if self.preliminaries == Preliminaries::Flush {
            match self.sink.flush() {
                Ok(()) => self.preliminaries = Preliminaries::Head,
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Step::Wait(Side::Sink));
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {
                    return Ok(Step::Moved(0));
                }
                Err(cause) => return Err(Fault::new(Operation::Flush, Side::Sink, cause)),
            }
        }
        self.join()?;
        if self.ledger.staged() > 0 {
            return self.drain();
        }
        if self.left_to_take() == 0 {
            return Ok(self.finished());
        }
        if self.preliminaries == Preliminaries::Head {
            // An explicit offset is about the file, not about what was read ahead of it.
            if self.source.may_buffer() && self.offsets.0.is_none() {
                return self.take_head();
            }
            self.preliminaries = Preliminaries::Done;
        }
        self.advance()
    }

    /// Looks at both ends and plans, once.
    fn join(&mut self) -> Result<(), Fault> {
        if self.joint.is_some() {
            return Ok(());
        }
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
            let spaced = self.lend(|ends, _, _| ends.sink_spaces_out()).unwrap_or(false);
            self.pace = Pace::of(source, spaced);
        }
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

    fn left_to_take(&self) -> u64 {
        let taken = self.ledger.taken();
        let own = self.policy.limit.map_or(u64::MAX, |limit| limit.saturating_sub(taken));
        self.source.limit().map_or(own, |theirs| theirs.min(own))
    }

    /// The way to take bytes by, at the present pace.
    fn way(&self) -> Option<Way> {
        let plan = &self.joint.as_ref()?.plan;
        if plan.paced && !self.pace.splices() {
            return Some(Way::ReadWrite);
        }
        plan.ways.first().copied()
    }

    fn is_paced(&self) -> bool {
        self.joint.as_ref().is_some_and(|joint| joint.plan.paced)
    }

    fn buffer_size(&self) -> usize {
        self.joint.as_ref().map_or(MESSAGE_BUFFER, |joint| joint.buffer)
    }

    /// What the source has read ahead goes into the buffer, to be written first.
    fn take_head(&mut self) -> Result<Step, Fault> {
        let (most, size) = (self.left_to_take(), self.buffer_size());
        let space = self.stage.buffer.space(size);
        let most = space.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let ahead = match self.source.read_buffered(&mut space[..most]) {
            Ok(ahead) => ahead,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => return Ok(Step::Moved(0)),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Buffered::default(),
            Err(cause) => return Err(Fault::new(Operation::Buffered, Side::Source, cause)),
        };
        if !ahead.more {
            self.preliminaries = Preliminaries::Done;
        }
        if let Err(imbalance) = self.ledger.fill(ahead.n as u64, most as u64) {
            let cause = io::Error::new(io::ErrorKind::InvalidData, imbalance);
            return Err(Fault::new(Operation::Buffered, Side::Source, cause));
        }
        self.stage.buffer.filled(ahead.n);
        if let Some(joint) = &mut self.joint {
            joint.from.read_ahead(ahead.n as u64);
        }
        Ok(Step::Moved(0))
    }

    /// Lends the two ends to an engine.
    fn lend<T>(
        &mut self,
        work: impl FnOnce(&mut Ends<'_, K>, &mut Stage, &mut Extents) -> T,
    ) -> Option<T> {
        let Joint { from, to, .. } = self.joint.as_mut()?;
        let mut ends = Ends {
            kernel: &self.kernel,
            policy: &self.policy,
            source: &mut self.source,
            sink: &mut self.sink,
            from,
            to,
            ledger: &mut self.ledger,
        };
        Some(work(&mut ends, &mut self.stage, &mut self.extents))
    }

    /// Brings staged bytes nearer to the sink: the buffer's first, then the pipe's. Those of a
    /// pipe whose route was left pass through the buffer.
    fn drain(&mut self) -> Result<Step, Fault> {
        let size = self.buffer_size();
        let splicing = self
            .joint
            .as_ref()
            .is_some_and(|joint| joint.plan.ways.first() == Some(&Way::SpliceStaged));
        if !self.stage.buffer.bytes().is_empty() {
            let step = self.lend(|ends, stage, _| relay::drain_buffer(ends, stage));
            return self.settle(Way::ReadWrite, step);
        }
        if splicing {
            let step = self.lend(|ends, stage, _| {
                stage.pipe.as_mut().map(|pipe| relay::drain_pipe(ends, pipe))
            });
            return self.settle(Way::SpliceStaged, step.flatten());
        }
        match self.lend(|ends, stage, _| relay::unload(ends, stage, size)) {
            Some(Err(stop)) => self.stopped(Way::ReadWrite, stop),
            _ => Ok(Step::Moved(0)),
        }
    }

    /// Takes more bytes from the source, by the best way that is left.
    fn advance(&mut self) -> Result<Step, Fault> {
        let Some(way) = self.way() else { return Err(self.no_route()) };
        if way == Way::ReadWrite {
            self.stage.detach_pipe();
        }
        let (want, size) = (self.left_to_take(), self.buffer_size());
        let capacity = if self.pace.is_trial() { NARROW } else { WIDE };
        let step = self.lend(|ends, stage, extents| match way {
            Way::Reflink => direct::reflink(ends, want),
            Way::CopyFileRange => direct::copy_file_range(ends, extents, want),
            Way::Sendfile => direct::sendfile(ends, want),
            Way::Splice => direct::splice(ends, want),
            Way::SpliceStaged => relay::fill_pipe(ends, stage, extents, capacity, want),
            Way::ReadWrite => relay::fill_buffer(ends, stage, extents, size, want),
        });
        self.settle(way, step)
    }

    /// Enters what a step did, and decides what follows from it.
    fn settle(&mut self, way: Way, step: Option<engine::Step>) -> Result<Step, Fault> {
        match step {
            Some(Ok(Progress::Given { bytes, holes })) => {
                self.report.add(way.route(), bytes, holes);
                self.route = way.route();
                self.worn(way, bytes - holes);
                Ok(Step::Moved(bytes))
            }
            Some(Ok(Progress::Staged(n))) => {
                self.worn(way, n);
                self.look_at_pace(way, n);
                Ok(Step::Moved(0))
            }
            Some(Ok(Progress::Ended { .. })) if way == Way::ReadWrite => Ok(self.finished()),
            Some(Ok(Progress::Ended { operation, asked })) => self.rule_end(way, operation, asked),
            Some(Err(stop)) => self.stopped(way, stop),
            None => Err(self.no_route()),
        }
    }

    /// `way`'s call has moved `n` bytes. Bytes that were staged before the present leg, and holes,
    /// say nothing about its call.
    fn worn(&mut self, way: Way, n: u64) {
        let present = self.joint.as_ref().and_then(|joint| joint.plan.ways.first());
        self.fresh &= n == 0 || present != Some(&way);
    }

    /// `n` bytes were taken by `way`: whether it is still the right one for the flow.
    fn look_at_pace(&mut self, way: Way, n: u64) {
        if !self.is_paced() {
            return;
        }
        if way == Way::SpliceStaged && self.pace.is_trial() {
            let full = self.stage.pipe.as_ref().is_some_and(|pipe| pipe.is_full(&self.kernel));
            self.pace.tried(n, full);
        }
        self.pace.saw(n);
    }

    fn finished(&mut self) -> Step {
        self.stage.detach_pipe();
        Step::Finished
    }

    /// A route other than `read` found nothing more. Only `read` can say that this is the end:
    /// `copy_file_range` and `sendfile` return 0 on procfs, FUSE and overlays with data there.
    fn rule_end(&mut self, way: Way, operation: Operation, asked: bool) -> Result<Step, Fault> {
        let want = usize::try_from(self.left_to_take()).unwrap_or(usize::MAX);
        let size = self.buffer_size();
        let mut block = [0; RULING_READ];
        let call = usize::try_from(self.policy.call()).unwrap_or(usize::MAX);
        let most = block.len().min(want).min(call);
        let ruling = self.lend(|ends, stage, _| {
            let n = relay::read(ends, &mut block[..most])?;
            if n == 0 {
                return Ok(None);
            }
            ends.ledger.fill(n as u64, most as u64)?;
            stage.buffer.space(size)[..n].copy_from_slice(&block[..n]);
            stage.buffer.filled(n);
            // Bytes within the length that the file has by now: it has grown, no more.
            let grown = !asked && ends.left()?.is_some_and(|_| ends.covers_taken());
            Ok(Some(grown))
        });
        match ruling {
            Some(Ok(Some(grown))) => {
                if !grown {
                    let said =
                        if asked { Reason::ZeroBeforeEnd(operation) } else { Reason::FalseLength };
                    self.refuse(way, said);
                }
                Ok(Step::Moved(0))
            }
            Some(Err(stop)) => self.stopped(Way::ReadWrite, stop),
            Some(Ok(None)) | None => Ok(self.finished()),
        }
    }

    fn stopped(&mut self, way: Way, stop: Stop) -> Result<Step, Fault> {
        match stop {
            Stop::Wait(_) if way == Way::Splice && self.fruitless >= FRUITLESS_WAITS => {
                self.refuse(way, Reason::Stuck(Operation::Splice));
                Ok(Step::Moved(0))
            }
            Stop::Wait(side) => Ok(Step::Wait(side)),
            Stop::Refused(reason) => {
                self.refuse(way, reason);
                Ok(Step::Moved(0))
            }
            Stop::Fault(fault) => Err(fault),
            Stop::Call { operation, side, errno } => match verdict(operation, errno, self.fresh) {
                Verdict::Refused => {
                    self.refuse(way, Reason::Errno { operation, errno });
                    Ok(Step::Moved(0))
                }
                Verdict::Retry => Ok(Step::Moved(0)),
                Verdict::WouldBlock => Ok(Step::Wait(side.unwrap_or(Side::Source))),
                Verdict::Failed => Err(Fault { cause: errno.into(), operation, side }),
            },
        }
    }

    /// Leaves a way for good. What it has staged stays staged, and goes out first.
    fn refuse(&mut self, way: Way, reason: Reason) {
        self.report.refuse(Refusal::new(way.route(), reason));
        self.fresh = true;
        if let Some(joint) = &mut self.joint {
            joint.plan.ways.retain(|other| *other != way);
            joint.plan.paced &= way != Way::SpliceStaged;
        }
    }

    fn no_route(&self) -> Fault {
        let mut message = "no route is left between these two ends".to_owned();
        for (i, refusal) in self.report.refused().iter().enumerate() {
            let sign = if i == 0 { ": " } else { "; " };
            message.push_str(&format!("{sign}{}: {}", refusal.route, refusal.reason));
        }
        Fault::plain(Operation::Plan, io::Error::new(io::ErrorKind::Unsupported, message))
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
