//! One direction: steps while there is something to do, and waits where there is not.

use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fdflow::sys::SigpipeGuard;
use fdflow::{DEFAULT_CHUNK, Operation, Progress, Report, Side, Step, Transfer, TransferError};
use tokio::time::Instant;

use crate::core_ends::{Giving, Taking};
use crate::counters::Counters;
use crate::end::{AsyncSink, AsyncSource};
use crate::file::{self, Cached};
use crate::rate::Bucket;
use crate::ready::{Attempt, attempt};
use crate::timer::Timer;

/// What one poll may do before other tasks have their turn: so many steps, so many bytes.
const STEPS: u32 = 32;
const BYTES: u64 = 2 << 20;

pub(crate) type Observer = Box<dyn FnMut(Progress) + Send>;

/// A transfer of the core and what the driver knows of it. `S` and `D` are handles on the ends:
/// one of each is with the core, the other asks for readiness while the core makes its call.
pub(crate) struct Flow<S, D> {
    pub(crate) core: Transfer<Taking<S>, Giving<D>>,
    pub(crate) source: S,
    pub(crate) sink: D,
    pub(crate) chunk: usize,
    pub(crate) offset: Option<u64>,
    pub(crate) observer: Option<Observer>,
    pub(crate) counters: Counters,
    pub(crate) rate: Option<u64>,
    bucket: Option<Bucket>,
    cached: Option<Cached>,
    /// For the rate, and for the idle timeout.
    timers: (Timer, Timer),
    /// When bytes last moved.
    latest: Instant,
    /// The end that was last waited for.
    waits: Side,
    /// The last poll found nothing to take, with nothing on its way.
    dry: bool,
    /// The sink was given bytes since it was last flushed.
    unflushed: bool,
    began: Instant,
}

impl<S: AsyncSource + Clone, D: AsyncSink + Clone> Flow<S, D> {
    pub(crate) fn new(source: S, sink: D) -> Self {
        let now = Instant::now();
        Self {
            core: Transfer::new(Taking::new(source.clone()), Giving(sink.clone())),
            source,
            sink,
            chunk: DEFAULT_CHUNK,
            offset: None,
            observer: None,
            counters: Counters::new(),
            rate: None,
            bucket: None,
            cached: None,
            timers: Default::default(),
            latest: now,
            waits: Side::Source,
            dry: false,
            unflushed: false,
            began: now,
        }
    }

    /// Begins a run: also the first of a future that follows one that was dropped.
    pub(crate) fn begin(&mut self) -> Result<(), TransferError> {
        let now = Instant::now();
        (self.began, self.latest, self.timers) = (now, now, Default::default());
        self.cached = None;
        for (side, is_file, fd) in [
            (Side::Source, self.source.is_file(), self.source.descriptor()),
            (Side::Sink, self.sink.is_file(), self.sink.descriptor()),
        ] {
            if is_file && let Err(cause) = file::check(fd) {
                return Err(self.core.fail(Operation::Probe, Some(side), cause));
            }
        }
        if self.source.is_file() {
            self.cached = Some(Cached::default());
        }
        if self.bucket.is_none() {
            self.bucket = self.rate.map(|rate| Bucket::new(rate, now));
        }
        self.core.begin_run();
        match self.core.prepare() {
            // What is staged is given all the same, before no route is found to take more by.
            Err(error) if self.core.ledger().staged() == 0 => Err(error),
            _ => Ok(()),
        }
    }

    /// Puts `bytes` before those of the source.
    pub(crate) fn prefix(&mut self, bytes: Vec<u8>) {
        self.core.source_mut().set_prefix(bytes);
    }

    /// The report of the run that has come to its end.
    pub(crate) fn ended(&mut self) -> Report {
        self.core.add_elapsed(self.began.elapsed());
        self.core.report().clone()
    }

    /// Moves what can be moved, within a budget, and waits for the rest. Ready when the source has
    /// ended and the sink has everything.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        self.source.register(cx);
        self.sink.register(cx);
        self.dry = false;
        let before = self.core.ledger();
        let polled = self.poll_steps(cx);
        if self.core.ledger() != before {
            self.latest = Instant::now();
            self.counters.was_active(self.latest);
        }
        polled
    }

    /// When bytes last moved, or the run began.
    pub(crate) fn latest(&self) -> Instant {
        self.latest
    }

    /// Whether the last poll waits for the source alone.
    pub(crate) fn is_dry(&self) -> bool {
        self.dry
    }

    fn poll_steps(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        let mut guard = None;
        let until = self.core.ledger().given().saturating_add(BYTES);
        for _ in 0..STEPS {
            if self.core.ledger().given() >= until {
                break;
            }
            if self.core.ledger().staged() == 0 {
                let most = ready!(self.poll_may_take(cx));
                self.core.set_chunk(self.chunk.min(most));
            }
            if guard.is_none() && self.core.may_signal() {
                guard = Some(SigpipeGuard::new());
            }
            let taken = self.core.ledger().taken();
            let attempt = attempt(&mut self.core, &self.source, &self.sink)?;
            if let Some(bucket) = &mut self.bucket {
                bucket.took(self.core.ledger().taken() - taken);
            }
            match attempt {
                Attempt::Stepped(Step::Finished) => return self.poll_flushed(cx),
                Attempt::Stepped(Step::Moved(n)) => self.tell(n),
                Attempt::Stepped(Step::Wait(side)) | Attempt::Blocked(side) => {
                    ready!(self.poll_ready(side, cx))?;
                    self.dry = false;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// How much may be taken now: what the rate allows, and what a file has in memory.
    fn poll_may_take(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut most = u64::MAX;
        while let Some(bucket) = &mut self.bucket {
            match bucket.may_take(Instant::now()) {
                Ok(tokens) => {
                    most = tokens;
                    break;
                }
                Err(then) => {
                    self.waits = Side::Source;
                    self.core.rest();
                    ready!(self.timers.0.poll(then, cx));
                }
            }
        }
        if let (Some(cached), Some(fd)) = (&mut self.cached, self.source.descriptor()) {
            let own = || rustix::fs::tell(fd).ok();
            let at = self.offset.map(|offset| offset + self.core.ledger().taken()).or_else(own);
            if let Some(at) = at {
                self.waits = Side::Source;
                most = most.min(ready!(cached.poll(fd.as_fd(), at, cx)));
            }
        }
        Poll::Ready(usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn poll_ready(&mut self, side: Side, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        self.waits = side;
        let ready = match side {
            Side::Source => {
                self.dry = self.core.ledger().staged() == 0;
                if self.dry {
                    self.core.rest();
                }
                self.source.poll_readable(cx)
            }
            Side::Sink => self.sink.poll_writable(cx),
        };
        if ready.is_pending() && side == Side::Source && self.unflushed {
            // The peer may be waiting for what the sink holds back before it sends any more.
            if let Poll::Ready(flushed) = self.poll_flush(cx) {
                self.unflushed = false;
                flushed.map_err(|cause| self.failed(Operation::Flush, Side::Sink, cause))?;
            }
        }
        ready.map_err(|cause| self.failed(Operation::Wait, side, cause))
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        self.waits = Side::Sink;
        self.core.rest();
        let flushed = ready!(self.poll_flush(cx));
        self.unflushed = false;
        Poll::Ready(flushed.map_err(|cause| self.failed(Operation::Flush, Side::Sink, cause)))
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _guard = self.core.sink_may_signal().then(SigpipeGuard::new);
        self.sink.poll_flush(cx)
    }

    /// Fails once nothing has moved for `idle`.
    pub(crate) fn poll_idle(
        &mut self,
        idle: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<TransferError> {
        let Some(deadline) = self.latest.checked_add(idle) else { return Poll::Pending };
        ready!(self.timers.1.poll(deadline, cx));
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
        self.counters.saw(progress);
        if let Some(observer) = &mut self.observer {
            observer(progress);
        }
    }

    /// What was taken and not given, and what is left of the prefix; the core's handles are gone.
    pub(crate) fn take_apart(self) -> (S, D, Vec<u8>, Report) {
        let Self { core, source, sink, .. } = self;
        let parts = core.into_parts();
        let mut undelivered = parts.undelivered;
        undelivered.extend_from_slice(parts.source.prefix());
        (source, sink, undelivered, parts.report)
    }
}
