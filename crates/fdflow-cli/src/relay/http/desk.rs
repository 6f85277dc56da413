//! Who is served on a connection, and how much of each body its socket has taken.
//!
//! HTTP says when a body was handed to it, not when the socket has it. So whoever makes bodies enters
//! their frames here, and whoever writes finds them again by their addresses: what is counted of a
//! reader is what its socket has taken, without the framing between.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use fdflow::{Route, SinkEnd};
use fdflow_hyper::Delivery;
use fdflow_tokio::{Counters, Look};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::relay::ending::{Ending, Why};
use crate::relay::reader::{Reader, View};
use crate::relay::serve::{LAST, stalled};
use crate::relay::values::LagPolicy;
use crate::relay::worker::Shared;

/// So often it is looked whether what a reader is to take next is still kept.
const LOOK: Duration = Duration::from_secs(1);

/// The bodies of a connection.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) shared: Arc<Shared>,
    peer: Option<SocketAddr>,
    /// In the order of their requests. The first is being sent; a client that asks before it has its
    /// answer has more.
    servings: Mutex<VecDeque<Arc<Serving>>>,
    /// Another is the first.
    changed: Notify,
}

/// A body that is sent to a reader.
#[derive(Debug)]
pub(super) struct Serving {
    reader: Arc<Reader>,
    counters: Counters,
    /// Only the connection's end tells the client that it is whole.
    until_close: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Given to HTTP, and not yet taken by the socket.
    frames: VecDeque<Frame>,
    /// How it has ended, but for what is still in `frames`.
    ending: Option<Ending>,
    waker: Option<Waker>,
}

/// Bytes of a body.
#[derive(Debug)]
struct Frame {
    /// Their address.
    at: usize,
    left: usize,
    delivery: Option<Delivery>,
    /// How many of them went by sendfile.
    lent: u64,
}

impl Desk {
    pub(super) fn new(shared: Arc<Shared>, peer: Option<SocketAddr>) -> Self {
        Self { shared, peer, servings: Mutex::default(), changed: Notify::new() }
    }

    /// Another reader, whose bytes are counted there.
    pub(super) fn begin(&self, view: View, counters: Counters, until_close: bool) -> Arc<Serving> {
        let reader = Reader::new(self.shared.live.id(), self.peer, "http");
        let _first = reader.view.set(view).is_ok();
        let reader = self.shared.begin(reader);
        let serving = Arc::new(Serving { reader, counters, until_close, state: Mutex::default() });
        locked(&self.servings).push_back(Arc::clone(&serving));
        self.changed.notify_one();
        serving
    }

    /// The socket has taken the first `n` bytes of these.
    pub(super) fn took(&self, slices: &[IoSlice<'_>], n: usize) {
        let mut servings = locked(&self.servings);
        let mut left = n;
        for slice in slices {
            let part = slice.len().min(left);
            left -= part;
            if part > 0 {
                let at = slice.as_ptr().addr();
                // Framing is nobody's.
                let _found = servings.iter().any(|serving| serving.took(at, part));
            }
        }
        while let Some(first) = servings.front() {
            let Some(ending) = first.over() else { return };
            self.shared.finish(&first.reader, &ending);
            servings.pop_front();
            self.changed.notify_one();
        }
    }

    /// Waits until the connection is to end, whatever HTTP is doing.
    pub(super) async fn told(&self) -> Ending {
        loop {
            let first = locked(&self.servings).front().cloned();
            let Some(serving) = first else {
                tokio::select! {
                    () = self.changed.notified() => continue,
                    () = self.over() => return Why::Drained.into(),
                }
            };
            tokio::select! {
                order = serving.reader.ordered() => return Why::from(order).into(),
                () = stalled(&serving.reader, &self.shared) => return Why::Stalled.into(),
                ending = self.lagged(&serving) => return ending,
                () = self.changed.notified() => {}
            }
        }
    }

    /// Whoever has asked for nothing when the stream has ended gets nothing any more.
    async fn over(&self) {
        self.shared.over.stopped().await;
        sleep(LAST).await;
    }

    /// Waits until a reader, which may be taking nothing at all, cannot get its next bytes any more.
    async fn lagged(&self, serving: &Serving) -> Ending {
        match serving.reader.view.get() {
            // Where gaps are left out, the frames that it has are the last before one.
            Some(View::Following(following, recording))
                if self.shared.terms.lag != LagPolicy::Gap =>
            {
                while !matches!(recording.look(following.at()), Look::Missing { .. }) {
                    sleep(LOOK).await;
                }
                Why::Lagged.into()
            }
            Some(View::Piped(joined, _)) => match joined.ended().await.end {
                SinkEnd::Complete => std::future::pending().await,
                end => end.into(),
            },
            _ => std::future::pending().await,
        }
    }

    /// The connection is over. `true`: a body was cut, and the client cannot know unless it is told
    /// by a reset.
    pub(super) fn close(&self, ending: &Ending) -> bool {
        let mut is_unaware = false;
        for serving in std::mem::take(&mut *locked(&self.servings)) {
            let ending = serving.last(ending);
            is_unaware |= serving.until_close && ending.why != Why::Done;
            self.shared.finish(&serving.reader, &ending);
        }
        is_unaware
    }
}

impl Serving {
    /// HTTP gets these bytes next. Of those that it is lent, `delivery` tells how they go.
    pub(super) fn give(&self, bytes: &Bytes, delivery: Option<Delivery>) {
        let (at, left) = (bytes.as_ptr().addr(), bytes.len());
        if left > 0 {
            locked(&self.state).frames.push_back(Frame { at, left, delivery, lent: 0 });
        }
    }

    /// There is no more to give.
    pub(super) fn end(&self, ending: impl Into<Ending>) {
        locked(&self.state).ending.get_or_insert(ending.into());
    }

    /// Ready when the socket has taken all that was given.
    pub(super) fn poll_taken(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = locked(&self.state);
        if state.frames.is_empty() {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The socket has taken `n` bytes at this address. `false`: they are none of these.
    fn took(&self, at: usize, n: usize) -> bool {
        let mut state = locked(&self.state);
        let Some(frame) = state.frames.front_mut().filter(|frame| frame.at == at) else {
            return false;
        };
        let lent = frame.delivery.as_ref().map_or(0, Delivery::sendfile);
        let by_sendfile = lent.saturating_sub(frame.lent).min(n as u64);
        frame.lent = lent;
        frame.at += n;
        frame.left = frame.left.saturating_sub(n);
        let is_done = frame.left == 0;
        for (route, bytes) in
            [(Route::Sendfile, by_sendfile), (Route::ReadWrite, n as u64 - by_sendfile)]
        {
            if bytes > 0 {
                self.counters.add(route, bytes);
            }
        }
        if is_done {
            state.frames.pop_front();
        }
        let waker = if state.frames.is_empty() { state.waker.take() } else { None };
        drop(state);
        waker.inspect(Waker::wake_by_ref);
        true
    }

    /// How it has ended, once the socket has taken all of it.
    fn over(&self) -> Option<Ending> {
        let state = locked(&self.state);
        state.ending.clone().filter(|_| state.frames.is_empty())
    }

    /// How it has ended with its connection, which ended so.
    fn last(&self, connection: &Ending) -> Ending {
        let state = locked(&self.state);
        match &state.ending {
            Some(own) if own.why != Why::Done || state.frames.is_empty() => own.clone(),
            _ => connection.clone(),
        }
    }
}

/// A panic elsewhere leaves nothing half done here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
