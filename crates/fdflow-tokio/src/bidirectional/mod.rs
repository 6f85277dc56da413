//! Both directions between two ends.

mod drive;
mod error;
mod lane;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fdflow::{Report, Routes};

use crate::counters::Counters;
use crate::end::{AsyncSink, AsyncSource};
use crate::mirror::{Mirror, Mirrored};
use crate::rate::{Share, SharedRate};
use drive::Duplex;
pub use error::{BidirectionalError, Both, Direction, End};

/// Moves everything from `a` to `b` and from `b` to `a`, until both directions have ended.
///
/// As [`Bidirectional`] without options; see there for ends, errors and resets.
///
/// # Cancel safety
///
/// As for [`copy`](crate::copy): what was on its way is lost when the future is dropped.
///
/// # Errors
///
/// The first error of either direction, with what both had done and the bytes that were taken and
/// not given.
pub async fn copy_bidirectional<A, B>(
    a: &mut A,
    b: &mut B,
) -> Result<Both<Report>, BidirectionalError>
where
    A: AsyncSource + AsyncSink + ?Sized,
    B: AsyncSource + AsyncSink + ?Sized,
{
    let mut duplex = Duplex::new(&*a, &*b);
    duplex.begin();
    let ended = poll_fn(|cx| duplex.poll_run(cx)).await;
    match duplex.ended(ended) {
        Ok(reports) => Ok(reports),
        Err(mut error) => {
            let Duplex { a_to_b, b_to_a, .. } = duplex;
            let (a_to_b, b_to_a) = (a_to_b.flow.take_apart().0, b_to_a.flow.take_apart().0);
            error.inner.undelivered = Both { a_to_b, b_to_a };
            Err(error)
        }
    }
}

/// Both directions between two ends, with options.
///
/// * **Ends.** When an end has no more to give, and all that it gave has arrived, the other end is
///   told by a half-close; the opposite direction goes on.
/// * **Errors.** The first one wins and names its end; the other direction is stopped.
/// * **Resets.** What an end had received when it was reset is still delivered, for at most five
///   seconds; then the connection at the other end is reset too
///   ([`pass_resets`](Self::pass_resets)).
/// * **Cancel safety.** [`run`](Self::run) may be dropped at any await; another goes on.
/// * **Runtime.** Needs one with I/O and time enabled, and panics at the start of a run without.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fdflow_tokio::{Bidirectional, Direction};
/// use std::time::Duration;
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::UnixStream};
///
/// let (mut client, a) = UnixStream::pair()?;
/// let (b, mut server) = UnixStream::pair()?;
/// let mut proxy = Bidirectional::new(a, b).idle_timeout(Duration::from_secs(60));
/// let counters = proxy.counters(Direction::AToB); // can be read while it runs
/// let proxy = tokio::spawn(async move { proxy.run().await });
///
/// client.write_all(b"a question").await?;
/// client.shutdown().await?;
/// let mut question = String::new();
/// server.read_to_string(&mut question).await?;
/// assert_eq!((question.as_str(), counters.bytes()), ("a question", 10));
/// drop(server);
/// let reports = proxy.await??;
/// assert_eq!((reports.a_to_b.bytes(), reports.b_to_a.bytes()), (10, 0));
/// # Ok(())
/// # }
/// ```
pub struct Bidirectional<A, B> {
    duplex: Duplex<Arc<A>, Arc<B>>,
}

/// Two directions taken apart.
#[derive(Debug)]
#[non_exhaustive]
pub struct BidirectionalParts<A, B> {
    /// The first end.
    pub a: A,
    /// The second end.
    pub b: B,
    /// Bytes taken (or given as a prefix) and not given, in order.
    pub undelivered: Both<Vec<u8>>,
    /// What had been done.
    pub reports: Both<Report>,
}

impl<A, B> fmt::Debug for Bidirectional<A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bidirectional")
            .field("a_to_b", &self.duplex.a_to_b.flow.core)
            .field("b_to_a", &self.duplex.b_to_a.flow.core)
            .field("failure", &self.duplex.failure)
            .finish_non_exhaustive()
    }
}

impl<A, B> Bidirectional<A, B>
where
    A: AsyncSource + AsyncSink,
    B: AsyncSource + AsyncSink,
{
    /// Both directions between `a` and `b`. Makes no system call.
    pub fn new(a: A, b: B) -> Self {
        Self { duplex: Duplex::new(Arc::new(a), Arc::new(b)) }
    }

    /// Fail after so long without a byte in either direction, by whatever route they go.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.duplex.options().idle = Some(timeout);
        self
    }

    /// As the idle timeout, and instead of it, once one direction has ended.
    #[must_use]
    pub fn half_closed_timeout(mut self, timeout: Duration) -> Self {
        self.duplex.options().half_closed = Some(timeout);
        self
    }

    /// Fail so long after the first run began, whatever moves.
    #[must_use]
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.duplex.options().lifetime = Some(lifetime);
        self
    }

    /// In this direction, at most so many bytes a second; a tenth of it may go at once.
    #[must_use]
    pub fn rate(mut self, direction: Direction, bytes_per_second: u64) -> Self {
        match direction {
            Direction::AToB => self.duplex.a_to_b.flow.rare().rate = Some(bytes_per_second),
            Direction::BToA => self.duplex.b_to_a.flow.rare().rate = Some(bytes_per_second),
        }
        self
    }

    /// In this direction, and in all others that were given this rate, together at most what it
    /// allows.
    #[must_use]
    pub fn shared_rate(mut self, direction: Direction, rate: &SharedRate) -> Self {
        let share = Some(Share::new(rate.clone()));
        match direction {
            Direction::AToB => self.duplex.a_to_b.flow.rare().share = share,
            Direction::BToA => self.duplex.b_to_a.flow.rare().share = share,
        }
        self
    }

    /// In this direction these bytes go first: what was read from the end before.
    #[must_use]
    pub fn prefix(mut self, direction: Direction, bytes: Vec<u8>) -> Self {
        match direction {
            Direction::AToB => self.duplex.a_to_b.flow.prefix(bytes),
            Direction::BToA => self.duplex.b_to_a.flow.prefix(bytes),
        }
        self
    }

    /// In this direction, the mirror gets every byte too, and before the sink does. It is closed
    /// with this, or when it is left.
    #[must_use]
    pub fn mirror(mut self, direction: Direction, mirror: Mirror) -> Self {
        match direction {
            Direction::AToB => self.duplex.a_to_b.flow.mirror_to(mirror),
            Direction::BToA => self.duplex.b_to_a.flow.mirror_to(mirror),
        }
        self
    }

    /// What the mirror of this direction got; nothing where there is none.
    #[must_use]
    pub fn mirrored(&self, direction: Direction) -> Mirrored {
        match direction {
            Direction::AToB => self.duplex.a_to_b.flow.mirrored(),
            Direction::BToA => self.duplex.b_to_a.flow.mirrored(),
        }
    }

    /// Only these routes, whatever `FDFLOW_DENY` says.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.duplex.a_to_b.flow.core = self.duplex.a_to_b.flow.core.routes(routes);
        self.duplex.b_to_a.flow.core = self.duplex.b_to_a.flow.core.routes(routes);
        self
    }

    /// Whether a reset of one end resets the other, once that has acknowledged all that it was
    /// given. It does unless this says no; then the ends are left as they are.
    #[must_use]
    pub fn pass_resets(mut self, pass: bool) -> Self {
        self.duplex.options().keep_resets = !pass;
        self
    }

    /// Counters of one direction, to be read while it runs.
    #[must_use]
    pub fn counters(&self, direction: Direction) -> Counters {
        match direction {
            Direction::AToB => self.duplex.a_to_b.flow.counters(),
            Direction::BToA => self.duplex.b_to_a.flow.counters(),
        }
    }

    /// Count in these counters, which may have counted before: a flow that was taken apart and
    /// goes on is one flow to who looks at it.
    #[must_use]
    pub fn count_in(mut self, direction: Direction, counters: Counters) -> Self {
        match direction {
            Direction::AToB => self.duplex.a_to_b.flow.count_in(counters),
            Direction::BToA => self.duplex.b_to_a.flow.count_in(counters),
        }
        self
    }

    /// Whether both directions are open, wait for their sources and have nothing on its way: then
    /// nothing is lost if it is taken apart, and made anew from the ends when one of them has
    /// something to say.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        let Duplex { a_to_b, b_to_a, failure, .. } = &self.duplex;
        failure.is_none() && a_to_b.is_quiet() && b_to_a.is_quiet()
    }

    /// The direction that ended first: its sink has everything and has been told.
    #[must_use]
    pub fn first_closed(&self) -> Option<Direction> {
        self.duplex.first_closed
    }

    /// What both directions have done so far.
    #[must_use]
    pub fn reports(&self) -> Both<Report> {
        self.duplex.reports()
    }

    /// Moves bytes until both directions have ended.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time: another run goes on where it stopped.
    ///
    /// # Errors
    ///
    /// The first error of either direction, or a timeout. Bytes that were taken and not given are
    /// kept ([`into_parts`](Self::into_parts)).
    pub async fn run(&mut self) -> Result<Both<Report>, BidirectionalError> {
        self.duplex.is_running = false;
        poll_fn(|cx| self.poll_run(cx)).await
    }

    /// As [`run`](Self::run), for who polls by hand and looks at it in between: begins a run where
    /// none is going on. The task that polls is woken when there is more to do.
    ///
    /// # Errors
    ///
    /// Those of [`run`](Self::run).
    pub fn poll_run(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Both<Report>, BidirectionalError>> {
        if !self.duplex.is_running {
            self.duplex.begin();
            self.duplex.is_running = true;
        }
        let ended = ready!(self.duplex.poll_run(cx));
        self.duplex.is_running = false;
        Poll::Ready(self.duplex.ended(ended))
    }

    /// Gives the ends back, with what was taken and not given.
    #[must_use]
    pub fn into_parts(self) -> BidirectionalParts<A, B> {
        let Duplex { a, b, a_to_b, b_to_a, .. } = self.duplex;
        let (first, first_report) = a_to_b.flow.take_apart();
        let (second, second_report) = b_to_a.flow.take_apart();
        let alone = "the two flows were the only other holders, and they are gone";
        BidirectionalParts {
            a: Arc::into_inner(a).expect(alone),
            b: Arc::into_inner(b).expect(alone),
            undelivered: Both { a_to_b: first, b_to_a: second },
            reports: Both { a_to_b: first_report, b_to_a: second_report },
        }
    }
}
