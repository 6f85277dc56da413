//! One direction: steps while there is something to do, and waits where there is not.

use std::cell::OnceCell;
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fdflow::sys::SigpipeGuard;
use fdflow::{
    DEFAULT_CHUNK, Operation, Progress, Report, Side, Sockets, Step, Transfer, TransferError,
};
use tokio::time::Instant;

use crate::core_ends::{Giving, Taking};
use crate::counters::Counters;
use crate::end::{AsyncSink, AsyncSource};
use crate::file::{self, Cached};
use crate::mirror::Mirroring;
use crate::rate::{Bucket, Share};
use crate::ready::{Attempt, attempt};
use crate::timer::{Moment, Timer};

/// What one poll may do before other tasks have their turn: so many steps, so many bytes.
const STEPS: u32 = 32;
const BYTES: u64 = 2 << 20;
/// Fewer bytes than this were likely all that there was.
const FEW: u64 = 64 << 10;

pub(crate) type Observer = Box<dyn FnMut(Progress) + Send>;

/// A transfer of the core and what the driver knows of it. `S` and `D` are handles on the ends:
/// one of each is with the core; the others, which ask for readiness while the core makes its call,
/// are lent with each poll.
pub(crate) struct Flow<S, D> {
    pub(crate) core: Transfer<Taking<S>, Giving<D>>,
    pub(crate) rare: Option<Box<Rare>>,
    /// Made when they are first asked for.
    counters: OnceCell<Counters>,
    /// When bytes last moved; before the first, when the flow was made.
    latest: Moment,
    /// The end that was last waited for.
    waits: Side,
    /// The last poll found nothing to take, with nothing on its way.
    dry: bool,
    /// The sink was given bytes since it was last flushed.
    unflushed: bool,
    /// How far a direction is of which the end is passed on: here, where there is room for it.
    pub(crate) phase: Phase,
}

/// How far one direction of two is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Moving,
    /// The source has ended and the sink has everything: it is to be told.
    Ended,
    Closed,
}

/// The two ends, lent.
type Ends<'a, S, D> = (&'a S, &'a D);

/// What most flows do without, so that they need not keep room for it while they are quiet.
pub(crate) struct Rare {
    /// The most that one call may move; the core is told less where less may be taken.
    pub(crate) chunk: usize,
    pub(crate) offset: Option<u64>,
    pub(crate) observer: Option<Observer>,
    pub(crate) rate: Option<u64>,
    bucket: Option<Bucket>,
    pub(crate) share: Option<Share>,
    refilled: Timer,
    cached: Option<Cached>,
    pub(crate) mirror: Option<Box<Mirroring>>,
    /// Whoever polls it keeps SIGPIPE away.
    pub(crate) guarded: bool,
}

impl Default for Rare {
    fn default() -> Self {
        Self {
            chunk: DEFAULT_CHUNK,
            offset: None,
            observer: None,
            rate: None,
            bucket: None,
            share: None,
            refilled: Timer::default(),
            cached: None,
            mirror: None,
            guarded: false,
        }
    }
}

impl Rare {
    /// How many bytes the rates allow now, or when they will allow some.
    fn may_take(&mut self) -> Result<u64, Instant> {
        if self.bucket.is_none() && self.share.is_none() {
            return Ok(u64::MAX);
        }
        let now = Instant::now();
        let own = self.bucket.as_mut().map_or(Ok(u64::MAX), |bucket| bucket.may_take(now))?;
        let shared = self.share.as_mut().map_or(Ok(u64::MAX), |share| share.may_take(now))?;
        Ok(own.min(shared))
    }

    fn took(&mut self, bytes: u64) {
        if let Some(bucket) = &mut self.bucket {
            bucket.took(bytes);
        }
        if let Some(share) = &mut self.share {
            share.took(bytes);
        }
    }
}

impl<S: AsyncSource + Clone, D: AsyncSink + Clone> Flow<S, D> {
    pub(crate) fn new(source: S, sink: D) -> Self {
        Self {
            core: Transfer::new(Taking::new(source), Giving(sink)),
            rare: None,
            counters: OnceCell::new(),
            latest: Moment::now(),
            waits: Side::Source,
            dry: false,
            unflushed: false,
            phase: Phase::Moving,
        }
    }

    /// The options that few flows have.
    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn counters(&self) -> Counters {
        let so_far = || {
            let counters = Counters::since(self.latest.instant());
            for leg in self.core.report().legs() {
                counters.add(leg.route, leg.bytes);
            }
            counters
        };
        self.counters.get_or_init(so_far).clone()
    }

    /// Counts in these counters, which were made before.
    pub(crate) fn count_in(&mut self, counters: Counters) {
        self.counters = counters.into();
    }

    /// Begins a run: also the first of a future that follows one that was dropped.
    pub(crate) fn begin(&mut self, ends: Ends<'_, S, D>) -> Result<(), TransferError> {
        self.begin_between(ends, None)
    }

    /// As [`begin`](Self::begin), where the ends are two sockets that were looked at already.
    pub(crate) fn begin_between(
        &mut self,
        (source, sink): Ends<'_, S, D>,
        sockets: Option<Sockets>,
    ) -> Result<(), TransferError> {
        for (side, is_file, fd) in [
            (Side::Source, source.is_file(), source.descriptor()),
            (Side::Sink, sink.is_file(), sink.descriptor()),
        ] {
            if is_file && let Err(cause) = file::check(fd) {
                return Err(self.core.fail(Operation::Probe, Some(side), cause));
            }
        }
        if source.is_file() {
            self.rare().cached = Some(Cached::default());
        } else if let Some(rare) = &mut self.rare {
            rare.cached = None;
        }
        if let Some(rare) = &mut self.rare {
            // Another runtime may drive this run.
            rare.refilled = Timer::default();
            if let Some(mirror) = &mut rare.mirror {
                mirror.begin();
            }
            if rare.bucket.is_none() {
                rare.bucket = rare.rate.map(|rate| Bucket::new(rate, Instant::now()));
            }
        }
        self.core.begin_run();
        match self.core.prepare_between(sockets) {
            // What is staged is given all the same, before no route is found to take more by.
            Err(error) if self.core.ledger().staged() == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts `bytes` before those of the source.
    pub(crate) fn prefix(&mut self, bytes: Vec<u8>) {
        self.core.source_mut().set_prefix(bytes);
    }

    /// The report of the run that began then and has come to its end.
    pub(crate) fn ended(&mut self, began: Instant) -> Report {
        self.core.add_elapsed(began.elapsed());
        self.core.report().clone()
    }

    /// Moves what can be moved, within a budget, and waits for the rest. Ready when the source has
    /// ended and the sink has everything.
    pub(crate) fn poll(
        &mut self,
        ends: Ends<'_, S, D>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransferError>> {
        ends.0.register(cx);
        ends.1.register(cx);
        self.dry = false;
        let before = self.core.ledger();
        let polled = self.poll_steps(ends, cx);
        if self.core.ledger() != before {
            let now = Instant::now();
            self.latest = now.into();
            if let Some(counters) = self.counters.get() {
                counters.was_active(now);
            }
        }
        polled
    }

    /// When bytes last moved; before the first, when the flow was made.
    pub(crate) fn latest(&self) -> Instant {
        self.latest.instant()
    }

    /// Whether the last poll waits for the source alone.
    pub(crate) fn is_dry(&self) -> bool {
        self.dry
    }

    fn poll_steps(
        &mut self,
        ends: Ends<'_, S, D>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransferError>> {
        let mut guard = None;
        let guarded = self.is_guarded();
        let mut dry = false;
        let until = self.core.ledger().given().saturating_add(BYTES);
        for _ in 0..STEPS {
            if self.core.ledger().given() >= until {
                break;
            }
            if self.rare.is_some() && self.core.ledger().staged() == 0 {
                ready!(self.poll_may_take(ends.0, cx));
            }
            if !guarded && guard.is_none() && self.core.may_signal() {
                guard = Some(SigpipeGuard::new());
            }
            if self.core.owes_mirror() {
                self.waits = Side::Sink;
                ready!(self.poll_mirror(cx));
            }
            let taken = self.core.ledger().taken();
            let attempt = attempt(&mut self.core, ends.0, ends.1, dry)?;
            if let Some(rare) = &mut self.rare {
                rare.took(self.core.ledger().taken() - taken);
            }
            match attempt {
                Attempt::Stepped(Step::Finished) => return self.poll_flushed(ends.1, cx),
                Attempt::Stepped(Step::Moved(n)) => {
                    self.tell(n);
                    dry = (1..FEW).contains(&n);
                }
                Attempt::Stepped(Step::Wait(side)) | Attempt::Blocked(side) => {
                    ready!(self.poll_ready(side, ends, cx))?;
                    self.dry = false;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Bounds what the next call takes by what the rate allows, and by what a file has in memory.
    fn poll_may_take(&mut self, source: &S, cx: &mut Context<'_>) -> Poll<()> {
        let Some(rare) = &mut self.rare else { return Poll::Ready(()) };
        let mut most = loop {
            match rare.may_take() {
                Ok(tokens) => break tokens,
                Err(then) => {
                    self.waits = Side::Source;
                    self.core.rest();
                    ready!(rare.refilled.poll(then, cx));
                }
            }
        };
        if let (Some(cached), Some(fd)) = (&mut rare.cached, source.descriptor()) {
            let own = || rustix::fs::tell(fd).ok();
            let at = rare.offset.map(|offset| offset + self.core.ledger().taken()).or_else(own);
            if let Some(at) = at {
                self.waits = Side::Source;
                most = most.min(ready!(cached.poll(fd.as_fd(), at, cx)));
            }
        }
        self.core.set_chunk(rare.chunk.min(usize::try_from(most).unwrap_or(usize::MAX)));
        Poll::Ready(())
    }

    fn poll_ready(
        &mut self,
        side: Side,
        (source, sink): Ends<'_, S, D>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransferError>> {
        self.waits = side;
        let ready = match side {
            Side::Source => {
                self.dry = self.core.ledger().staged() == 0;
                if self.dry {
                    self.core.rest();
                    if let Some(share) = self.rare.as_mut().and_then(|rare| rare.share.as_mut()) {
                        share.rest();
                    }
                }
                source.poll_readable(cx)
            }
            Side::Sink => sink.poll_writable(cx),
        };
        if ready.is_pending() && side == Side::Source && self.unflushed {
            // The peer may be waiting for what the sink holds back before it sends any more.
            if let Poll::Ready(flushed) = self.poll_flush(sink, cx) {
                self.unflushed = false;
                flushed.map_err(|cause| self.failed(Operation::Flush, Side::Sink, cause))?;
            }
        }
        ready.map_err(|cause| self.failed(Operation::Wait, side, cause))
    }

    fn poll_flushed(&mut self, sink: &D, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        self.waits = Side::Sink;
        self.core.rest();
        let flushed = ready!(self.poll_flush(sink, cx));
        self.unflushed = false;
        Poll::Ready(flushed.map_err(|cause| self.failed(Operation::Flush, Side::Sink, cause)))
    }

    fn poll_flush(&self, sink: &D, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let unguarded = !self.is_guarded() && self.core.sink_may_signal();
        let _guard = unguarded.then(SigpipeGuard::new);
        sink.poll_flush(cx)
    }

    fn is_guarded(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.guarded)
    }

    /// Fails once nothing has moved for `idle` in a run that `began` then.
    pub(crate) fn poll_idle(
        &self,
        (idle, began): (Duration, Instant),
        timer: &mut Timer,
        cx: &mut Context<'_>,
    ) -> Poll<TransferError> {
        let latest = self.latest().max(began);
        let Some(deadline) = latest.checked_add(idle) else { return Poll::Pending };
        ready!(timer.poll(deadline, cx));
        let message = match self.waits {
            Side::Source => format!("nothing came from the source for {idle:?}"),
            Side::Sink => format!("nothing was taken by the sink for {idle:?}"),
        };
        let cause = io::Error::new(io::ErrorKind::TimedOut, message);
        Poll::Ready(self.failed(Operation::Wait, self.waits, cause))
    }

    pub(crate) fn failed(&self, what: Operation, side: Side, cause: io::Error) -> TransferError {
        self.core.fail(what, Some(side), cause)
    }

    fn tell(&mut self, n: u64) {
        if n == 0 {
            return;
        }
        self.unflushed = true;
        let progress = self.core.progress();
        if let Some(counters) = self.counters.get() {
            counters.add(progress.route, n);
        }
        if let Some(observer) = self.rare.as_mut().and_then(|rare| rare.observer.as_mut()) {
            observer(progress);
        }
    }

    /// What was taken and not given, and what is left of the prefix; the core's handles are gone.
    pub(crate) fn take_apart(self) -> (Vec<u8>, Report) {
        let parts = self.core.into_parts();
        let mut undelivered = parts.undelivered;
        undelivered.extend_from_slice(parts.source.prefix());
        (undelivered, parts.report)
    }
}
