//! Takes the stream from its producers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fdflow::{Routes, TransferError};
use fdflow_tokio::{Alone, AsyncSource, Fanout, Joiner, RecordingWriter, Transfer};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::origin::{Origin, Producer};
use super::supply::Supply;

/// Whoever waits for the end of the stream, or brings it about.
#[derive(Debug, Clone)]
pub(super) struct Stop(watch::Sender<bool>);

impl Stop {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// From now on.
    pub(super) fn stop(&self) {
        self.0.send_replace(true);
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for it.
    pub(super) async fn stopped(&self) {
        // The sender is in this very value.
        drop(self.0.subscribe().wait_for(|stopped| *stopped).await);
    }
}

/// How the stream is fed.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) origin: Origin,
    pub(super) reconnect: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) routes: Routes,
    pub(super) stop: Stop,
    pub(super) supply: Arc<Supply>,
}

/// How a producer came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It has sent everything.
    Complete,
    /// It sent nothing for too long.
    Idle,
    /// The stream is to end.
    Stopped,
}

/// What gives a producer's bytes on.
trait Takes {
    async fn take(&mut self, producer: &Producer, feed: &Feed) -> Result<End, TransferError>;
    /// How many bytes it has taken.
    fn taken(&self) -> u64;
}

impl Feed {
    /// Records until the stream ends. An error: the producer could not be had, or failed.
    pub(super) async fn record(mut self, mut writer: RecordingWriter) -> Result<(), String> {
        self.supply.counted_in(writer.counters());
        let fed = self.feed(&mut writer).await;
        let finished = writer.finish().await;
        fed.and(finished.map_err(|error| format!("the recording lacks its end: {error}")))
    }

    /// Fans out until the stream ends.
    pub(super) async fn fan_out(
        mut self,
        begin: impl FnOnce(Joiner<'static>),
        alone: Alone,
        linger: Duration,
    ) -> Result<(), String> {
        if self.reconnect.is_none() {
            let Some(producer) = self.next().await? else { return Ok(()) };
            return self.fan_out_of(producer, begin, alone, linger).await;
        }
        // The readers stay while producers come and go.
        let made = pipe::pipe().map_err(|error| format!("no pipe is to be had: {error}"));
        let (sender, receiver) = made?;
        let stop = self.stop.clone();
        let feeding = async move { self.feed(&mut Piped(sender, 0)).await };
        let mut fanout = fanout(receiver, alone, linger);
        begin(fanout.joiner());
        let (fed, fanned) = tokio::join!(feeding, fanout.run());
        drop(stop);
        fed.and(ended(fanned))
    }

    async fn fan_out_of(
        &self,
        producer: Producer,
        begin: impl FnOnce(Joiner<'static>),
        alone: Alone,
        linger: Duration,
    ) -> Result<(), String> {
        let producer = Arc::new(producer);
        let mut fanout = fanout(Arc::clone(&producer), alone, linger);
        let joiner = fanout.joiner();
        begin(joiner.clone());
        let counters = fanout.counters();
        self.supply.counted_in(counters.clone());
        let mut run = std::pin::pin!(fanout.run());
        let (fanned, end) = tokio::select! {
            fanned = &mut run => (fanned, End::Complete),
            end = self.ends(&producer, || counters.bytes()) => {
                joiner.end();
                (run.await, end)
            }
        };
        let fanned = ended(fanned).map_err(|error| format!("{}: {error}", self.supply.from));
        self.gone(&fanned.clone().map(|()| end), counters.bytes());
        self.supply.over();
        fanned
    }

    /// Takes from one producer after the other.
    async fn feed(&mut self, taker: &mut impl Takes) -> Result<(), String> {
        while let Some(producer) = self.next().await? {
            let before = taker.taken();
            let ended = taker.take(&producer, self).await;
            drop(producer);
            let ended = ended.map_err(|error| error.to_string());
            self.gone(&ended, taker.taken() - before);
            match (self.reconnect, ended) {
                (None, Err(error)) => return Err(format!("{}: {error}", self.supply.from)),
                (None, Ok(_)) => break,
                (Some(pause), _) => self.rest(pause).await,
            }
        }
        self.supply.over();
        Ok(())
    }

    /// A producer has ended, after so many bytes. An error that ends everything is told at the end.
    fn gone(&self, ended: &Result<End, String>, bytes: u64) {
        let how = match ended {
            Ok(End::Complete) => format!("has ended after {bytes} bytes"),
            Ok(End::Stopped) => format!("is left after {bytes} bytes"),
            Ok(End::Idle) => {
                let idle = self.idle.unwrap_or_default();
                format!("nothing came for {idle:?}: it is taken for gone, after {bytes} bytes")
            }
            Err(error) => error.clone(),
        };
        let from = &self.supply.from;
        if self.reconnect.is_some() || ended.is_ok() {
            eprintln!("fdflow: relay: {from}: {how}");
        }
        self.supply.gone(matches!(ended, Err(_) | Ok(End::Idle)));
    }

    /// The next producer; `None`: there is to be none.
    async fn next(&mut self) -> Result<Option<Producer>, String> {
        let mut told = false;
        while !self.stop.is_stopped() {
            let stop = self.stop.clone();
            let next = tokio::select! {
                next = self.origin.next() => next,
                () = stop.stopped() => return Ok(None),
            };
            let error = match next {
                Ok(producer) => {
                    self.supply.connected(&producer);
                    return Ok(Some(producer));
                }
                Err(error) => format!("{}: {error}", self.supply.from),
            };
            self.supply.refused();
            let Some(pause) = self.reconnect else { return Err(error) };
            if !std::mem::replace(&mut told, true) {
                eprintln!("fdflow: relay: {error}; it is tried again every {pause:?}");
            }
            self.rest(pause).await;
        }
        Ok(None)
    }

    async fn rest(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.stop.stopped() => {}
        }
    }

    /// Returns when the stream is to end, or the producer has been idle for too long.
    async fn ends(&self, producer: &Producer, taken: impl Fn() -> u64) -> End {
        let Some(idle) = self.idle else {
            self.stop.stopped().await;
            return End::Stopped;
        };
        let mut before = taken();
        loop {
            tokio::select! {
                () = self.stop.stopped() => return End::Stopped,
                () = tokio::time::sleep(idle) => {}
            }
            let now = taken();
            // Where readers are waited for, it is not the producer who is late.
            if now == before && !producer.has_more() {
                return End::Idle;
            }
            before = now;
        }
    }
}

impl Takes for RecordingWriter {
    async fn take(&mut self, producer: &Producer, feed: &Feed) -> Result<End, TransferError> {
        let counters = self.counters();
        tokio::select! {
            recorded = self.record(producer) => recorded.map(|()| End::Complete),
            end = feed.ends(producer, || counters.bytes()) => Ok(end),
        }
    }

    fn taken(&self) -> u64 {
        self.counters().bytes()
    }
}

/// A pipe that a fan-out reads, and how many bytes went into it.
struct Piped(pipe::Sender, u64);

impl Takes for Piped {
    async fn take(&mut self, producer: &Producer, feed: &Feed) -> Result<End, TransferError> {
        let mut transfer = Transfer::new(producer, &self.0).routes(feed.routes);
        let counters = transfer.counters();
        feed.supply.counted_in(counters.clone());
        let moved = tokio::select! {
            moved = transfer.run() => moved.map(|_| End::Complete),
            end = feed.ends(producer, || counters.bytes()) => Ok(end),
        };
        let rest = transfer.into_parts();
        self.1 += rest.report.bytes() + rest.undelivered.len() as u64;
        if rest.undelivered.is_empty() {
            return moved;
        }
        // What was taken of it goes on, however it ended, by the one way that there is from memory.
        let nothing = fdflow_tokio::Plain::new(tokio::io::empty());
        let last = Transfer::new(nothing, &self.0).routes(Routes::all());
        let mut last = last.prefix(rest.undelivered);
        feed.supply.counted_in(last.counters());
        let given = last.run().await;
        moved.and_then(|end| given.map(|_| end))
    }

    fn taken(&self) -> u64 {
        self.1
    }
}

fn fanout<S: AsyncSource>(source: S, alone: Alone, linger: Duration) -> Fanout<'static, S> {
    Fanout::new(source).alone(alone).linger(linger).linger_for_blocking(linger)
}

/// The end of a fan-out. That nobody was there to get it is no failure.
fn ended(fanned: Result<fdflow::FanoutReport, fdflow::FanoutError>) -> Result<(), String> {
    match fanned {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}
