//! What the writer and the readers of a recording share.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::Start;
use super::following::Place;
use super::options::Kept;
use super::piece::Piece;
use super::segment::Segment;
use super::timeline::{Found, Timeline};
use crate::locked;

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Bytes from here on were written by this process.
    pub(super) own: u64,
    /// Told when bytes have come or are kept no longer, or of the end.
    pub(super) grown: Notify,
    /// Told when bytes are kept no longer, or elsewhere.
    pub(super) withdrawn: Notify,
}

#[derive(Debug)]
struct State {
    timeline: Timeline<Piece>,
    /// The files in order; the last is written to.
    segments: VecDeque<Arc<Segment>>,
    /// How many bytes are in all of them but the last.
    closed: u64,
    is_over: bool,
    /// Where the readers are.
    places: Vec<Arc<Place>>,
}

impl Shared {
    pub(super) fn new(timeline: Timeline<Piece>, segments: VecDeque<Arc<Segment>>) -> Self {
        let others = segments.len().saturating_sub(1);
        let closed = segments.iter().take(others).map(|segment| segment.length()).sum();
        let own = timeline.end();
        let state = State { timeline, segments, closed, is_over: false, places: Vec::new() };
        let (grown, withdrawn) = (Notify::new(), Notify::new());
        Self { state: Mutex::new(state), own, grown, withdrawn }
    }

    /// The next bytes are in this file. Which of the stream they are.
    pub(super) fn append(&self, n: u64, piece: &Arc<Piece>, offset: u64) -> u64 {
        let mut state = locked(&self.state);
        let at = state.timeline.end();
        state.timeline.append(at, n, piece, offset);
        drop(state);
        self.grown.notify_waiters();
        at
    }

    /// The first bytes of a stretch are in another file from now on.
    pub(super) fn move_to(&self, at: u64, n: u64, piece: &Arc<Piece>, offset: u64) {
        locked(&self.state).timeline.move_to(at, n, piece, offset);
    }

    /// What is in this piece is kept no longer, or elsewhere.
    pub(super) fn withdraw(&self, piece: &Arc<Piece>) {
        locked(&self.state).timeline.remove(piece);
        self.tell_of(piece);
    }

    /// Those who send some of it look again.
    fn tell_of(&self, piece: &Piece) {
        piece.withdraw();
        self.withdrawn.notify_waiters();
        self.grown.notify_waiters();
    }

    pub(super) fn find(&self, at: u64) -> (Found<Piece>, bool) {
        let state = locked(&self.state);
        (state.timeline.find(at), state.is_over)
    }

    /// Waits until something is there, or nothing ever will be.
    pub(super) async fn grown(&self, at: u64) {
        let mut grown = std::pin::pin!(self.grown.notified());
        loop {
            grown.as_mut().enable();
            if !matches!(self.find(at), (Found::End, false)) {
                return;
            }
            grown.as_mut().await;
            grown.set(self.grown.notified());
        }
    }

    pub(super) fn end(&self) -> u64 {
        locked(&self.state).timeline.end()
    }

    pub(super) fn start(&self) -> u64 {
        locked(&self.state).timeline.start()
    }

    pub(super) fn is_over(&self) -> bool {
        locked(&self.state).is_over
    }

    pub(super) fn finish(&self) {
        locked(&self.state).is_over = true;
        self.grown.notify_waiters();
    }

    /// Another file is written to.
    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        let mut state = locked(&self.state);
        state.closed += state.segments.back().map_or(0, |last| last.length());
        state.segments.push_back(segment);
    }

    /// Takes the oldest file out, if there is more than is kept.
    pub(super) fn expire(&self, kept: &Kept) -> Option<Arc<Segment>> {
        let mut state = locked(&self.state);
        if !state.is_too_much(kept) || (kept.waits && state.is_oldest_needed()) {
            return None;
        }
        let oldest = state.segments.pop_front()?;
        state.closed = state.closed.saturating_sub(oldest.length());
        state.timeline.remove(&oldest.piece);
        drop(state);
        self.tell_of(&oldest.piece);
        Some(oldest)
    }

    /// A place that is known of, where this start is.
    pub(super) fn enter(&self, start: Start) -> io::Result<Arc<Place>> {
        let since = self.since(start)?;
        let mut state = locked(&self.state);
        let place = Arc::new(Place::new(state.locate(start, since)));
        state.places.push(Arc::clone(&place));
        Ok(place)
    }

    /// Nobody is at this place any more.
    pub(super) fn leave(&self, place: &Arc<Place>) {
        let places = &mut locked(&self.state).places;
        if let Some(found) = places.iter().position(|one| Arc::ptr_eq(one, place)) {
            places.swap_remove(found);
        }
    }

    /// Where this start is.
    pub(super) fn locate(&self, start: Start) -> io::Result<u64> {
        let since = self.since(start)?;
        Ok(locked(&self.state).locate(start, since))
    }

    /// What had come by the time of this start, if it is one.
    fn since(&self, start: Start) -> io::Result<u64> {
        let Start::Since(time) = start else { return Ok(0) };
        // Not while it is locked: indexes are read.
        let segments = locked(&self.state).segments.clone();
        Ok(since(&segments, time)?.unwrap_or(0))
    }
}

fn since(segments: &VecDeque<Arc<Segment>>, time: SystemTime) -> io::Result<Option<u64>> {
    for segment in segments.iter().rev() {
        if let Some(at) = segment.at(time)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

impl State {
    fn locate(&self, start: Start, since: u64) -> u64 {
        let end = self.timeline.end();
        let at = match start {
            Start::Live => end,
            Start::Beginning => self.timeline.start(),
            Start::At(at) => at.min(end),
            Start::Back(bytes) => end.saturating_sub(bytes),
            Start::Since(_) => since.min(end),
        };
        match self.timeline.find(at) {
            Found::Missing { until } => until,
            _ => at,
        }
    }

    fn is_too_much(&self, kept: &Kept) -> bool {
        let (Some(oldest), Some(current)) = (self.segments.front(), self.segments.back()) else {
            return false;
        };
        if self.segments.len() == 1 {
            return false;
        }
        let others = self.closed.saturating_sub(oldest.length()) + current.length();
        kept.files.is_some_and(|files| self.segments.len() > files)
            || kept.bytes.is_some_and(|bytes| others >= bytes)
    }

    /// Whether a reader is still to get something of the oldest file.
    fn is_oldest_needed(&self) -> bool {
        let Some(oldest) = self.segments.front() else { return false };
        self.places.iter().any(|place| {
            matches!(self.timeline.find(place.at()),
                Found::Bytes { file, .. } if Arc::ptr_eq(&file, &oldest.piece))
        })
    }
}
