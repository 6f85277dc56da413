//! A pipe that gets every byte of a direction too.

use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fdflow::sys::SigpipeGuard;
use tokio::net::unix::pipe::Sender;
use tokio::time::Instant;

use crate::end::{AsyncSink, AsyncSource};
use crate::flow::Flow;
use crate::timer::Timer;

/// A pipe that gets every byte of a direction too, by `tee(2)` where it can be:
/// [`Bidirectional::mirror`](crate::Bidirectional::mirror).
///
/// It gets each byte before the sink does, so that a pipe that is full holds the direction up.
///
/// Nobody may keep the pipe locked: a splice from it straight into a file does for as long as the
/// disk takes, and whoever polls would stand still. Read from it, or splice from it into another
/// pipe first.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fdflow_tokio::{Bidirectional, Direction, Mirror};
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::{UnixStream, unix::pipe}};
///
/// let (mut client, a) = UnixStream::pair()?;
/// let (b, mut server) = UnixStream::pair()?;
/// let (sender, mut mirrored) = pipe::pipe()?;
/// let mut proxy = Bidirectional::new(a, b).mirror(Direction::AToB, Mirror::new(sender));
/// client.write_all(b"both see this").await?;
/// client.shutdown().await?;
/// server.shutdown().await?;
/// proxy.run().await?;
/// assert_eq!(proxy.mirrored(Direction::AToB).bytes, 13);
/// drop(proxy); // closes the pipe
///
/// let (mut one, mut other) = (String::new(), String::new());
/// server.read_to_string(&mut one).await?;
/// mirrored.read_to_string(&mut other).await?;
/// assert_eq!((&*one, &*other), ("both see this", "both see this"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Mirror {
    to: Sender,
    patience: Option<Duration>,
    skip: u64,
}

impl Mirror {
    /// For the runtime that the pipe is registered with.
    #[must_use]
    pub fn new(to: Sender) -> Self {
        Self { to, patience: None, skip: 0 }
    }

    /// Leave it once it has taken nothing for so long while it held the direction up. Unless this
    /// is set, the direction waits for it for ever.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// The first `bytes` bytes are not for it.
    #[must_use]
    pub fn skip(mut self, bytes: u64) -> Self {
        self.skip = bytes;
        self
    }
}

/// What became of a mirror.
#[derive(Debug, Default)]
pub struct Mirrored {
    /// So many bytes it got: those that the direction took, skipped ones left out, without a gap
    /// from the first one on.
    pub bytes: u64,
    /// Why it was left; `None` where there is nothing that it has missed.
    pub left: Option<io::Error>,
}

/// A mirror at work.
#[derive(Debug)]
pub(crate) struct Mirroring {
    /// `None` once it was left.
    to: Option<Sender>,
    patience: Option<Duration>,
    given: u64,
    left: Option<io::ErrorKind>,
    /// Since when it has taken nothing.
    since: Option<Instant>,
    timer: Timer,
}

impl Mirroring {
    /// A run begins: what it has been waited for before does not count.
    pub(crate) fn begin(&mut self) {
        (self.since, self.timer) = Default::default();
    }

    fn leave(&mut self, why: io::ErrorKind) {
        (self.to, self.left) = (None, Some(why));
    }

    /// Waits until it takes something; ready with whether it does.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        if let Some(to) = &self.to
            && let Poll::Ready(ready) = to.poll_writable(cx)
        {
            return Poll::Ready(ready.map(|()| true));
        }
        let Some(deadline) = self.patience.and_then(|patience| since.checked_add(patience)) else {
            return Poll::Pending;
        };
        self.timer.poll(deadline, cx).map(|()| Ok(false))
    }
}

impl<S: AsyncSource + Clone, D: AsyncSink + Clone> Flow<S, D> {
    pub(crate) fn mirror_to(&mut self, mirror: Mirror) {
        let Mirror { to, patience, skip } = mirror;
        self.core.begin_mirror(skip);
        let (given, left, since, timer) = (0, None, None, Timer::default());
        let mirroring = Mirroring { to: Some(to), patience, given, left, since, timer };
        self.rare().mirror = Some(Box::new(mirroring));
    }

    pub(crate) fn mirrored(&self) -> Mirrored {
        let mirror = self.mirroring();
        mirror.map_or_else(Mirrored::default, |mirror| Mirrored {
            bytes: mirror.given,
            left: mirror.left.map(|kind| match kind {
                io::ErrorKind::TimedOut => io::Error::new(
                    kind,
                    format!("it took nothing for {:?}", mirror.patience.unwrap_or_default()),
                ),
                _ => kind.into(),
            }),
        })
    }

    fn mirroring(&self) -> Option<&Mirroring> {
        self.rare.as_ref()?.mirror.as_deref()
    }

    /// Ready when the mirror has got some of the staged bytes, or is left.
    pub(crate) fn poll_mirror(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _guard = SigpipeGuard::new();
        while self.core.owes_mirror() {
            let Some(mirror) = self.rare.as_mut().and_then(|rare| rare.mirror.as_deref_mut())
            else {
                self.core.end_mirror();
                continue;
            };
            let Some(to) = &mirror.to else {
                self.core.end_mirror();
                continue;
            };
            let mut given = Ok(0);
            let core = &mut self.core;
            let asked = to.when_writable(&mut || match to.descriptor().map(|to| core.mirror(to)) {
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
                Some(other) => {
                    given = other;
                    Ok(())
                }
                None => Ok(()),
            });
            match (asked, given) {
                (Ok(()), Ok(n)) => {
                    mirror.given += n;
                    mirror.since = None;
                }
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {
                    match ready!(mirror.poll_room(cx)) {
                        Ok(true) => {}
                        Ok(false) => mirror.leave(io::ErrorKind::TimedOut),
                        Err(error) => mirror.leave(error.kind()),
                    }
                }
                (Err(error), _) | (_, Err(error)) => mirror.leave(error.kind()),
            }
        }
        Poll::Ready(())
    }
}
