//! What the writer and the readers of a recording share.

use std::io;
use std::sync::{Arc, Mutex, Weak};
use std::time::SystemTime;

use tokio::sync::Notify;

use super::Start;
use super::reader::Place;
use super::segment::{Piece, Segment};
use super::timeline::{Found, Timeline};
use crate::locked;

#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Told when bytes have come, or the end.
    pub(super) grown: Notify,
    /// Told when bytes are kept no longer.
    pub(super) withdrawn: Notify,
}

#[derive(Debug)]
struct State {
    timeline: Timeline<Piece>,
    /// The files in order; the last is written to.
    segments: Vec<Arc<Segment>>,
    is_over: bool,
    /// Where the readers are.
    places: Vec<Weak<Place>>,
}

impl Shared {
    pub(super) fn new(timeline: Timeline<Piece>, segments: Vec<Arc<Segment>>) -> Self {
        let state = State { timeline, segments, is_over: false, places: Vec::new() };
        Self { state: Mutex::new(state), grown: Notify::new(), withdrawn: Notify::new() }
    }

    /// The next bytes are in this file.
    pub(super) fn append(&self, at: u64, n: u64, piece: &Arc<Piece>, offset: u64) {
        locked(&self.state).timeline.append(at, n, piece, offset);
        self.grown.notify_waiters();
    }

    /// The first bytes of a stretch are in another file from now on.
    pub(super) fn move_to(&self, at: u64, n: u64, piece: &Arc<Piece>, offset: u64) {
        locked(&self.state).timeline.move_to(at, n, piece, offset);
    }

    /// What is in this piece is kept no longer.
    pub(super) fn withdraw(&self, piece: &Arc<Piece>) {
        locked(&self.state).timeline.remove(piece);
        piece.withdraw();
        self.withdrawn.notify_waiters();
        self.grown.notify_waiters();
    }

    pub(super) fn find(&self, at: u64) -> (Found<Piece>, bool) {
        let state = locked(&self.state);
        (state.timeline.find(at), state.is_over)
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

    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        locked(&self.state).segments.push(segment);
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        locked(&self.state).segments.clone()
    }

    /// The oldest file is kept no longer.
    pub(super) fn drop_oldest(&self) {
        let oldest = locked(&self.state).segments.remove(0);
        self.withdraw(&oldest.piece);
    }

    /// Whether a reader is still to get something of the oldest file.
    pub(super) fn is_oldest_needed(&self) -> bool {
        let mut state = locked(&self.state);
        state.places.retain(|place| place.strong_count() > 0);
        let places = state.places.iter().filter_map(Weak::upgrade);
        let Some(oldest) = state.segments.first() else { return false };
        places.map(|place| place.at()).any(|at| {
            matches!(state.timeline.find(at), Found::Bytes { file, .. } if Arc::ptr_eq(&file, &oldest.piece))
        })
    }

    /// A place that is known of, where this start is.
    pub(super) fn place(&self, start: Start) -> io::Result<Arc<Place>> {
        let since = match start {
            Start::Since(time) => self.since(time)?,
            _ => 0,
        };
        let mut state = locked(&self.state);
        let (first, end) = (state.timeline.start(), state.timeline.end());
        let at = match start {
            Start::Live => end,
            Start::Beginning => first,
            Start::At(at) => at.min(end),
            Start::Back(bytes) => end.saturating_sub(bytes).max(first),
            Start::Since(_) => since.max(first),
        };
        let place = Arc::new(Place::new(at));
        if state.places.len() == state.places.capacity() {
            state.places.retain(|place| place.strong_count() > 0);
        }
        state.places.push(Arc::downgrade(&place));
        Ok(place)
    }

    fn since(&self, time: SystemTime) -> io::Result<u64> {
        for segment in self.segments().iter().rev() {
            if let Some(at) = segment.at(time)? {
                return Ok(at);
            }
        }
        Ok(0)
    }
}
