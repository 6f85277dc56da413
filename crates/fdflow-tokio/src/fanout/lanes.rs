//! The hub's lanes, each with the flow that empties it into its sink.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use fdflow::{Hub, Joins, Lag, Linger, SinkEnd, TransferError};
use tokio::time::Instant;

use super::AnySink;
use super::drive::Driven;
use super::joined::Ticket;
use super::joiner::Newcomer;
use super::within::Outlet;

type Lane<'a> = Driven<Arc<Outlet>, AnySink<'a>>;

pub(super) struct Lanes<'a> {
    pub(super) hub: Hub,
    /// In the order of the hub's: first those that stay, whose reports are kept, then those that
    /// joined, which are gone when they have ended.
    places: Vec<Place<'a>>,
    linger: Linger,
    /// Bytes that lanes moved which are gone.
    moved: u64,
    /// How many came and went.
    changes: u64,
    /// Whether one that joined has got all that it was to get.
    served: bool,
}

struct Place<'a> {
    /// Until its sink has everything, fails or is detached.
    lane: Option<Lane<'a>>,
    /// Of one that joined.
    ticket: Option<Ticket>,
    began: Instant,
}

impl<'a> Lanes<'a> {
    pub(super) fn new(hub: Hub, linger: Linger) -> Self {
        Self { hub, places: Vec::new(), linger, moved: 0, changes: 0, served: false }
    }

    /// A sink whose report is kept.
    pub(super) fn add(&mut self, sink: AnySink<'a>, lag: Lag) -> io::Result<()> {
        self.push(sink, Joins::open(lag)?, None);
        Ok(())
    }

    /// A sink that joins now.
    pub(super) fn admit(&mut self, newcomer: Newcomer<'a>) {
        let Newcomer { sink, joins, ticket } = newcomer;
        ticket.attached_at(self.hub.relayed());
        self.push(sink, joins, Some(ticket));
    }

    fn push(&mut self, sink: AnySink<'a>, joins: Joins, ticket: Option<Ticket>) {
        let clock = || Instant::now().into_std();
        let account = joins.account();
        let (end, observer) = self.hub.attach(joins, self.linger, clock);
        let mut lane = Driven::new(Arc::new(Outlet { end, account }), sink);
        let rare = lane.flow.rare();
        rare.observer = Some(Box::new(observer));
        rare.guarded = true;
        if let Some(ticket) = &ticket {
            lane.flow.count_in(ticket.counters());
        }
        let begun = lane.begin();
        self.places.push(Place { lane: Some(lane), ticket, began: Instant::now() });
        self.changes += 1;
        if let Err(error) = begun {
            self.end(self.places.len() - 1, Some(error));
        }
    }

    /// Those go that want to leave.
    pub(super) fn dismiss(&mut self) {
        // Backwards: the last one takes the place of one that goes.
        for at in (0..self.places.len()).rev() {
            if self.places[at].ticket.as_ref().is_some_and(Ticket::leaves) {
                self.hub.detach(at, SinkEnd::Left);
                self.end(at, None);
            }
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        let mut at = 0;
        while at < self.places.len() {
            let ended = self.poll_lane(at, cx);
            if ended.is_none_or(|error| self.end(at, error)) {
                at += 1;
            }
        }
    }

    /// `Some` where it takes nothing more.
    fn poll_lane(&mut self, at: usize, cx: &mut Context<'_>) -> Option<Option<TransferError>> {
        let lane = self.places[at].lane.as_mut()?;
        if self.hub.is_detached(at) {
            return Some(None);
        }
        match lane.poll(cx) {
            Poll::Ready(ended) => Some(ended.err()),
            Poll::Pending => None,
        }
    }

    /// Drops its sink. Whether its place stays.
    fn end(&mut self, at: usize, error: Option<TransferError>) -> bool {
        let place = &mut self.places[at];
        if let Some(mut lane) = place.lane.take() {
            self.moved += lane.moved();
            self.hub.ended(at, error, lane.flow.ended(place.began));
        }
        self.changes += 1;
        let Some(ticket) = place.ticket.take() else { return true };
        self.places.swap_remove(at);
        let report = self.hub.part_with(at);
        self.served |= matches!(report.end, SinkEnd::Complete);
        ticket.tell(report);
        false
    }

    /// Whether every sink has what it is to get.
    pub(super) fn are_done(&self) -> bool {
        self.places.iter().all(|place| place.lane.is_none())
    }

    /// Whether one that joined has got all that it was to get.
    pub(super) fn have_served(&self) -> bool {
        self.served
    }

    /// Whether one is detached and still to be ended.
    pub(super) fn has_detached(&self) -> bool {
        let detached = |at: usize| self.places[at].lane.is_some() && self.hub.is_detached(at);
        (0..self.places.len()).any(detached)
    }

    /// Differs whenever a lane has moved something, has come or gone.
    pub(super) fn mark(&self) -> (u64, u64) {
        let lanes = self.places.iter().filter_map(|place| place.lane.as_ref());
        (self.moved + lanes.map(Driven::moved).sum::<u64>(), self.changes)
    }
}

/// Those who wait for the end of a sink are told that there will be none.
impl Drop for Lanes<'_> {
    fn drop(&mut self) {
        for at in (0..self.places.len()).rev() {
            if self.places[at].ticket.is_some() {
                self.hub.detach(at, SinkEnd::Cancelled);
                self.end(at, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::joined::Joined;
    use super::*;
    use crate::counters::Counters;
    use crate::plain::Plain;

    fn newcomer<'a>() -> (Joined, Newcomer<'a>) {
        let joins = Joins::open(Lag::Block).unwrap();
        let (joined, ticket) = Joined::new(joins.account(), Counters::new(), Arc::default());
        (joined, Newcomer { sink: Arc::new(Plain::new(Vec::new())), joins, ticket })
    }

    #[test]
    fn h60_of_ten_thousand_who_join_and_leave_nothing_stays() {
        let (hub, _inlet) = Hub::open().unwrap();
        let linger = Linger { others: Duration::ZERO, block: None };
        let mut lanes = Lanes::new(hub, linger);
        lanes.add(Arc::new(Plain::new(Vec::new())), Lag::Block).unwrap();
        let (stays, first) = newcomer();
        lanes.admit(first);
        for _ in 0..10_000 {
            let (joined, next) = newcomer();
            lanes.admit(next);
            joined.leave();
            lanes.dismiss();
        }
        assert_eq!((lanes.places.len(), lanes.hub.report(0).sinks.len()), (2, 2));
        assert!(lanes.places.capacity() < 10 && stays.at() == Some(0));
        assert!(lanes.places[0].ticket.is_none() && lanes.places[1].ticket.is_some());
    }
}
