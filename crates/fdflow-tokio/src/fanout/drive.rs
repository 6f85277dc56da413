//! Driving a fan-out: the source into the hub, the hub, each lane into its sink, in turns.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fdflow::sys::SigpipeGuard;
use fdflow::{FanoutError, FanoutReport, Hub, HubStep, Lag, ReadEnd, TransferError, WriteEnd};
use tokio::time::Instant;

use super::AnySink;
use super::within::Within;
use crate::counters::Counters;
use crate::end::AsyncSource;
use crate::flow::Flow;
use crate::timer::Timer;

/// So many turns of everybody before other tasks have theirs.
const TURNS: u32 = 2;

type Feed<S> = Flow<Arc<S>, Arc<Within<WriteEnd>>>;
type Lane<'a> = Flow<Arc<Within<ReadEnd>>, AnySink<'a>>;

pub(super) struct Running<'a, S> {
    /// Until the source has ended.
    feed: Option<Feed<S>>,
    hub: Hub,
    /// Each until its sink has everything, fails or is detached.
    lanes: Vec<Option<Lane<'a>>>,
    /// What the hub has last said.
    said: HubStep,
    /// The lanes' pipes run dry, no more is relayed.
    closing: bool,
    /// Bytes that the source gave.
    taken: u64,
    /// The first error, of the source or of the hub, and what was taken and not relayed.
    failed: Option<io::Error>,
    rest: Vec<u8>,
    timer: Timer,
}

impl<'a, S: AsyncSource> Running<'a, S> {
    pub(super) fn begin(
        source: &Arc<S>,
        sinks: &mut Vec<(AnySink<'a>, Lag)>,
        (limit, linger): (Option<u64>, Duration),
        counters: &Counters,
    ) -> Result<Self, FanoutError> {
        let (mut hub, inlet) = Hub::open()?;
        let mut feed = Flow::new(Arc::clone(source), Arc::new(Within(inlet)));
        if let Some(limit) = limit {
            feed.core = feed.core.limit(limit);
        }
        feed.counters = counters.clone();
        let begun = feed.begin();
        let mut lanes = Vec::new();
        let clock = || Instant::now().into_std();
        for (sink, lag) in sinks.drain(..) {
            let (outlet, observer) = hub.attach(lag, linger, clock)?;
            let mut lane = Flow::new(Arc::new(Within(outlet)), sink);
            lane.observer = Some(Box::new(observer));
            lanes.push(Some(lane));
        }
        let said = HubStep::Dry;
        let (failed, rest, timer) = (None, Vec::new(), Timer::default());
        let mut running = Self {
            feed: Some(feed),
            hub,
            lanes,
            said,
            closing: false,
            taken: 0,
            failed,
            rest,
            timer,
        };
        if let Err(error) = begun {
            running.end_feed(Some(error));
        }
        running.begin_lanes();
        if running.lanes.iter().all(Option::is_none) {
            // Nobody to have any bytes: none are taken.
            running.close(None);
        }
        Ok(running)
    }

    fn begin_lanes(&mut self) {
        for at in 0..self.lanes.len() {
            if let Some(Err(error)) = self.lanes[at].as_mut().map(Flow::begin) {
                self.end_lane(at, Some(error));
            }
        }
    }

    /// Ready when every sink has what it is to get.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..TURNS {
            let before = self.mark();
            self.poll_feed(cx);
            self.relay();
            self.poll_lanes(cx);
            if self.closing && self.lanes.iter().all(Option::is_none) {
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
    fn mark(&self) -> (u64, usize, bool) {
        let feed = self.feed.as_ref().map_or(0, |feed| moved(feed.core.ledger()));
        let lanes = self.lanes.iter().flatten();
        let moved = lanes.map(|lane| moved(lane.core.ledger())).sum::<u64>();
        let ends = self.lanes.iter().flatten().count() + usize::from(self.feed.is_some());
        (feed + self.hub.relayed() + moved, ends, self.closing)
    }

    fn poll_feed(&mut self, cx: &mut Context<'_>) {
        if let Some(Poll::Ready(ended)) = self.feed.as_mut().map(|feed| feed.poll(cx)) {
            self.end_feed(ended.err());
        }
    }

    /// Closes the hub's pipe: the hub comes to the end.
    fn end_feed(&mut self, error: Option<TransferError>) {
        if let Some(feed) = self.feed.take() {
            let (_, _, undelivered, report) = feed.take_apart();
            self.taken = report.bytes() + undelivered.len() as u64;
            self.rest = undelivered;
            self.failed = self.failed.take().or(error.map(io::Error::from));
        }
    }

    fn relay(&mut self) {
        let _guard = SigpipeGuard::new();
        while !self.closing {
            match self.hub.step() {
                Ok(HubStep::Moved) => continue,
                Ok(HubStep::Ended) => self.close(None),
                Ok(step) => self.said = step,
                Err(error) => self.close(Some(error)),
            }
            return;
        }
    }

    fn close(&mut self, error: Option<io::Error>) {
        if let Some(error) = error {
            self.failed = Some(error);
        }
        self.end_feed(None);
        let mut rest = self.hub.rest();
        rest.append(&mut self.rest);
        self.rest = rest;
        self.hub.close();
        self.closing = true;
    }

    fn poll_lanes(&mut self, cx: &mut Context<'_>) {
        for at in 0..self.lanes.len() {
            let Some(lane) = &mut self.lanes[at] else { continue };
            if self.hub.is_detached(at) {
                self.end_lane(at, None);
            } else if let Poll::Ready(ended) = lane.poll(cx) {
                self.end_lane(at, ended.err());
            }
        }
    }

    /// Drops its sink.
    fn end_lane(&mut self, at: usize, error: Option<TransferError>) {
        if let Some(mut lane) = self.lanes[at].take() {
            self.hub.ended(at, error, lane.ended());
        }
    }

    /// Ready when a sink has been waited for as long as it may be.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let most = match (self.closing, self.said) {
            (true, _) => self.hub.look_after(),
            (false, HubStep::Held) => self.hub.patience(),
            (false, _) => None,
        };
        let detached = |at: usize| self.lanes[at].is_some() && self.hub.is_detached(at);
        if (0..self.lanes.len()).any(detached) {
            return Poll::Ready(());
        }
        match most.and_then(|most| Instant::now().checked_add(most)) {
            Some(deadline) => self.timer.poll(deadline, cx),
            None => Poll::Pending,
        }
    }

    pub(super) fn conclude(self) -> Result<FanoutReport, FanoutError> {
        let report = self.hub.into_report(self.taken);
        report.conclude(self.failed, || self.rest)
    }
}

/// Grows with every byte that is taken or given.
fn moved(ledger: fdflow::Ledger) -> u64 {
    ledger.taken() + ledger.given()
}
