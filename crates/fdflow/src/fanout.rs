//! One source to several sinks, each with a policy for when it lags behind.

mod account;
mod flow;
mod hub;
mod lane;
mod report;
#[cfg(test)]
mod scripted;
mod stepping;

use std::fmt;
use std::io;
use std::time::Duration;

#[doc(hidden)]
pub use account::Account;
#[doc(hidden)]
pub use lane::Linger;
pub use report::{FanoutError, FanoutReport, Gap, SinkEnd, SinkReport};
#[doc(hidden)]
pub use stepping::{Hub, HubStep, Joins};

use crate::cancel::Cancel;
use crate::source::{Sink, Source};
use crate::sys::sigpipe;
use flow::Flow;
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
/// * **Cancelling.** A [`cancel_handle`](Self::cancel_handle) ends a run from another thread;
///   another run goes on where it stopped, [`into_parts`](Self::into_parts) hands out what was
///   on its way.
/// * **Costs** six descriptors, and two for each sink, four where it may be detached or the run
///   cancelled.
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
    /// Until the first run.
    source: Option<S>,
    /// Those that no run has seen yet.
    sinks: Vec<(Box<dyn Sink + Send + 'a>, Lag)>,
    limit: Option<u64>,
    linger: Duration,
    cancel: Option<Cancel>,
    flow: Option<Flow<'a, S>>,
}

/// A fan-out taken apart.
#[non_exhaustive]
pub struct FanoutParts<'a, S> {
    /// The source; `None` where it has come to its end.
    pub source: Option<S>,
    /// Bytes taken from the source and not relayed, in order.
    pub undelivered: Vec<u8>,
    /// The sinks, in the order in which they were added; `None` where one was complete, detached
    /// or has failed.
    pub sinks: Vec<Option<SinkParts<'a>>>,
}

/// A sink of a fan-out that was taken apart.
#[non_exhaustive]
pub struct SinkParts<'a> {
    /// The sink.
    pub sink: Box<dyn Sink + Send + 'a>,
    /// Bytes that were on their way to it, in order.
    pub undelivered: Vec<u8>,
    /// So many bytes at the front of the fan-out's own [`undelivered`](FanoutParts::undelivered)
    /// ones it has got, or has among its `undelivered` ones.
    pub in_advance: u64,
}

impl<S> fmt::Debug for FanoutParts<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FanoutParts")
            .field("undelivered", &self.undelivered.len())
            .field("sinks", &self.sinks)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for SinkParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkParts")
            .field("undelivered", &self.undelivered.len())
            .field("in_advance", &self.in_advance)
            .finish_non_exhaustive()
    }
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
        let (sinks, source) = (Vec::new(), Some(source));
        Self { source, sinks, limit: None, linger: LINGER, cancel: None, flow: None }
    }

    /// To `sink` too. Reports are in the order of these calls. One that is added between two runs
    /// gets what is relayed from then on; what went before is its first gap.
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

    /// A handle with which another thread can end a run, also one that waits.
    ///
    /// With a handle, the threads of the sinks wait in poll, where they would make plain blocking
    /// calls otherwise. A handle that is got while the fan-out runs is for the runs after that.
    ///
    /// ```
    /// use std::{io::Write, os::unix::net::UnixStream, thread};
    /// use fdflow::{Fanout, Lag};
    /// let (source, mut camera) = UnixStream::pair()?;
    /// let (reader, sink) = std::io::pipe()?;
    /// camera.write_all(b"a film")?;
    ///
    /// let mut fanout = Fanout::new(source).sink(sink, Lag::Block);
    /// let cancel = fanout.cancel_handle()?;
    /// thread::spawn(move || cancel.cancel());
    /// let error = fanout.run().unwrap_err(); // the camera is silent: only the handle ends it
    /// assert!(error.is_cancelled());
    ///
    /// drop(camera);
    /// fanout.run()?; // goes on where it stopped
    /// drop(fanout);
    /// assert_eq!(std::io::read_to_string(reader)?, "a film");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No descriptors to be had for the pipe behind it.
    pub fn cancel_handle(&mut self) -> io::Result<Cancel> {
        let cancel = match &self.cancel {
            Some(cancel) => cancel.clone(),
            None => Cancel::new()?,
        };
        self.cancel = Some(cancel.clone());
        Ok(cancel)
    }

    /// Moves bytes until the source ends and the sinks have them.
    ///
    /// After a cancel it may be called again, and goes on: nothing was lost. After anything else
    /// the fan-out is over, and its source and its owned sinks are dropped.
    ///
    /// # Errors
    ///
    /// The source fails, no sink is left, it was cancelled, or there are no descriptors or threads
    /// to be had. What was relayed before went to all, and is in the error's report. A sink that
    /// fails while others go on is no error: see [`SinkReport::end`]. `InvalidInput` where it is
    /// over.
    pub fn run(&mut self) -> Result<FanoutReport, FanoutError> {
        let _guard = sigpipe::Guard::new();
        let mut flow = self.under_way()?;
        flow.set_limit(self.limit);
        flow.hub.cancel.clone_from(&self.cancel);
        let result = flow.run();
        if result.as_ref().is_err_and(FanoutError::is_cancelled) {
            self.flow = Some(flow);
        }
        result
    }

    /// What the run before has left, or the beginning; with all sinks.
    fn under_way(&mut self) -> io::Result<Flow<'a, S>> {
        let mut flow = match (self.flow.take(), self.source.take()) {
            (Some(flow), _) => flow,
            (None, Some(source)) => Flow::open(source)?,
            (None, None) => {
                let cause = "the fan-out has come to its end before";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, cause));
            }
        };
        for (sink, lag) in self.sinks.drain(..) {
            flow.join(Lane::open(sink, lag, self.linger)?);
        }
        Ok(flow)
    }

    /// Gives the ends back, with what was on its way between them.
    ///
    /// ```
    /// use std::io::{Read, Write};
    /// use fdflow::{Fanout, Lag};
    /// let (source, mut camera) = std::io::pipe()?;
    /// let (reader, sink) = std::io::pipe()?;
    /// camera.write_all(b"a film")?;
    /// let mut fanout = Fanout::new(source).sink(sink, Lag::Block);
    /// fanout.cancel_handle()?.cancel();
    /// assert!(fanout.run().unwrap_err().is_cancelled());
    ///
    /// let parts = fanout.into_parts();
    /// // What the reader gets, what was on its way and what is in the source are one film.
    /// let sink = parts.sinks.into_iter().flatten().next().ok_or("complete")?;
    /// drop((sink.sink, camera));
    /// let mut film = std::io::read_to_string(reader)?.into_bytes();
    /// film.extend(sink.undelivered);
    /// film.extend(&parts.undelivered[sink.in_advance as usize..]);
    /// parts.source.ok_or("ended")?.read_to_end(&mut film)?;
    /// assert_eq!(film, b"a film");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn into_parts(self) -> FanoutParts<'a, S> {
        let fresh = |(sink, _)| Some(SinkParts { sink, undelivered: Vec::new(), in_advance: 0 });
        let fresh = self.sinks.into_iter().map(fresh);
        let Some(flow) = self.flow else {
            let sinks = fresh.collect();
            return FanoutParts { source: self.source, undelivered: Vec::new(), sinks };
        };
        let (source, undelivered, lanes) = flow.into_parts();
        let stopped = lanes.into_iter().map(|lane| {
            let in_advance = lane.ahead;
            let (sink, undelivered) = lane.into_rest()?;
            Some(SinkParts { sink, undelivered, in_advance })
        });
        FanoutParts { source, undelivered, sinks: stopped.chain(fresh).collect() }
    }
}
