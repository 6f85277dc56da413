//! Takes the stream from its producers.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use fdflow::{Routes, TransferError};
use fdflow_tokio::{Alone, AsyncSource, Fanout, Joiner, RecordingEvent, RecordingWriter, Transfer};
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::origin::{Origin, Producer};

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
}

/// What gives a producer's bytes on.
trait Takes {
    async fn take(&mut self, producer: &Producer, feed: &Feed) -> Result<(), TransferError>;
    /// How many bytes it has taken.
    fn taken(&self) -> u64;
}

impl Feed {
    /// Records until the stream ends. An error: the producer could not be had, or failed.
    pub(super) async fn record(mut self, mut writer: RecordingWriter) -> Result<(), String> {
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
        let joiner = fanout.joiner();
        begin(joiner.clone());
        let fanning = async {
            let fanned = tokio::select! {
                fanned = fanout.run() => fanned,
                () = held_up(&stop, &joiner, linger) => {
                    joiner.end();
                    fanout.run().await
                }
            };
            // What is still fed is for nobody.
            drop(fanout);
            fanned
        };
        let (fed, fanned) = tokio::join!(feeding, fanning);
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
        let mut run = std::pin::pin!(fanout.run());
        let fanned = tokio::select! {
            fanned = &mut run => fanned,
            () = self.ends(&producer, || counters.bytes()) => {
                joiner.end();
                run.await
            }
        };
        ended(fanned)
    }

    /// Takes from one producer after the other.
    async fn feed(&mut self, taker: &mut impl Takes) -> Result<(), String> {
        while let Some(producer) = self.next().await? {
            let before = taker.taken();
            let ended = taker.take(&producer, self).await;
            drop(producer);
            let (from, bytes) = (self.origin.text(), taker.taken() - before);
            match &ended {
                Ok(()) => eprintln!("fdflow: relay: {from} has ended after {bytes} bytes"),
                Err(error) => eprintln!("fdflow: relay: {from}: {error}"),
            }
            match self.reconnect {
                None => return ended.map_err(|error| format!("{from}: {error}")),
                Some(pause) => self.rest(pause).await,
            }
        }
        Ok(())
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
                Ok(producer) => return Ok(Some(producer)),
                Err(error) => format!("{}: {error}", self.origin.text()),
            };
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
    async fn ends(&self, producer: &Producer, taken: impl Fn() -> u64) {
        let Some(idle) = self.idle else { return self.stop.stopped().await };
        let mut before = taken();
        loop {
            tokio::select! {
                () = self.stop.stopped() => return,
                () = tokio::time::sleep(idle) => {}
            }
            let now = taken();
            // Where readers are waited for, it is not the producer who is late.
            if now == before && !producer.has_more() {
                eprintln!("fdflow: relay: {}: nothing came for {idle:?}", self.origin.text());
                return;
            }
            before = now;
        }
    }
}

impl Takes for RecordingWriter {
    async fn take(&mut self, producer: &Producer, feed: &Feed) -> Result<(), TransferError> {
        let counters = self.counters();
        tokio::select! {
            recorded = self.record(producer) => recorded,
            () = feed.ends(producer, || counters.bytes()) => Ok(()),
        }
    }

    fn taken(&self) -> u64 {
        self.counters().bytes()
    }
}

/// A pipe that a fan-out reads, and how many bytes went into it.
struct Piped(pipe::Sender, u64);

impl Takes for Piped {
    async fn take(&mut self, producer: &Producer, feed: &Feed) -> Result<(), TransferError> {
        let mut transfer = Transfer::new(producer, &self.0).routes(feed.routes);
        let counters = transfer.counters();
        let moved = tokio::select! {
            moved = transfer.run() => moved.map(drop),
            () = feed.ends(producer, || counters.bytes()) => Ok(()),
        };
        let rest = transfer.into_parts();
        self.1 += rest.report.bytes() + rest.undelivered.len() as u64;
        // What was taken of it goes on, however it ended.
        let nothing = fdflow_tokio::Plain::new(tokio::io::empty());
        let mut last = Transfer::new(nothing, &self.0).prefix(rest.undelivered);
        moved.and(last.run().await.map(drop))
    }

    fn taken(&self) -> u64 {
        self.1
    }
}

/// Returns when the stream is to end, and readers have held up the rest of it for so long.
async fn held_up(stop: &Stop, joiner: &Joiner<'_>, linger: Duration) {
    stop.stopped().await;
    loop {
        let before = joiner.relayed();
        tokio::time::sleep(linger).await;
        if joiner.relayed() == before {
            return;
        }
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

/// Tells what happens to a recording.
pub(super) fn tell(event: &RecordingEvent) {
    match event {
        RecordingEvent::Failing { at, error } => eprintln!(
            "fdflow: relay: the recording: {error}: bytes from {at} on are kept in memory"
        ),
        RecordingEvent::Lost { at, bytes } => eprintln!(
            "fdflow: relay: the recording: bytes {at} to {} are missing: the memory is full",
            at + bytes
        ),
        RecordingEvent::Resumed { at, missing } => eprintln!(
            "fdflow: relay: the recording goes on, up to byte {at}; {missing} bytes are missing"
        ),
        RecordingEvent::Trouble { what, error } => {
            eprintln!("fdflow: relay: the recording: cannot {what}: {error}");
        }
        _ => {}
    }
}
