//! One source to several sinks, each with a policy for when it lags behind.

mod bell;
mod drive;
mod joined;
mod joiner;
mod lanes;
mod within;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use fdflow::{FanoutError, FanoutReport, Lag, Linger};

use crate::counters::Counters;
use crate::end::{AsyncSink, AsyncSource};
use drive::Running;
pub use joined::Joined;
pub use joiner::Joiner;
use joiner::{Door, Doorkeeper};

/// How long sinks that nobody waits for may take nothing after the source's end.
const LINGER: Duration = Duration::from_secs(5);

pub(crate) type AnySink<'a> = Arc<dyn AsyncSink + Send + Sync + 'a>;

/// What a [`Fanout`] does while it has no sink: before the first has come, and after the last has
/// gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Alone {
    /// It ends.
    #[default]
    End,
    /// It takes bytes from the source and drops them.
    Drop,
    /// It takes nothing from the source until a sink joins. What it has taken before is for that
    /// one.
    Wait,
}

/// What was said about a run before it began.
#[derive(Debug, Clone, Copy)]
struct Terms {
    limit: Option<u64>,
    linger: Linger,
    alone: Alone,
}

/// Moves one source to several sinks, byte-exact for each, by `tee(2)` where it can be.
///
/// Policies and reports are those of [`fdflow::Fanout`], and so are the pipes: one for the source
/// and one for each sink, all filled and emptied by the task that runs it. An owned sink is
/// dropped, and so closed, when it has everything or is detached; give a reference to keep it.
///
/// * **Cancel safety.** [`run`](Self::run) may be dropped at any await; another goes on.
/// * **A sink that fails** is detached, and the others go on.
/// * **Backpressure.** The source is read no faster than the slowest sink that is waited for
///   ([`Lag::Block`], [`Lag::DetachAfter`]).
/// * **Joining.** With a [`joiner`](Self::joiner) sinks come and go while it runs;
///   [`alone`](Self::alone) says what happens while there is none. Nothing is kept of those that
///   have gone.
/// * **Costs** two descriptors for the source and for each sink.
/// * **Runtime.** One with I/O enabled; with time for every policy but [`Lag::Block`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fdflow::Lag;
/// use fdflow_tokio::Fanout;
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::UnixStream};
///
/// let (mut camera, source) = UnixStream::pair()?;
/// let (sink, mut client) = UnixStream::pair()?;
/// # let path = tempfile::tempdir()?;
/// # let path = path.path().join("recording");
/// camera.write_all(b"a film").await?;
/// drop(camera);
/// let report = Fanout::new(source)
///     .sink(std::fs::File::create(&path)?, Lag::Block)
///     .sink(sink, Lag::DropBeyond(1 << 20))
///     .run()
///     .await?;
/// assert_eq!(report.relayed, 6);
/// let mut film = String::new();
/// client.read_to_string(&mut film).await?;
/// assert_eq!((film.as_str(), &*std::fs::read_to_string(path)?), ("a film", "a film"));
/// # Ok(())
/// # }
/// ```
pub struct Fanout<'a, S> {
    source: Arc<S>,
    /// Until the first run.
    sinks: Vec<(AnySink<'a>, Lag)>,
    terms: Terms,
    counters: Counters,
    /// Since the first run.
    running: Option<Running<'a, S>>,
    door: Doorkeeper<'a>,
}

impl<S> fmt::Debug for Fanout<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lags = self.sinks.iter().map(|(_, lag)| lag).collect::<Vec<_>>();
        f.debug_struct("Fanout")
            .field("sinks", &lags)
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

impl<'a, S: AsyncSource> Fanout<'a, S> {
    /// Everything from `source`, to no sink yet. Makes no system call.
    pub fn new(source: S) -> Self {
        let linger = Linger { others: LINGER, block: None };
        Self {
            source: Arc::new(source),
            sinks: Vec::new(),
            terms: Terms { limit: None, linger, alone: Alone::End },
            counters: Counters::since(tokio::time::Instant::now()),
            running: None,
            door: Doorkeeper(Arc::new(Door::new())),
        }
    }

    /// To `sink` too, if the first run has not begun yet. Reports are in the order of these calls.
    #[must_use]
    pub fn sink(mut self, sink: impl AsyncSink + Send + Sync + 'a, lag: Lag) -> Self {
        self.sinks.push((Arc::new(sink), lag));
        self
    }

    /// At most `bytes` bytes, and not one more is taken from the source.
    #[must_use]
    pub fn limit(mut self, bytes: u64) -> Self {
        self.terms.limit = Some(bytes);
        self
    }

    /// How long a sink that nobody waits for may take nothing after the source's end, before it
    /// is detached with bytes unsent; 5 s unless set.
    #[must_use]
    pub fn linger(mut self, time: Duration) -> Self {
        self.terms.linger.others = time;
        self
    }

    /// The same for a sink that everybody waits for, [`Lag::Block`]: from the source's end on it is
    /// detached once it has taken nothing for so long. Unless this is set, it is waited for for
    /// ever.
    #[must_use]
    pub fn linger_for_blocking(mut self, time: Duration) -> Self {
        self.terms.linger.block = Some(time);
        self
    }

    /// What happens while no sink is there; it ends unless this is set.
    #[must_use]
    pub fn alone(mut self, alone: Alone) -> Self {
        self.terms.alone = alone;
        self
    }

    /// For sinks that join while it runs, and to end it. Reports of these sinks go to their
    /// [`Joined`] and are not kept here.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use fdflow::Lag;
    /// use fdflow_tokio::{Alone, Fanout};
    /// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::UnixStream};
    ///
    /// let (mut camera, source) = UnixStream::pair()?;
    /// let mut fanout = Fanout::new(source).alone(Alone::Wait);
    /// let joiner = fanout.joiner();
    /// let running = tokio::spawn(async move { fanout.run().await });
    ///
    /// camera.write_all(b"a film").await?;
    /// let (sink, mut viewer) = UnixStream::pair()?;
    /// let mut joined = joiner.join(sink, Lag::DropBeyond(1 << 20))?;
    /// let mut film = [0; 6];
    /// viewer.read_exact(&mut film).await?;
    /// assert_eq!((&film, joined.at()), (b"a film", Some(0)));
    ///
    /// joined.leave();
    /// assert_eq!(joined.ended().await.bytes, 6);
    /// joiner.end();
    /// assert_eq!(running.await??.relayed, 6);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn joiner(&self) -> Joiner<'a> {
        Joiner { door: Arc::clone(&self.door.0) }
    }

    /// Counters of what was taken from the source, to be read while it runs.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Moves bytes until the source ends and the sinks have them. After that it is over, and
    /// another run fails.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time: another run goes on where it stopped.
    ///
    /// # Errors
    ///
    /// The source fails, no sink is left, or there are no pipes to be had. What was relayed before
    /// went to all, and is in the error's report. A sink that fails while others go on is no
    /// error: see [`SinkReport::end`](fdflow::SinkReport::end).
    pub async fn run(&mut self) -> Result<FanoutReport, FanoutError> {
        let running = match &mut self.running {
            Some(running) => running,
            _ if self.door.0.is_over() => return Err(joiner::over().into()),
            none => none.insert(Running::begin(
                &self.source,
                &mut self.sinks,
                self.terms,
                &self.door.0,
                &self.counters,
            )?),
        };
        poll_fn(|cx| running.poll(cx)).await;
        match self.running.take() {
            Some(running) => running.conclude(),
            None => Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into()),
        }
    }
}
