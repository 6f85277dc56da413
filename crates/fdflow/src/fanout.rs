//! One source to several sinks, each with a policy for when it lags behind.

mod hub;
mod lane;
mod report;

use std::fmt;
use std::io;
use std::sync::mpsc::channel;
use std::thread::{Builder, Scope, scope};
use std::time::Duration;

pub use report::{FanoutError, FanoutReport, Gap, SinkEnd, SinkReport};

use crate::pipe::Pipe;
use crate::source::{Sink, Source};
use crate::stage::WIDE;
use crate::sys::{Kernel, System, sigpipe};
use crate::transfer::{Parts, Transfer};
use hub::Hub;
use lane::Lane;

/// How long sinks that nobody waits for may take nothing after the source's end.
const LINGER: Duration = Duration::from_secs(5);

/// What becomes of a sink of a [`Fanout`] that does not keep up with the source.
///
/// A sink is behind by the bytes that were relayed to it and that it has not taken yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Lag {
    /// The source, and with it every other sink, waits for this one. It misses nothing.
    #[default]
    Block,
    /// The others wait for this one, but no longer than this at a time: if it takes nothing for
    /// so long while it holds them up, or after the source's end, it is detached.
    DetachAfter(Duration),
    /// Nobody waits for this one: it is detached when it would be more than so many bytes behind.
    DetachBeyond(usize),
    /// Nobody waits for this one: while it would be more than so many bytes behind, it misses
    /// what is relayed. The gaps are in its report.
    DropBeyond(usize),
}

/// Moves one source to several sinks, byte-exact for each, by `tee(2)` where it can be.
///
/// Every sink is emptied into on a thread of its own, from a pipe of its own, by the best route;
/// between the source and these pipes stands one more, whose bytes are given to all by `tee`, and
/// moved on as far as every attached sink has got them. Where the kernel refuses `tee`, or
/// `FDFLOW_DENY` names `splice`, they are copied.
///
/// * **Blocking.** [`run`](Self::run) blocks until the source has ended and every sink has taken
///   what it is to get, or is detached. A `read` or `write` of the caller's own ([`Plain`](crate::Plain))
///   that never returns keeps `run` from returning, but no other sink from its bytes, beyond its
///   policy.
/// * **A sink that fails** is detached; the others go on. A sink that is owned is dropped, and so
///   closed, when it has everything or is detached; give a reference to keep it.
/// * **Bytes behind** are counted as those that the sink's own `write` has not taken. The pipe of
///   a sink has room for 256 pieces of the source, and for 1 MiB where these are pages; the system
///   may grant less. When it is full, its sink is as far behind as it can be.
/// * **Costs** two descriptors for the source and for each sink, four where it may be detached.
///
/// ```
/// use std::{fs::File, io::Write};
/// use fdflow::{Fanout, Lag, Plain};
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("recording");
/// let (source, mut camera) = std::io::pipe()?;
/// camera.write_all(b"a film")?;
/// drop(camera);
/// let (mut recording, mut memory) = (File::create(&path)?, Plain(Vec::new()));
/// let report = Fanout::new(source)
///     .sink(&mut recording, Lag::Block)
///     .sink(&mut memory, Lag::DropBeyond(1 << 20))
///     .run()?;
/// assert_eq!(report.relayed, 6);
/// assert_eq!((&memory.0[..], report.sinks[1].gaps.len()), (&b"a film"[..], 0));
/// # assert_eq!(std::fs::read(path)?, b"a film");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Fanout<'a, S> {
    source: S,
    sinks: Vec<(Box<dyn Sink + Send + 'a>, Lag)>,
    limit: Option<u64>,
    linger: Duration,
}

impl<S> fmt::Debug for Fanout<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lags = self.sinks.iter().map(|(_, lag)| lag).collect::<Vec<_>>();
        f.debug_struct("Fanout")
            .field("sinks", &lags)
            .field("limit", &self.limit)
            .field("linger", &self.linger)
            .finish_non_exhaustive()
    }
}

impl<'a, S: Source + Send> Fanout<'a, S> {
    /// Everything from `source`, to no sink yet. Makes no system call.
    pub fn new(source: S) -> Self {
        Self { source, sinks: Vec::new(), limit: None, linger: LINGER }
    }

    /// To `sink` too. Reports are in the order of these calls.
    #[must_use]
    pub fn sink(mut self, sink: impl Sink + Send + 'a, lag: Lag) -> Self {
        self.sinks.push((Box::new(sink), lag));
        self
    }

    /// At most `bytes` bytes, and not one more is taken from the source.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// How long a sink that nobody waits for may take nothing after the source's end, before it
    /// is detached with bytes unsent; 5 s unless set.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Moves bytes until the source ends and the sinks have them.
    ///
    /// # Errors
    ///
    /// The source fails, no sink is left, or there are no descriptors or threads to be had. What
    /// was relayed before went to all, and is in the error's report. A sink that fails while
    /// others go on is no error: see [`SinkReport::end`].
    pub fn run(self) -> Result<FanoutReport, FanoutError> {
        let _guard = sigpipe::Guard::new();
        scope(|scope| self.run_in(scope))
    }

    fn run_in<'s>(self, scope: &'s Scope<'s, '_>) -> Result<FanoutReport, FanoutError>
    where
        'a: 's,
        S: 's,
    {
        let (end, ended) = channel();
        let mut lanes = Vec::new();
        for (index, (sink, lag)) in self.sinks.into_iter().enumerate() {
            lanes.push(Lane::open(scope, index, sink, lag, self.linger, end.clone())?);
        }
        drop(end);
        let (reader, writer) = Pipe::with_capacity(WIDE)?.split();
        let mut feeding = Transfer::new(self.source, writer);
        if let Some(limit) = self.limit {
            feeding = feeding.limit(limit);
        }
        let stop = feeding.cancel_handle()?;
        let feeder = Builder::new().spawn_scoped(scope, move || {
            let result = feeding.run();
            // Drops the write end: the hub comes to the end.
            let Parts { undelivered, report, .. } = feeding.into_parts();
            (result.err(), undelivered, report.bytes())
        })?;
        let mut hub = Hub::new(reader, lanes);
        let relayed = hub.relay();
        stop.cancel();
        let (failed, undelivered, fed) = match feeder.join() {
            Ok(ended) => ended,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        let mut rest = hub.rest();
        rest.extend_from_slice(&undelivered);
        let taken = fed + undelivered.len() as u64;
        let report = hub.finish(&ended, taken);
        let cancelled = failed.as_ref().is_some_and(|error| error.is_cancelled());
        match (relayed, failed) {
            (Err(fault), _) => Err(FanoutError::new(fault.cause, report, rest)),
            (Ok(()), Some(error)) if !cancelled => {
                Err(FanoutError::new(error.into(), report, rest))
            }
            _ if report.sinks.iter().all(|sink| !matches!(sink.end, SinkEnd::Complete)) => {
                let cause = io::Error::new(io::ErrorKind::BrokenPipe, "no sink is left");
                Err(FanoutError::new(cause, report, rest))
            }
            _ => Ok(report),
        }
    }
}

/// How many bytes a pipe holds.
fn held(pipe: impl std::os::fd::AsFd) -> io::Result<usize> {
    Ok(System.held(pipe.as_fd())?)
}
