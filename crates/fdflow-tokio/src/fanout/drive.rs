//! Driving a fan-out: the source into the hub, the hub, each lane into its sink, in turns.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use fdflow::sys::SigpipeGuard;
use fdflow::{FanoutError, FanoutReport, Hub, HubStep, Lag, TransferError};
use tokio::time::Instant;

use super::joiner::{Asked, Door};
use super::lanes::Lanes;
use super::within::Inlet;
use super::{Alone, AnySink, Terms};
use crate::counters::Counters;
use crate::end::{AsyncSink, AsyncSource};
use crate::flow::Flow;
use crate::timer::Timer;

/// So many turns of everybody before other tasks have theirs.
const TURNS: u32 = 2;

type Feed<S> = Driven<Arc<S>, Arc<Inlet>>;

/// A flow with the ends that it is lent.
pub(super) struct Driven<S, D> {
    pub(super) flow: Flow<S, D>,
    pub(super) ends: (S, D),
}

impl<S: AsyncSource + Clone, D: AsyncSink + Clone> Driven<S, D> {
    pub(super) fn new(source: S, sink: D) -> Self {
        Self { flow: Flow::new(source.clone(), sink.clone()), ends: (source, sink) }
    }

    pub(super) fn begin(&mut self) -> Result<(), TransferError> {
        self.flow.begin((&self.ends.0, &self.ends.1))
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        self.flow.poll((&self.ends.0, &self.ends.1), cx)
    }

    /// Grows with every byte that is taken or given.
    pub(super) fn moved(&self) -> u64 {
        let ledger = self.flow.core.ledger();
        ledger.taken() + ledger.given()
    }
}

pub(super) struct Running<'a, S> {
    /// Until the source has ended.
    feed: Option<Feed<S>>,
    lanes: Lanes<'a>,
    door: Arc<Door<'a>>,
    alone: Alone,
    /// What the hub has last said.
    said: HubStep,
    /// It is to end, whatever the source has.
    ending: bool,
    /// The lanes' pipes run dry, no more is relayed.
    closing: bool,
    /// Bytes that the source gave, and those of them that the hub got, once it has ended.
    taken: u64,
    given: u64,
    /// The first error, of the source or of the hub, and what was taken and not relayed.
    failed: Option<io::Error>,
    rest: Vec<u8>,
    timer: Timer,
}

impl<'a, S: AsyncSource> Running<'a, S> {
    pub(super) fn begin(
        source: &Arc<S>,
        sinks: &mut Vec<(AnySink<'a>, Lag)>,
        terms: Terms,
        door: &Arc<Door<'a>>,
        counters: &Counters,
    ) -> Result<Self, FanoutError> {
        let (mut hub, inlet) = Hub::open()?;
        if terms.alone == Alone::Drop {
            hub.drop_when_alone();
        }
        let mut feed = Driven::new(Arc::clone(source), Arc::new(Inlet::new(inlet)));
        if let Some(limit) = terms.limit {
            feed.flow.core = feed.flow.core.limit(limit);
        }
        feed.flow.count_in(counters.clone());
        feed.flow.rare().guarded = true;
        let begun = feed.begin();
        let mut lanes = Lanes::new(hub, terms.linger);
        for (sink, lag) in sinks.drain(..) {
            lanes.add(sink, lag)?;
        }
        let mut running = Self {
            feed: Some(feed),
            lanes,
            door: Arc::clone(door),
            alone: terms.alone,
            said: HubStep::Dry,
            ending: false,
            closing: false,
            taken: 0,
            given: 0,
            failed: None,
            rest: Vec::new(),
            timer: Timer::default(),
        };
        if let Err(error) = begun {
            running.end_feed(Some(error));
        }
        running.do_what_was_asked();
        if running.alone == Alone::End && running.lanes.are_done() {
            // Nobody to have any bytes: none are taken.
            running.close(None);
        }
        Ok(running)
    }

    /// Ready when every sink has what it is to get.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.door.answer(cx) {
            self.do_what_was_asked();
        }
        let _guard = SigpipeGuard::new();
        let polled = self.poll_turns(cx);
        self.door.show(self.lanes.hub.relayed(), self.lanes.hub.dropped());
        polled
    }

    fn do_what_was_asked(&mut self) {
        let Asked { newcomers, ends } = self.door.asked();
        newcomers.into_iter().for_each(|newcomer| self.lanes.admit(newcomer));
        self.lanes.dismiss();
        if ends && !self.ending {
            self.ending = true;
            self.lanes.hub.last_bytes();
            if let Some(feed) = &mut self.feed {
                // What it has taken is still given.
                feed.flow.core.set_limit(feed.flow.core.ledger().taken());
            }
        }
    }

    fn poll_turns(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            let before = self.mark();
            if !self.waits_for_somebody() {
                self.poll_feed(cx);
            }
            self.relay();
            self.lanes.poll(cx);
            if self.closing && self.lanes.are_done() {
                return Poll::Ready(());
            }
            if self.mark() == before && self.poll_patience(cx).is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Differs whenever something has moved or ended.
    fn mark(&self) -> (u64, (u64, u64), bool, bool) {
        let feed = self.feed.as_ref().map_or(0, Driven::moved);
        let lanes = self.lanes.mark();
        (feed + self.lanes.hub.relayed(), lanes, self.feed.is_some(), self.closing)
    }

    /// Nobody is there, and nothing is to be done about it.
    fn waits_for_somebody(&self) -> bool {
        self.alone == Alone::Wait && !self.ending && !self.closing && self.lanes.hub.is_alone()
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>) {
        if let Some(Poll::Ready(ended)) = self.feed.as_mut().map(|feed| feed.poll(cx)) {
            self.end_feed(ended.err());
        }
    }

    /// Closes the hub's pipe: the hub comes to the end.
    fn end_feed(&mut self, error: Option<TransferError>) {
        if let Some(feed) = self.feed.take() {
            let (undelivered, report) = feed.flow.take_apart();
            self.given = report.bytes();
            self.taken = self.given + undelivered.len() as u64;
            self.rest = undelivered;
            self.failed = self.failed.take().or(error.map(io::Error::from));
            self.lanes.hub.last_bytes();
            self.door.source_ended();
        }
    }

    /// One step at a time where there is something: the lanes are to pass it on before more comes,
    /// so that one whose sink takes everything is none that lags.
    fn relay(&mut self) {
        let (given, ended) = match &self.feed {
            Some(feed) => (feed.flow.core.ledger().given(), false),
            None => (self.given, true),
        };
        self.lanes.hub.fed(given, ended);
        while !self.closing {
            if self.waits_for_somebody() {
                self.said = HubStep::Dry;
                return self.end_without_anybody();
            }
            match self.lanes.hub.step() {
                Ok(HubStep::Moved) => return self.make_room(),
                // Or the last one has gone, and another may come.
                Ok(HubStep::Ended) if self.waits_for_somebody() => {}
                Ok(HubStep::Ended) => self.close(None),
                Ok(step) => {
                    self.said = step;
                    return;
                }
                Err(error) => self.close(Some(error)),
            }
        }
    }

    fn make_room(&self) {
        if let Some(feed) = &self.feed {
            feed.ends.1.has_room();
        }
    }

    /// Whoever came would find nothing.
    fn end_without_anybody(&mut self) {
        match self.lanes.hub.is_empty() {
            Ok(empty) if empty && self.feed.is_none() => self.close(None),
            Ok(_) => {}
            Err(error) => self.close(Some(error)),
        }
    }

    fn close(&mut self, error: Option<io::Error>) {
        if let Some(error) = error {
            self.failed = Some(error);
        }
        self.end_feed(None);
        let mut rest = self.lanes.hub.rest();
        rest.append(&mut self.rest);
        self.rest = rest;
        self.lanes.hub.close();
        self.closing = true;
        self.door.close();
    }

    /// Ready when a sink has been waited for as long as it may be.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let most = match (self.closing, self.said) {
            (true, _) => self.lanes.hub.look_after(),
            (false, HubStep::Held) => self.lanes.hub.patience(),
            (false, _) => None,
        };
        if self.lanes.has_detached() {
            return Poll::Ready(());
        }
        match most.and_then(|most| Instant::now().checked_add(most)) {
            Some(deadline) => self.timer.poll(deadline, cx),
            None => Poll::Pending,
        }
    }

    pub(super) fn conclude(self) -> Result<FanoutReport, FanoutError> {
        let served = match self.alone {
            Alone::End => self.lanes.have_served(),
            Alone::Drop => true,
            Alone::Wait => self.rest.is_empty(),
        };
        let report = self.lanes.hub.report(self.taken);
        report.conclude(self.failed, served, || self.rest)
    }
}
