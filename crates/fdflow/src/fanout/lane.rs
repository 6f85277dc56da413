//! The way to one sink: a pipe, a thread that empties it into the sink, and the account of it.

mod thread;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Lag;
use super::account::Account;
use super::report::{Gap, SinkEnd, SinkReport};
use crate::cancel::Cancel;
use crate::error::TransferError;
use crate::pipe::{Pipe, ReadEnd, WriteEnd};
use crate::progress::Progress;
use crate::report::Report;
use crate::source::Sink;
use crate::stage::WIDE;
use crate::sys::never_wait;
use crate::transfer::Transfer;
pub(super) use thread::Over;

/// So many gaps are told one by one.
const GAPS: usize = 1024;

/// What empties a lane's pipe into its sink.
type Outlet<'a> = Box<Transfer<ReadEnd, Box<dyn Sink + Send + 'a>>>;

/// How long a sink may take nothing after the source's end.
#[derive(Debug, Clone, Copy)]
pub struct Linger {
    /// One that nobody waits for.
    pub others: Duration,
    /// One that everybody waits for; `None`: for ever.
    pub block: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Lane<'a> {
    pub(super) lag: Lag,
    linger: Linger,
    /// Whether the source has ended.
    last: bool,
    /// The write end of its pipe; `None` once nothing more is to go there.
    pub(super) feed: Option<WriteEnd>,
    /// So many of the bytes at the head has it got already.
    pub(super) ahead: u64,
    /// Whether it took nothing when it was last offered some.
    pub(super) refuses: bool,
    /// What its sink had taken when its pipe was full, and whether the system said so just now.
    full_at: Option<u64>,
    asked: bool,
    /// Whether its pipe is emptied by the task of the hub, so that it cannot be emptier than told.
    in_step: bool,
    /// Since when it holds the others up, or takes nothing.
    since: Option<Instant>,
    /// What time it is: not everyone's clock is the system's.
    clock: fn() -> Instant,
    /// What it was given, has taken and has missed.
    account: Account,
    /// What its sink had taken at `since`.
    seen: u64,
    gaps: Vec<Gap>,
    /// Where the latest gap ends.
    missed_to: u64,
    cancel: Option<Cancel>,
    /// Whether its thread is to give up rather than to stop.
    detached: Arc<AtomicBool>,
    end: Option<SinkEnd>,
    /// Between two runs; during one it is on its thread.
    outlet: Option<Outlet<'a>>,
    runs: bool,
    report: Option<Report>,
}

impl<'a> Lane<'a> {
    /// A lane whose pipe somebody else empties.
    pub(super) fn with(lag: Lag, linger: Linger, feed: WriteEnd) -> Self {
        Self {
            lag,
            linger,
            last: false,
            feed: Some(feed),
            ahead: 0,
            refuses: false,
            full_at: None,
            asked: false,
            in_step: false,
            since: None,
            clock: Instant::now,
            account: Account::default(),
            seen: 0,
            gaps: Vec::new(),
            missed_to: 0,
            cancel: None,
            detached: Arc::default(),
            end: None,
            outlet: None,
            runs: false,
            report: None,
        }
    }

    /// Its pipe is emptied by a driver, which tells the observer what the sink was given, and
    /// then [that it is over](Self::left).
    pub(super) fn driven(
        &mut self,
        account: Account,
        clock: fn() -> Instant,
    ) -> impl FnMut(Progress) + Send + use<> {
        (self.clock, self.runs, self.account) = (clock, true, account.clone());
        self.in_step = true;
        move |progress| account.took_up_to(progress.bytes)
    }

    /// The driver is done with its sink.
    pub(super) fn left(&mut self, error: Option<TransferError>, report: Report) {
        self.shut();
        self.conclude(error, report);
    }

    fn conclude(&mut self, error: Option<TransferError>, report: Report) {
        self.runs = false;
        if let Some(error) = error {
            self.end.get_or_insert(SinkEnd::Failed(error));
        }
        self.report = Some(report);
    }

    fn waited(&self) -> Duration {
        let since = self.since.map(|since| (self.clock)().saturating_duration_since(since));
        since.unwrap_or_default()
    }

    /// How many bytes may be put into its pipe now.
    pub(super) fn may_take(&self) -> u64 {
        match self.lag {
            Lag::DetachBeyond(most) | Lag::DropBeyond(most) => {
                (most as u64).saturating_sub(self.account.behind())
            }
            Lag::Block | Lag::DetachAfter(_) => u64::MAX,
        }
    }

    /// Whether the head has to stay where it is until this lane has got something of it.
    pub(super) fn holds_up(&self) -> bool {
        self.feed.is_some() && self.ahead == 0 && !matches!(self.lag, Lag::DropBeyond(_))
    }

    /// Somebody else empties its pipe, between two turns of the hub.
    #[cfg(test)]
    pub(super) fn keep_in_step(&mut self) {
        self.in_step = true;
    }

    /// Somebody else empties its pipe, and its sink has taken so many bytes.
    #[cfg(test)]
    pub(super) fn saw_taken(&self, bytes: u64) {
        self.account.took_up_to(bytes);
    }

    pub(super) fn accept(&mut self, n: u64) {
        self.account.accept(n);
        self.ahead += n;
        self.refuses = false;
        self.since = None;
        self.full_at = None;
    }

    /// Whether its pipe was full when it was last asked, and nothing has left it since.
    pub(super) fn is_as_full_as_before(&self) -> bool {
        // One that is empty is not full, whatever was said: it is asked again.
        self.in_step && self.full_at == Some(self.account.taken()) && self.account.behind() > 0
    }

    /// It is asked again, come what may.
    pub(super) fn forget_fullness(&mut self) {
        self.full_at = None;
    }

    /// Whether it was the system that said no when it last refused.
    pub(super) fn was_asked(&self) -> bool {
        self.asked
    }

    /// It did not take anything: what its policy says to that. `asked`: the system said so.
    pub(super) fn refuse(&mut self, asked: bool) {
        (self.refuses, self.asked) = (true, asked);
        if asked {
            self.full_at = Some(self.account.taken());
        }
        self.since.get_or_insert_with(self.clock);
        match self.lag {
            Lag::Block | Lag::DetachAfter(_) if self.patience() == Some(Duration::ZERO) => {
                self.detach(SinkEnd::TooSlow);
            }
            Lag::DetachBeyond(_) => self.detach(SinkEnd::TooFarBehind),
            _ => {}
        }
    }

    /// How much longer the others wait for it; `None`: for ever.
    pub(super) fn patience(&self) -> Option<Duration> {
        let most = match self.lag {
            Lag::Block if self.last => self.linger.block?,
            Lag::Block => return None,
            Lag::DetachAfter(most) => most,
            Lag::DetachBeyond(_) | Lag::DropBeyond(_) => self.linger.others,
        };
        Some(most.saturating_sub(self.waited()))
    }

    /// The head moves on by `n` bytes, the first of them at `at`.
    pub(super) fn head_moves(&mut self, at: u64, n: u64) {
        let missed = n.saturating_sub(self.ahead);
        let from = at + self.ahead.min(n);
        self.ahead = self.ahead.saturating_sub(n);
        if missed == 0 || self.feed.is_none() {
            return;
        }
        let opens = self.missed_to != from || self.gaps.is_empty();
        self.missed_to = from + missed;
        self.account.miss(missed, opens);
        let told = self.gaps.len();
        match self.gaps.last_mut() {
            Some(last) if last.at + last.bytes == from => last.bytes += missed,
            _ if told < GAPS => self.gaps.push(Gap { at: from, bytes: missed }),
            _ => {}
        }
    }

    /// Nothing more goes into its pipe.
    pub(super) fn shut(&mut self) {
        self.feed = None;
        self.account.close();
    }

    /// Nothing more goes to it, nor need it take what it was given.
    pub(super) fn detach(&mut self, why: SinkEnd) {
        self.shut();
        self.end.get_or_insert(why);
        self.detached.store(true, Ordering::Release);
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    /// The source has ended: what it holds up from now on are the last bytes.
    pub(super) fn last_bytes(&mut self) {
        if !self.last && self.lag == Lag::Block {
            self.since = self.since.map(|_| (self.clock)());
        }
        self.last = true;
    }

    /// Everything was relayed: its pipe runs dry now.
    pub(super) fn close(&mut self) {
        self.shut();
        self.last = true;
        self.since = Some((self.clock)());
        self.seen = self.account.taken();
    }

    /// After the source's end: detaches it if it has taken nothing for too long.
    pub(super) fn look_after(&mut self) {
        let taken = self.account.taken();
        if taken != self.seen {
            (self.seen, self.since) = (taken, Some((self.clock)()));
        }
        if self.runs && self.end.is_none() && self.patience() == Some(Duration::ZERO) {
            self.detach(SinkEnd::TooSlow);
        }
    }

    pub(super) fn runs(&self) -> bool {
        self.runs
    }

    pub(super) fn is_detached(&self) -> bool {
        self.end.is_some()
    }

    /// A lane that comes when the head is at `at`: what was before, it has missed.
    pub(super) fn joins_at(&mut self, at: u64) {
        self.head_moves(0, at);
    }

    pub(super) fn report(&self) -> SinkReport {
        let stopped = self.outlet.as_ref().map(|outlet| outlet.report().clone());
        let end = match &self.end {
            Some(end) => end.clone(),
            // One that came to the end of its pipe before it could be stopped is detached all the
            // same if it missed what came after.
            None if self.outlet.is_none() => SinkEnd::Complete,
            None => SinkEnd::Cancelled,
        };
        let report = self.report.clone().or(stopped).unwrap_or_default();
        let bytes = report.bytes();
        let unsent = self.account.accepted().saturating_sub(bytes);
        let missed = self.account.missed();
        SinkReport { bytes, gaps: self.gaps.clone(), missed, unsent, end, report }
    }
}

/// A pipe for a lane, whose write end does not block.
pub(super) fn pipe_for(lag: Lag) -> io::Result<(ReadEnd, WriteEnd)> {
    let room = match lag {
        Lag::DetachBeyond(bytes) | Lag::DropBeyond(bytes) => bytes.max(WIDE),
        Lag::Block | Lag::DetachAfter(_) => WIDE,
    };
    let (reader, feed) = Pipe::with_capacity(room)?.split();
    never_wait(feed.as_fd())?;
    Ok((reader, feed))
}
