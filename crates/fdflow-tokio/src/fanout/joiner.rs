//! Where sinks come in while a fan-out runs.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use fdflow::{Joins, Lag};
use tokio::sync::watch;
use tokio::time::Instant;

use super::AnySink;
use super::bell::Bell;
use super::joined::{Joined, Ticket};
use crate::counters::Counters;
use crate::end::AsyncSink;

/// Has sinks join a [`Fanout`](crate::Fanout) while it runs, and ends it: from any task or thread.
/// Clones are the same; [`Fanout::joiner`](crate::Fanout::joiner).
#[derive(Clone)]
pub struct Joiner<'a> {
    pub(super) door: Arc<Door<'a>>,
}

/// What a fan-out is asked from outside, and what it shows.
pub(super) struct Door<'a> {
    bell: Arc<Bell>,
    queue: Mutex<Queue<'a>>,
    relayed: AtomicU64,
    dropped: AtomicU64,
    /// Nothing more is taken from the source.
    fed: watch::Sender<bool>,
}

#[derive(Default)]
struct Queue<'a> {
    waiting: Vec<Newcomer<'a>>,
    ends: bool,
    over: bool,
}

/// A sink that is not attached yet.
pub(super) struct Newcomer<'a> {
    pub(super) sink: AnySink<'a>,
    pub(super) joins: Joins,
    pub(super) ticket: Ticket,
}

/// What was asked since it was last looked at.
pub(super) struct Asked<'a> {
    pub(super) newcomers: Vec<Newcomer<'a>>,
    /// Whether the source is to be taken for ended.
    pub(super) ends: bool,
}

impl fmt::Debug for Joiner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joiner")
            .field("relayed", &self.relayed())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl<'a> Joiner<'a> {
    /// Adds a sink, which gets what is relayed from the time on at which the task that runs the
    /// fan-out is polled next: [`Joined::at`] says which byte that was.
    ///
    /// Its pipe, two descriptors, is made at once, by the caller. Whatever goes wrong with the
    /// sink later is in [`Joined::ended`].
    ///
    /// # Errors
    ///
    /// No pipe is to be had; the fan-out goes on. `BrokenPipe`: it is over.
    pub fn join(&self, sink: impl AsyncSink + Send + Sync + 'a, lag: Lag) -> io::Result<Joined> {
        // Not for one that it is too late for, which would be told of a lack of pipes.
        drop(self.door.open_queue()?);
        let joins = Joins::open(lag).map_err(no_pipe)?;
        let counters = Counters::since(Instant::now());
        let bell = Arc::clone(&self.door.bell);
        let (joined, ticket) = Joined::new(joins.account(), counters, bell);
        let newcomer = Newcomer { sink: Arc::new(sink), joins, ticket };
        self.door.open_queue()?.waiting.push(newcomer);
        self.door.bell.ring();
        Ok(joined)
    }

    /// Ends the fan-out as if its source had ended: what was taken is still relayed, and the sinks
    /// get what they are to get.
    pub fn end(&self) {
        self.door.queue().ends = true;
        self.door.bell.ring();
    }

    /// Waits until nothing more is taken from the source: it has ended, has failed or was
    /// [ended](Self::end). Sinks may still have much to get.
    pub async fn source_ended(&self) {
        // The sender is in this very value.
        drop(self.door.fed.subscribe().wait_for(|fed| *fed).await);
    }

    /// Whether no more sinks can join.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.door.queue().over
    }

    /// How many bytes were relayed: where in the stream the fan-out is.
    #[must_use]
    pub fn relayed(&self) -> u64 {
        self.door.relayed.load(Ordering::Relaxed)
    }

    /// How many of them went to nobody, with [`Alone::Drop`](crate::Alone::Drop).
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.door.dropped.load(Ordering::Relaxed)
    }
}

impl<'a> Door<'a> {
    pub(super) fn new() -> Self {
        let (relayed, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
        let fed = watch::Sender::new(false);
        Self { bell: Arc::default(), queue: Mutex::default(), relayed, dropped, fed }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<'a>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_queue(&self) -> io::Result<MutexGuard<'_, Queue<'a>>> {
        let queue = self.queue();
        if queue.over { Err(over()) } else { Ok(queue) }
    }

    /// Whether something was asked, or a sink wants to leave; this task is woken when it next is.
    pub(super) fn answer(&self, cx: &Context<'_>) -> bool {
        self.bell.answer(cx)
    }

    pub(super) fn asked(&self) -> Asked<'a> {
        let mut queue = self.queue();
        let newcomers = std::mem::take(&mut queue.waiting);
        Asked { newcomers, ends: queue.ends }
    }

    pub(super) fn is_over(&self) -> bool {
        self.queue().over
    }

    /// Nobody joins any more. Those who have waited are told when they are dropped, by now.
    pub(super) fn close(&self) {
        let waiting = {
            let mut queue = self.queue();
            queue.over = true;
            std::mem::take(&mut queue.waiting)
        };
        drop(waiting);
        self.source_ended();
    }

    pub(super) fn source_ended(&self) {
        self.fed.send_replace(true);
    }

    pub(super) fn show(&self, relayed: u64, dropped: u64) {
        self.relayed.store(relayed, Ordering::Relaxed);
        self.dropped.store(dropped, Ordering::Relaxed);
    }
}

pub(super) fn over() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the fan-out has come to its end")
}

fn no_pipe(cause: io::Error) -> io::Error {
    let message = format!("no pipe for one more sink of the fan-out, two descriptors: {cause}");
    io::Error::new(cause.kind(), message)
}

/// Closes the door when the fan-out is dropped.
pub(super) struct Doorkeeper<'a>(pub(super) Arc<Door<'a>>);

impl Drop for Doorkeeper<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
