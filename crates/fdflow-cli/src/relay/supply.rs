//! What is seen of the producers: whether there is one, how many there were, what came from them.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fdflow_tokio::Counters;
use tokio::time::Instant;

use super::origin::Producer;
use crate::daemon::by_route::{self, ByRoute};
use crate::daemon::fields::shown;

/// All that is known.
#[derive(Debug)]
pub(super) struct Supply {
    /// Where producers come from.
    pub(super) from: String,
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    connected: Option<Connected>,
    is_over: bool,
    connections: u64,
    failed_before: u64,
    failed_meanwhile: u64,
    /// What came before `now` was counted.
    past: ByRoute,
    past_activity: Option<Instant>,
    now: Option<Counters>,
}

/// Since when there is a producer, and from where, if it has an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connected {
    pub(super) since: SystemTime,
    pub(super) peer: Option<SocketAddr>,
}

/// All that is known at one time.
#[derive(Debug)]
pub(super) struct Supplied {
    pub(super) from: String,
    /// When the program began.
    pub(super) began: Instant,
    pub(super) connected: Option<Connected>,
    pub(super) is_over: bool,
    pub(super) connections: u64,
    /// Tries to have one that failed.
    pub(super) failed_before: u64,
    /// Producers that failed, or fell silent.
    pub(super) failed_meanwhile: u64,
    pub(super) bytes: ByRoute,
    /// When bytes last came, if any did.
    pub(super) last: Option<Instant>,
}

impl Supply {
    pub(super) fn new(from: String) -> Self {
        Self { from, began: Instant::now(), state: Mutex::default() }
    }

    /// There is one.
    pub(super) fn connected(&self, producer: &Producer) {
        let peer = producer.peer().map(shown);
        match peer {
            Some(peer) => eprintln!("fdflow: relay: {}: connected with {peer}", self.from),
            None => eprintln!("fdflow: relay: {}: connected", self.from),
        }
        let mut state = self.locked();
        state.connections += 1;
        state.connected = Some(Connected { since: SystemTime::now(), peer });
    }

    /// It was not to be had.
    pub(super) fn refused(&self) {
        self.locked().failed_before += 1;
    }

    /// There is none any more.
    pub(super) fn gone(&self, failed: bool) {
        let mut state = self.locked();
        state.connected = None;
        state.failed_meanwhile += u64::from(failed);
    }

    /// None will come any more.
    pub(super) fn over(&self) {
        let mut state = self.locked();
        (state.connected, state.is_over) = (None, true);
    }

    /// What comes from now on is counted in these; in the ones before nothing more is.
    pub(super) fn counted_in(&self, counters: Counters) {
        let mut state = self.locked();
        if let Some(before) = state.now.replace(counters) {
            by_route::add(&mut state.past, &before);
            state.past_activity = activity(&before).or(state.past_activity);
        }
    }

    pub(super) fn look(&self) -> Supplied {
        let state = self.locked();
        let mut bytes = state.past;
        if let Some(now) = &state.now {
            by_route::add(&mut bytes, now);
        }
        Supplied {
            from: self.from.clone(),
            began: self.began,
            connected: state.connected,
            is_over: state.is_over,
            connections: state.connections,
            failed_before: state.failed_before,
            failed_meanwhile: state.failed_meanwhile,
            bytes,
            last: state.now.as_ref().and_then(activity).or(state.past_activity),
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Supplied {
    /// The same, where the stream has ended since.
    pub(super) fn over(self) -> Self {
        Self { connected: None, is_over: true, ..self }
    }

    pub(super) fn sum(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

/// When bytes last came.
fn activity(counters: &Counters) -> Option<Instant> {
    (counters.bytes() > 0).then(|| counters.last_activity())
}
