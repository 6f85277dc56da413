//! Someone who follows a recording.

use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use fdflow::{Operation, Routes, Side, TransferError};

use super::following::{Following, Stay};
use super::kept::Kept;
use super::piece::Piece;
use super::shared::Shared;
use super::timeline::Found;
use crate::end::AsyncSink;
use crate::plain::Plain;
use crate::transfer::Transfer;

/// So far behind the end bytes are in the page cache still: they were written just now.
const RECENT: u64 = 16 << 20;

/// Follows a recording into a sink: [`Recording::reader`](super::Recording::reader).
///
/// What is in the recording's files goes by sendfile where it can, at this reader's own place; a
/// reader that has come to the end waits for more.
///
/// * **Cancel safety.** [`run`](Self::run) may be dropped at any await; another goes on.
/// * **Gaps.** What is kept no longer, or never was, is skipped and counted, or ends it:
///   [`skips`](Self::skips).
/// * **Costs** no descriptor besides the sink's, but for one that all share who read the same older
///   file. Where the routes forbid sendfile and splice, a buffer.
/// * **Who keeps it** though it is not run, and be it at its end, keeps what it has not sent from being
///   removed where the recording [waits](super::RecordingOptions::waits).
#[derive(Debug)]
pub struct Reader<D> {
    stay: Stay,
    sink: Arc<D>,
    current: Option<Current<D>>,
    skips: bool,
    routes: Option<Routes>,
}

/// How following came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReaderEnd {
    /// The recording is over, and the sink has everything.
    Complete,
    /// Its next bytes are kept no longer, and it does not skip.
    Lost,
}

/// The file that it sends of.
#[derive(Debug)]
struct Current<D> {
    piece: Arc<Piece>,
    kept: Arc<Kept>,
    transfer: Transfer<Arc<Kept>, Arc<D>>,
    /// Where in the file it began.
    offset: u64,
    /// How many bytes it was told to send in all.
    limit: u64,
}

impl<D: AsyncSink> Current<D> {
    fn given(&self) -> u64 {
        self.transfer.ledger().given()
    }
}

impl<D: AsyncSink> Reader<D> {
    pub(super) fn new(stay: Stay, sink: D) -> Self {
        let sink = Arc::new(sink);
        Self { stay, sink, current: None, skips: false, routes: None }
    }

    /// Whether it goes on behind bytes that are not there; if not, which is the default, it ends
    /// with [`ReaderEnd::Lost`].
    #[must_use]
    pub fn skips(mut self, skips: bool) -> Self {
        self.skips = skips;
        self
    }

    /// Only these routes, whatever `FDFLOW_DENY` says.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes = Some(routes);
        self
    }

    /// How far it is, for others to see while it runs.
    #[must_use]
    pub fn following(&self) -> Following {
        Following::of(&self.stay)
    }

    /// The sink.
    #[must_use]
    pub fn sink(&self) -> &D {
        &self.sink
    }

    /// Gives the sink what there is, and what comes, until the recording is over.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time: another run goes on where it stopped.
    ///
    /// # Errors
    ///
    /// The sink fails, or a file of the recording can be read no longer.
    pub async fn run(&mut self) -> Result<ReaderEnd, TransferError> {
        let shared = Arc::clone(&self.stay.shared);
        loop {
            // There may be very many short files.
            tokio::task::coop::consume_budget().await;
            let at = self.stay.place.at();
            match shared.find(at) {
                (Found::Bytes { file, offset, length }, _) => {
                    self.send(&shared, file, offset, length).await?;
                }
                (Found::Missing { until }, _) if self.skips => {
                    self.stay.place.skip(until.saturating_sub(at));
                }
                (Found::Missing { .. }, _) => return Ok(ReaderEnd::Lost),
                (Found::End, true) => return Ok(ReaderEnd::Complete),
                (Found::End, false) => self.wait(&shared, at).await,
            }
        }
    }

    /// Waits for something other than the end, or for a file to be let go.
    async fn wait(&mut self, shared: &Shared, at: u64) {
        let mut news = pin!(shared.grown.notified());
        news.as_mut().enable();
        if self.current.as_ref().is_some_and(|current| current.piece.is_withdrawn()) {
            self.current = None;
        }
        if matches!(shared.find(at), (Found::End, false)) {
            news.await;
        }
    }

    /// Sends these bytes, or until they are withdrawn.
    async fn send(
        &mut self,
        shared: &Shared,
        piece: Arc<Piece>,
        offset: u64,
        length: u64,
    ) -> Result<(), TransferError> {
        let mut withdrawn = pin!(shared.withdrawn.notified());
        withdrawn.as_mut().enable();
        let current = match self.aim(&piece, offset, length) {
            Ok(current) => current,
            // It was removed meanwhile: there is something else to be found.
            Err(_) if piece.is_withdrawn() => return Ok(()),
            Err(cause) => return Err(self.unopened(cause)),
        };
        let (before, limit) = (current.given(), current.limit);
        let ended = {
            let mut run = pin!(current.transfer.run());
            let either = poll_fn(|cx| {
                if let Poll::Ready(ended) = run.as_mut().poll(cx) {
                    return Poll::Ready(Some(ended));
                }
                while !piece.is_withdrawn() {
                    if withdrawn.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    withdrawn.set(shared.withdrawn.notified());
                }
                Poll::Ready(None)
            });
            either.await
        };
        if piece.is_withdrawn() {
            // What was taken of it and not given is elsewhere, or not kept any more either.
            self.current = None;
        }
        let Some(ended) = ended else { return Ok(()) };
        ended?;
        match &self.current {
            Some(current) if current.given() == before && before < limit => Err(current.cut()),
            _ => Ok(()),
        }
    }

    /// A transfer that goes on there.
    fn aim(&mut self, piece: &Arc<Piece>, offset: u64, length: u64) -> io::Result<&mut Current<D>> {
        let goes_on = |current: &Current<D>| {
            Arc::ptr_eq(&current.piece, piece) && current.offset + current.given() == offset
        };
        let mut current = match self.current.take().filter(goes_on) {
            Some(current) => current,
            None => self.begin(piece.file()?, piece, offset),
        };
        let (at, shared) = (self.stay.place.at(), &self.stay.shared);
        // What was there before may have to be fetched from the disk.
        let is_recent = at >= shared.own && shared.end().saturating_sub(at) <= RECENT;
        current.kept.set_recent(is_recent);
        current.limit = current.given() + length;
        current.transfer.set_limit(current.limit);
        Ok(self.current.insert(current))
    }

    fn begin(&self, file: Arc<File>, piece: &Arc<Piece>, offset: u64) -> Current<D> {
        let kept = Arc::new(Kept::new(file));
        let transfer = Transfer::new(Arc::clone(&kept), Arc::clone(&self.sink));
        let transfer = transfer.source_offset(offset).count_in(self.stay.place.counters().clone());
        let transfer = match self.routes {
            Some(routes) => transfer.routes(routes),
            None => transfer,
        };
        Current { piece: Arc::clone(piece), kept, transfer, offset, limit: 0 }
    }

    /// The file that has its next bytes is not to be had.
    fn unopened(&self, cause: io::Error) -> TransferError {
        let nothing = Transfer::new(Plain::new(&b""[..]), Arc::clone(&self.sink));
        nothing.failed(Operation::Probe, Side::Source, cause)
    }
}

impl<D: AsyncSink> Current<D> {
    /// Somebody cut the file.
    fn cut(&self) -> TransferError {
        let message = "a file of the recording has fewer bytes than were written to it";
        let cause = io::Error::new(io::ErrorKind::UnexpectedEof, message);
        self.transfer.failed(Operation::Read, Side::Source, cause)
    }
}
