//! A transfer: what it has, what can be asked of it.
//!
//! [`join`] looks at the two ends and plans; [`stepping`] chooses what is to be done next and has
//! an engine do it; [`mirror`] keeps a pipe beside it supplied; [`fallback`] decides what follows
//! from what came of it, and is the only place that leaves a route; [`builder`] has the options.

mod builder;
mod fallback;
mod join;
mod mirror;
mod stepping;
mod terms;

use std::fmt;
use std::io;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::engine::extents::Extents;
use crate::error::{Fault, TransferError};
use crate::ledger::Ledger;
use crate::operation::{Operation, Side};
use crate::plan::Way;
use crate::policy::Policy;
use crate::progress::{Observer, Progress};
use crate::report::Report;
use crate::route::Route;
use crate::source::{Sink, Source};
use crate::stage::Stage;
use crate::sys::{Kernel, System};
pub use join::Sockets;
use join::{Course, Ends};
pub(crate) use terms::Terms;

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
    pub(crate) terms: Terms,
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) report: Report,
    pub(crate) ledger: Ledger,
    ends: Ends,
    stage: Stage,
    course: Course,
    /// What a run has still to ask of the two ends before bytes are moved.
    preliminaries: Preliminaries,
    /// A new run began: the caller may have moved positions meanwhile.
    stale: bool,
    /// Waits since the last byte.
    fruitless: u8,
    /// The end that the last step by hand named.
    waited_for: Option<Side>,
    /// Whether the present way has not moved a byte yet.
    fresh: bool,
    /// The route of the latest byte.
    route: Route,
}

/// What most transfers do without.
#[derive(Default)]
pub(crate) struct Rare {
    pub(crate) observer: Option<Observer>,
    pub(crate) cancel: Option<Cancel>,
    pub(crate) idle_timeout: Option<Duration>,
    /// Where there is a mirror: so many of the next bytes it has got already.
    pub(crate) mirrored: Option<u64>,
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

/// The ends that the next [`Transfer::step`] makes a call on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Needs {
    /// It takes from the source.
    pub source: bool,
    /// It gives to the sink.
    pub sink: bool,
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
            .field("policy", &self.terms)
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
            terms: Policy::default().into(),
            rare: None,
            report: Report::default(),
            ledger: Ledger::default(),
            ends: Ends::Apart { from: None, to: None },
            stage: Stage::default(),
            course: Course::Extents(Extents::default()),
            preliminaries: Preliminaries::Flush,
            stale: false,
            fruitless: 0,
            waited_for: None,
            fresh: true,
            route: Route::ReadWrite,
        }
    }

    pub(crate) fn cancel(&self) -> Option<&Cancel> {
        self.rare.as_ref()?.cancel.as_ref()
    }

    pub(crate) fn idle(&self) -> Option<Duration> {
        self.rare.as_ref()?.idle_timeout
    }

    /// What has been done so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The source, for what it can be told between two runs. Bytes taken from it meanwhile are
    /// not part of the transfer.
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
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
        self.prepare_between(None)
    }

    /// As [`prepare`](Self::prepare), where the ends are `sockets`, which a transfer the other way
    /// has looked at.
    ///
    /// # Errors
    ///
    /// Those of [`prepare`](Self::prepare).
    #[doc(hidden)]
    pub fn prepare_between(&mut self, sockets: Option<Sockets>) -> Result<(), TransferError> {
        let ready = self.join_known(sockets).and_then(|()| match self.way() {
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

    /// Which ends the next [`step`](Self::step) makes a call on, for a driver that has to know
    /// their readiness before the call. [`Step::Wait`] names one of them.
    ///
    /// To be asked after [`prepare`](Self::prepare): before the two ends were looked at it is not
    /// known, and neither is named.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let source = Needs { source: true, sink: false };
        let sink = Needs { source: false, sink: true };
        if self.ledger.staged() > 0 {
            let unloads = self.stage.buffer.bytes().is_empty() && !self.drains_by_splicing();
            return if unloads { Needs::default() } else { sink };
        }
        if self.left_to_take() == 0 || self.has_head() {
            return Needs::default();
        }
        match self.way() {
            None | Some(Way::Reflink | Way::CopyFileRange) => Needs::default(),
            Some(Way::Sendfile) => sink,
            Some(Way::Splice) => Needs { source: true, sink: true },
            Some(Way::SpliceStaged | Way::ReadWrite) => source,
        }
    }

    /// Whether the next [`step`](Self::step) may raise SIGPIPE, for a driver that keeps the signal
    /// away from its thread: that costs a system call or more, which a small message notices.
    #[must_use]
    pub fn may_signal(&self) -> bool {
        if self.preliminaries == Preliminaries::Flush || self.ends.joint().is_none() {
            return true;
        }
        if self.ledger.staged() == 0 {
            return !matches!(self.way(), Some(Way::ReadWrite | Way::SpliceStaged));
        }
        if self.stage.buffer.bytes().is_empty() {
            return self.drains_by_splicing();
        }
        self.sink_may_signal()
    }

    /// Whether a plain write to the sink may raise SIGPIPE: to a socket it need not.
    #[must_use]
    pub fn sink_may_signal(&self) -> bool {
        let joint = self.ends.joint();
        joint.is_none_or(|joint| self.kernel.write_may_signal(joint.to.kind))
    }

    /// Gives up the pipe and the buffer while nothing rests in them, for a driver that is about to
    /// wait, perhaps for long. The next step gets them again: the pipe from the pool, the buffer
    /// from this thread.
    pub fn rest(&mut self) {
        self.stage.rest();
    }

    /// Tells that poll has called this end ready.
    pub(crate) fn mark_ready(&mut self, side: Side) {
        if let Some(joint) = self.ends.joint_mut() {
            match side {
                Side::Source => joint.from.ready = true,
                Side::Sink => joint.to.ready = true,
            }
        }
    }

    /// Begins a run that is made of [steps](Self::step), as [`run`](Self::run) does of itself: the
    /// ends are asked for their buffered bytes again, and files for where they stand.
    pub fn begin_run(&mut self) {
        self.preliminaries = Preliminaries::Flush;
        self.stale = true;
        self.fruitless = 0;
        self.waited_for = None;
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress { bytes: self.ledger.given(), route: self.route }
    }

    /// Adds to the time that the report tells, for a driver whose runs are made of steps.
    pub fn add_elapsed(&mut self, time: Duration) {
        self.report.add_elapsed(time);
    }

    /// An error of the driver's own, such as a timeout, with what had been done until then.
    #[must_use]
    pub fn fail(
        &self,
        operation: Operation,
        side: Option<Side>,
        cause: io::Error,
    ) -> TransferError {
        self.failed(Fault { cause, operation, side })
    }

    pub(crate) fn fruitless(&self) -> u32 {
        self.fruitless.into()
    }

    pub(crate) fn failed(&self, fault: Fault) -> TransferError {
        TransferError::new(fault, self.ledger.staged(), self.report.clone())
    }
}
