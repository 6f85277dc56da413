//! One direction, with options.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use fdflow::{
    Ledger, Operation, Policy, Progress, Report, Route, Routes, Side, Sparse, Stability,
    TransferError,
};
use tokio::time::Instant;

use crate::core_ends::{Giving, Taking};
use crate::counters::Counters;
use crate::end::{AsyncSink, AsyncSource};
use crate::flow::Flow;
use crate::timer::Timer;

/// Moves everything from `source` to `sink` by the best route, and tells how it went.
///
/// Positions are used and advanced, and nothing is shut down at the end. A sink with a buffer of
/// its own is flushed.
///
/// # Cancel safety
///
/// What the sink has been given stays given when the future is dropped, but bytes that were on
/// their way are lost with it: use [`Transfer`] where that matters.
///
/// # Errors
///
/// The first failure of either end. [`TransferError::report`] tells what the sink was given,
/// [`TransferError::undelivered`] holds the bytes that were taken from the source but not given.
pub async fn copy<S, D>(source: &mut S, sink: &mut D) -> Result<Report, TransferError>
where
    S: AsyncSource + ?Sized,
    D: AsyncSink + ?Sized,
{
    let (source, sink) = (&*source, &*sink);
    let (mut flow, began) = (Flow::new(source, sink), Instant::now());
    let ended = match flow.begin((&source, &sink)) {
        Ok(()) => poll_fn(|cx| flow.poll((&source, &sink), cx)).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => Ok(flow.ended(began)),
        Err(error) => Err(error.with_undelivered(flow.take_apart().0)),
    }
}

/// Moves bytes from a source to a sink by the best route, and can be dropped and gone on with.
///
/// The options are those of [`fdflow::Transfer`], which moves the bytes; this one waits.
///
/// * **Cancel safety.** [`run`](Self::run) may be dropped at any await, in a `select!` or by a
///   timeout: nothing is lost, the next `run` goes on.
/// * **Blocking.** Sockets and pipes never block. A file that is read and is not in the page cache
///   is read ahead on one of the runtime's blocking threads. Writing to a file can wait for the
///   disk where too much is unwritten.
/// * **Runtime.** A runtime with I/O enabled; with time for timeouts and rates.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fdflow_tokio::Transfer;
/// use tokio::{io::AsyncWriteExt, net::UnixStream};
///
/// let (mut client, server) = UnixStream::pair()?;
/// client.write_all(b"0123456789").await?;
/// let file = tempfile::tempfile()?;
/// let report = Transfer::new(server, &file).limit(4).run().await?;
/// assert_eq!((report.bytes(), file.metadata()?.len()), (4, 4));
/// # Ok(())
/// # }
/// ```
pub struct Transfer<S, D> {
    flow: Flow<Arc<S>, Arc<D>>,
    source: Arc<S>,
    sink: Arc<D>,
    idle: Option<Duration>,
}

/// A transfer taken apart.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts<S, D> {
    /// The source.
    pub source: S,
    /// The sink.
    pub sink: D,
    /// Bytes taken from the source (or given as its prefix) and not given to the sink, in order.
    pub undelivered: Vec<u8>,
    /// What had been done.
    pub report: Report,
}

impl<S, D> fmt::Debug for Transfer<S, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("core", &self.flow.core).finish_non_exhaustive()
    }
}

type Core<S, D> = fdflow::Transfer<Taking<Arc<S>>, Giving<Arc<D>>>;

impl<S: AsyncSource, D: AsyncSink> Transfer<S, D> {
    /// A transfer of everything from `source` to `sink`. Makes no system call.
    ///
    /// Give references to have the ends back without [`into_parts`](Self::into_parts).
    pub fn new(source: S, sink: D) -> Self {
        let (source, sink) = (Arc::new(source), Arc::new(sink));
        let flow = Flow::new(Arc::clone(&source), Arc::clone(&sink));
        Self { flow, source, sink, idle: None }
    }

    fn with(mut self, change: impl FnOnce(Core<S, D>) -> Core<S, D>) -> Self {
        self.flow.core = change(self.flow.core);
        self
    }

    /// Everything that the policy says, at once.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.flow.rare().chunk = policy.chunk;
        self.idle = policy.idle_timeout;
        self.with(|core| core.policy(policy))
    }

    /// At most `bytes` bytes, counted over all runs.
    #[must_use]
    pub fn limit(self, bytes: u64) -> Self {
        self.with(|core| core.limit(bytes))
    }

    /// Changes the limit between two runs.
    pub fn set_limit(&mut self, bytes: u64) {
        self.flow.core.set_limit(bytes);
    }

    /// Take the bytes from this offset of the source, a file, and leave its position alone.
    #[must_use]
    pub fn source_offset(mut self, offset: u64) -> Self {
        self.flow.rare().offset = Some(offset);
        self.with(|core| core.source_offset(offset))
    }

    /// Put the bytes at this offset of the sink, a file, and leave its position alone.
    #[must_use]
    pub fn sink_offset(self, offset: u64) -> Self {
        self.with(|core| core.sink_offset(offset))
    }

    /// At most `bytes` bytes a system call; see [`fdflow::DEFAULT_CHUNK`].
    #[must_use]
    pub fn chunk(mut self, bytes: usize) -> Self {
        self.flow.rare().chunk = bytes;
        self
    }

    /// Only these routes, whatever `FDFLOW_DENY` says.
    #[must_use]
    pub fn routes(self, routes: Routes) -> Self {
        self.with(|core| core.routes(routes))
    }

    /// Not this route.
    #[must_use]
    pub fn deny(self, route: Route) -> Self {
        self.with(|core| core.deny(route))
    }

    /// Whether later writes to the source may show at the receiver.
    #[must_use]
    pub fn stability(self, stability: Stability) -> Self {
        self.with(|core| core.stability(stability))
    }

    /// What becomes of holes.
    #[must_use]
    pub fn sparse(self, sparse: Sparse) -> Self {
        self.with(|core| core.sparse(sparse))
    }

    /// Fail with [`TimedOut`](std::io::ErrorKind::TimedOut) after so long without a byte.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle = Some(timeout);
        self
    }

    /// At most so many bytes a second, on average; a tenth of it may go at once.
    #[must_use]
    pub fn rate(mut self, bytes_per_second: u64) -> Self {
        self.flow.rare().rate = Some(bytes_per_second);
        self
    }

    /// These bytes go first: what was read from the source before.
    #[must_use]
    pub fn prefix(mut self, bytes: Vec<u8>) -> Self {
        self.flow.prefix(bytes);
        self
    }

    /// Call `observer` after every step that gave bytes to the sink.
    #[must_use]
    pub fn observe(mut self, observer: impl FnMut(Progress) + Send + 'static) -> Self {
        self.flow.rare().observer = Some(Box::new(observer));
        self
    }

    /// Counters that can be read while it runs.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.flow.counters()
    }

    /// Counts in these counters, which were made before.
    pub(crate) fn count_in(mut self, counters: Counters) -> Self {
        self.flow.count_in(counters);
        self
    }

    /// What is wrong with an end, as an error of this transfer.
    pub(crate) fn failed(&self, what: Operation, side: Side, cause: io::Error) -> TransferError {
        self.flow.failed(what, side, cause)
    }

    /// What has been done so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        self.flow.core.report()
    }

    /// Where the bytes are: taken, staged, given.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.flow.core.ledger()
    }

    /// Moves bytes until the source ends or the limit is reached, and tells how they went.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time: another run goes on where it stopped. The time that
    /// a dropped run took is not in the report.
    ///
    /// # Errors
    ///
    /// The first failure of either end, or the idle timeout. Bytes that were taken but not given
    /// are kept for the next run.
    pub async fn run(&mut self) -> Result<Report, TransferError> {
        let (flow, idle, began) = (&mut self.flow, self.idle, Instant::now());
        let ends = (&self.source, &self.sink);
        flow.begin(ends)?;
        let mut timer = Timer::default();
        let ended = poll_fn(|cx| {
            let polled = flow.poll(ends, cx);
            match idle {
                Some(idle) if polled.is_pending() => {
                    flow.poll_idle((idle, began), &mut timer, cx).map(Err)
                }
                _ => polled,
            }
        });
        ended.await?;
        Ok(self.flow.ended(began))
    }

    /// Gives the ends back, with what was taken from the one and not given to the other.
    #[must_use]
    pub fn into_parts(self) -> Parts<S, D> {
        let Self { flow, source, sink, .. } = self;
        let (undelivered, report) = flow.take_apart();
        let alone = "the flow was the only other holder, and it is gone";
        Parts {
            source: Arc::into_inner(source).expect(alone),
            sink: Arc::into_inner(sink).expect(alone),
            undelivered,
            report,
        }
    }
}
