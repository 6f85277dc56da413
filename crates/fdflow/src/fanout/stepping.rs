//! A fan-out for drivers that wait on their own: the hub, step by step, without threads.
//!
//! Such a driver puts the source's bytes into the end that [`Hub::open`] gives, empties the end
//! that [`Hub::attach`] gives into the sink, and makes a [`Hub::step`] whenever one of these has
//! moved something. None of these pipes ever blocks.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::Lag;
use super::account::Account;
use super::flow::denied;
use super::hub::{self, Turn};
use super::lane::{Lane, Linger, pipe_for};
use super::report::{FanoutError, FanoutReport, SinkEnd, SinkReport};
use crate::error::TransferError;
use crate::pipe::{Pipe, ReadEnd, WriteEnd};
use crate::progress::Progress;
use crate::report::Report;
use crate::stage::WIDE;
use crate::sys::{System, never_wait};

/// The middle of a fan-out, for drivers that wait on their own.
#[derive(Debug)]
pub struct Hub(hub::Hub<'static, System>);

/// What one step of a [`Hub`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubStep {
    /// Something, or a lane was detached.
    Moved,
    /// Nothing is there to be relayed.
    Dry,
    /// A lane that the others wait for takes nothing.
    Held,
    /// The source has ended and everything was relayed, or no lane is left.
    Ended,
}

impl Hub {
    /// A hub without lanes, and the end that the source's bytes go into.
    ///
    /// # Errors
    ///
    /// No pipe is to be had.
    pub fn open() -> io::Result<(Self, WriteEnd)> {
        let (reader, writer) = Pipe::with_capacity(WIDE)?.split();
        never_wait(reader.as_fd())?;
        never_wait(writer.as_fd())?;
        Ok((Self(hub::Hub::new(System, reader, Vec::new(), denied())), writer))
    }

    /// A lane more, the last one in the order of lanes: the end that is to be emptied into its sink,
    /// and the observer that has to be told what the sink was given.
    pub fn attach(
        &mut self,
        joins: Joins,
        linger: Linger,
        clock: fn() -> Instant,
    ) -> (ReadEnd, impl FnMut(Progress) + Send + use<>) {
        let Joins { lag, reader, feed, account } = joins;
        let mut lane = Lane::with(lag, linger, feed);
        let observer = lane.driven(account, clock);
        self.0.join(lane);
        (reader, observer)
    }

    /// What is relayed while no lane is attached goes to nobody, where it would be the end
    /// otherwise.
    pub fn drop_when_alone(&mut self) {
        self.0.drops = true;
    }

    /// Whether no lane is attached.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.0.is_alone()
    }

    /// Whether nothing is there to be relayed.
    ///
    /// # Errors
    ///
    /// Its pipe is broken.
    pub fn is_empty(&self) -> io::Result<bool> {
        self.0.is_empty()
    }

    /// Relays what is there, and never waits.
    ///
    /// # Errors
    ///
    /// One of its own pipes is broken.
    pub fn step(&mut self) -> io::Result<HubStep> {
        Ok(match self.0.turn()? {
            Turn::Moved => HubStep::Moved,
            Turn::AwaitsSource => HubStep::Dry,
            Turn::AwaitsLane if self.0.unstick()? => HubStep::Moved,
            Turn::AwaitsLane => HubStep::Held,
            Turn::Ended => HubStep::Ended,
        })
    }

    /// So many bytes were put into its pipe since the first one; `ended`: more will not come. To be
    /// told before every [`step`](Self::step), which need not ask the system then.
    pub fn fed(&mut self, given: u64, ended: bool) {
        self.0.fed(given, ended);
    }

    /// How many bytes were relayed.
    #[must_use]
    pub fn relayed(&self) -> u64 {
        self.0.at()
    }

    /// How much longer the lanes that hold the others up may do so; `None`: for ever.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.0.lanes.iter().filter(|lane| lane.holds_up()).filter_map(Lane::patience).min()
    }

    /// The source has ended; what it gave is still relayed.
    pub fn last_bytes(&mut self) {
        self.0.last_bytes();
    }

    /// Nothing more is relayed: the lanes' pipes run dry from now on.
    pub fn close(&mut self) {
        self.0.lanes.iter_mut().for_each(Lane::close);
    }

    /// After that, detaches lanes that have taken nothing for too long, and tells how much longer
    /// the others may; `None`: for ever.
    pub fn look_after(&mut self) -> Option<Duration> {
        self.0.lanes.iter_mut().for_each(Lane::look_after);
        let on_their_way = self.0.lanes.iter().filter(|lane| lane.runs() && !lane.is_detached());
        on_their_way.filter_map(Lane::patience).min()
    }

    /// Whether this lane need not take what it was given.
    #[must_use]
    pub fn is_detached(&self, lane: usize) -> bool {
        self.0.lanes.get(lane).is_none_or(Lane::is_detached)
    }

    /// This lane's sink takes nothing more: it has everything, has failed or was detached.
    pub fn ended(&mut self, lane: usize, error: Option<TransferError>, report: Report) {
        if let Some(lane) = self.0.lanes.get_mut(lane) {
            lane.left(error, report);
        }
    }

    /// This lane is to take nothing more, not even what it was given.
    pub fn detach(&mut self, lane: usize, why: SinkEnd) {
        if let Some(lane) = self.0.lanes.get_mut(lane) {
            lane.detach(why);
        }
    }

    /// The report of a lane that has ended. Nothing is left of it, and the last lane has its place.
    pub fn part_with(&mut self, lane: usize) -> SinkReport {
        self.0.lanes.swap_remove(lane).report()
    }
}

/// A pipe for a lane that is to be attached.
#[derive(Debug)]
pub struct Joins {
    lag: Lag,
    reader: ReadEnd,
    feed: WriteEnd,
    account: Account,
}

impl Joins {
    /// Makes the pipe.
    ///
    /// # Errors
    ///
    /// None is to be had.
    pub fn open(lag: Lag) -> io::Result<Self> {
        let (reader, feed) = pipe_for(lag)?;
        never_wait(reader.as_fd())?;
        Ok(Self { lag, reader, feed, account: Account::default() })
    }

    /// What will be known of the lane while it runs.
    #[must_use]
    pub fn account(&self) -> Account {
        self.account.clone()
    }
}

impl Hub {
    /// What was taken from the source and not relayed. Only after nobody writes any more.
    pub fn rest(&mut self) -> Vec<u8> {
        self.0.rest().unwrap_or_default()
    }

    /// What was done, of `taken` bytes that the source gave.
    #[must_use]
    pub fn report(&self, taken: u64) -> FanoutReport {
        self.0.report(taken)
    }

    /// How many bytes went to nobody.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }
}

impl FanoutReport {
    /// What it amounts to: an error of the hub's own, or of the source, or that no sink is left.
    ///
    /// # Errors
    ///
    /// One of these, with the `rest` that was taken and not relayed. `served`: that none of its
    /// sinks is complete is no error.
    #[doc(hidden)]
    pub fn conclude(
        self,
        failed: Option<io::Error>,
        served: bool,
        rest: impl FnOnce() -> Vec<u8>,
    ) -> Result<Self, FanoutError> {
        let nobody =
            !served && self.sinks.iter().all(|sink| !matches!(sink.end, SinkEnd::Complete));
        let no_sink = || io::Error::new(io::ErrorKind::BrokenPipe, "no sink is left");
        match failed.or_else(|| nobody.then(no_sink)) {
            Some(cause) => Err(FanoutError::new(cause, self, rest())),
            None => Ok(self),
        }
    }
}
