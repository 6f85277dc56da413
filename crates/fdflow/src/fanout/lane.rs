//! The way to one sink: a pipe, a thread that empties it into the sink, and the account of it.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use super::Lag;
use super::report::{Gap, SinkEnd, SinkReport};
use crate::cancel::Cancel;
use crate::error::TransferError;
use crate::pipe::{Pipe, WriteEnd};
use crate::report::Report;
use crate::source::Sink;
use crate::stage::WIDE;
use crate::sys::never_wait;
use crate::transfer::Transfer;

/// So many gaps are told one by one.
const GAPS: usize = 1024;

/// What a lane's thread says when it is done: which lane, how it went.
pub(super) type Ended = (usize, Option<TransferError>, Report);

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) lag: Lag,
    linger: Duration,
    /// The write end of its pipe; `None` once nothing more is to go there.
    pub(super) feed: Option<WriteEnd>,
    /// So many of the bytes at the head has it got already.
    pub(super) ahead: u64,
    /// Whether it took nothing when it was last offered some.
    pub(super) refuses: bool,
    /// Since when it holds the others up, or takes nothing.
    pub(super) since: Option<Instant>,
    /// Bytes that went into its pipe.
    accepted: u64,
    /// Bytes that its sink has taken, and how many of them were seen at `since`.
    taken: Arc<AtomicU64>,
    seen: u64,
    gaps: Vec<Gap>,
    missed: u64,
    cancel: Option<Cancel>,
    end: Option<SinkEnd>,
    report: Option<Report>,
}

impl Lane {
    /// A pipe for `sink`, and a thread that empties it.
    pub(super) fn open<'s, 'a: 's>(
        scope: &'s Scope<'s, '_>,
        index: usize,
        sink: Box<dyn Sink + Send + 'a>,
        lag: Lag,
        linger: Duration,
        end: Sender<Ended>,
    ) -> io::Result<Self> {
        let room = match lag {
            Lag::DetachBeyond(bytes) | Lag::DropBeyond(bytes) => bytes.max(WIDE),
            Lag::Block | Lag::DetachAfter(_) => WIDE,
        };
        let (reader, feed) = Pipe::with_capacity(room)?.split();
        never_wait(feed.as_fd())?;
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let mut transfer = Transfer::new(reader, sink)
            .observe(move |progress| count.store(progress.bytes, Ordering::Relaxed));
        let cancel = match lag {
            Lag::Block => None,
            _ => Some(transfer.cancel_handle()?),
        };
        Builder::new().spawn_scoped(scope, move || {
            let error = transfer.run().err();
            let parts = transfer.into_parts();
            // Closes both: the hub sees the pipe broken, and the far end of an owned sink its end.
            drop((parts.source, parts.sink));
            drop(end.send((index, error, parts.report)));
        })?;
        Ok(Self {
            lag,
            linger,
            feed: Some(feed),
            ahead: 0,
            refuses: false,
            since: None,
            accepted: 0,
            taken,
            seen: 0,
            gaps: Vec::new(),
            missed: 0,
            cancel,
            end: None,
            report: None,
        })
    }

    /// How many bytes may be put into its pipe now.
    pub(super) fn may_take(&self) -> u64 {
        let behind = self.accepted.saturating_sub(self.taken.load(Ordering::Relaxed));
        match self.lag {
            Lag::DetachBeyond(most) | Lag::DropBeyond(most) => (most as u64).saturating_sub(behind),
            Lag::Block | Lag::DetachAfter(_) => u64::MAX,
        }
    }

    /// Whether the head has to stay where it is until this lane has got something of it.
    pub(super) fn holds_up(&self) -> bool {
        self.feed.is_some() && self.ahead == 0 && !matches!(self.lag, Lag::DropBeyond(_))
    }

    pub(super) fn accept(&mut self, n: u64) {
        self.accepted += n;
        self.ahead += n;
        self.refuses = false;
        self.since = None;
    }

    /// It did not take anything: what its policy says to that.
    pub(super) fn refuse(&mut self) {
        self.refuses = true;
        let since = *self.since.get_or_insert_with(Instant::now);
        match self.lag {
            Lag::DetachAfter(most) if since.elapsed() >= most => self.detach(SinkEnd::TooSlow),
            Lag::DetachBeyond(_) => self.detach(SinkEnd::TooFarBehind),
            _ => {}
        }
    }

    /// How much longer the others wait for it; `None`: for ever.
    pub(super) fn patience(&self) -> Option<Duration> {
        let most = match self.lag {
            Lag::Block => return None,
            Lag::DetachAfter(most) => most,
            Lag::DetachBeyond(_) | Lag::DropBeyond(_) => self.linger,
        };
        Some(most.saturating_sub(self.since.map_or(Duration::ZERO, |since| since.elapsed())))
    }

    /// The head moves on by `n` bytes, the first of them at `at`.
    pub(super) fn head_moves(&mut self, at: u64, n: u64) {
        let missed = n.saturating_sub(self.ahead);
        let from = at + self.ahead.min(n);
        self.ahead = self.ahead.saturating_sub(n);
        if missed == 0 || self.feed.is_none() {
            return;
        }
        self.missed += missed;
        if let Some(last) = self.gaps.last_mut()
            && last.at + last.bytes == from
        {
            last.bytes += missed;
        } else if self.gaps.len() < GAPS {
            self.gaps.push(Gap { at: from, bytes: missed });
        }
    }

    /// Nothing more goes to it, nor need it take what it was given.
    pub(super) fn detach(&mut self, why: SinkEnd) {
        self.feed = None;
        self.end.get_or_insert(why);
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    /// The source has ended: its pipe runs dry now.
    pub(super) fn close(&mut self) {
        self.feed = None;
        self.since = Some(Instant::now());
        self.seen = self.taken.load(Ordering::Relaxed);
    }

    pub(super) fn is_done(&self) -> bool {
        self.report.is_some()
    }

    /// After the source's end: detaches it if it has taken nothing for too long.
    pub(super) fn look_after(&mut self) {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken != self.seen {
            (self.seen, self.since) = (taken, Some(Instant::now()));
        }
        if !self.is_done() && self.end.is_none() && self.patience() == Some(Duration::ZERO) {
            self.detach(SinkEnd::TooSlow);
        }
    }

    /// Its thread is done.
    pub(super) fn ended(&mut self, error: Option<TransferError>, report: Report) {
        if let Some(error) = error {
            self.end.get_or_insert(SinkEnd::Failed(error));
        }
        self.report = Some(report);
    }

    pub(super) fn is_detached(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn into_report(self) -> SinkReport {
        let report = self.report.unwrap_or_default();
        let bytes = report.bytes();
        let unsent = self.accepted.saturating_sub(bytes);
        // One that came to the end of its pipe before it could be stopped is detached all the same
        // if it missed what came after.
        let end = self.end.unwrap_or(SinkEnd::Complete);
        SinkReport { bytes, gaps: self.gaps, missed: self.missed, unsent, end, report }
    }
}
