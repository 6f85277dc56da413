//! A flow with both its ends: bytes both ways until it ends, or until it rests.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::Poll;

use fdflow::Report;
use fdflow_tokio::{Bidirectional, BidirectionalError, Both, Direction, End};
use tokio::time::Instant;

use super::ending::{Ending, Who, Why};
use super::flow::{Flow, Link};
use super::gate::Passes;
use super::tap::Recorder;
use super::upstream::With;
use super::worker::Worker;
use crate::daemon::conn::{Conn, Laid};
use crate::daemon::lot::Rests;

/// A flow whose ends are there.
pub(super) struct Active {
    pub(super) held: Held,
    pub(super) client: Conn,
    pub(super) server: Conn,
    pub(super) first: First,
}

/// What goes to the upstream before what is still to be read of the client.
#[derive(Debug, Default)]
pub(super) struct First {
    pub(super) bytes: Vec<u8>,
    /// So many of these are the proxy's own; the others are the client's.
    pub(super) own: usize,
}

/// What a flow holds from its beginning to its end.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) flow: Arc<Flow>,
    pub(super) _with: With,
    pub(super) passes: Passes,
}

/// A flow in which nothing goes on.
#[derive(Debug)]
pub(super) struct Resting {
    held: Held,
    client: Laid,
    server: Laid,
}

/// Relays until the flow ends or rests.
pub(super) async fn run(active: Active, worker: Arc<Worker>) {
    let Active { held, client, server, first } = active;
    let Some(link) = held.flow.link.get() else { return };
    let own = first.own;
    let mut both = prepare(&held.flow, link, &worker, client, server, first.bytes);
    let mut recorder = None;
    if let Some(tap) = &held.flow.service.tap {
        let (begun, mirrored) = Recorder::begin(tap, &held.flow, both, own);
        (recorder, both) = (Some(begun), mirrored);
    }
    let ended = poll_fn(|cx| {
        held.flow.set_waker(cx.waker());
        if let Some(ending) = held.flow.must_end() {
            return Poll::Ready(Some(ending));
        }
        // One that is recorded does not rest: its mirrors would end.
        if held.flow.must_rest() && both.is_quiet() && recorder.is_none() {
            return Poll::Ready(None);
        }
        let polled = both.poll_run(cx);
        if both.first_closed().is_some() {
            held.flow.set_half_closed();
        }
        let polled = polled.map(|ended| Some(ending(&both, ended)));
        if let Some(recorder) = &mut recorder {
            recorder.look(&held.flow, &both);
        }
        polled
    })
    .await;
    held.flow.forget_waker();
    let Some(ending) = ended else { return rest(held, both, &worker) };
    let reports = both.reports();
    if let Some(recorder) = recorder {
        recorder.end(&held.flow, &both);
    }
    // Closed before it is told of.
    drop(both);
    worker.shared.finish(&held.flow, held.passes, &ending, Some(&reports));
}

fn prepare(
    flow: &Flow,
    link: &Link,
    worker: &Worker,
    client: Conn,
    server: Conn,
    first: Vec<u8>,
) -> Bidirectional<Conn, Conn> {
    let service = &flow.service;
    let mut both = Bidirectional::new(client, server)
        .routes(service.routes)
        .count_in(Direction::AToB, link.up.clone())
        .count_in(Direction::BToA, link.down.clone());
    if !first.is_empty() {
        both = both.prefix(Direction::AToB, first);
    }
    for direction in [Direction::AToB, Direction::BToA] {
        if let Some(rate) = service.rate {
            both = both.rate(direction, rate);
        }
        if let Some(total) = &worker.shared.total_rate {
            both = both.shared_rate(direction, total);
        }
    }
    both
}

fn ending(
    both: &Bidirectional<Conn, Conn>,
    ended: Result<Both<Report>, BidirectionalError>,
) -> Ending {
    let Err(error) = ended else {
        let who = match both.first_closed() {
            Some(Direction::BToA) => Who::Upstream,
            _ => Who::Client,
        };
        return Ending { why: Why::Done, who, detail: None };
    };
    let who = match error.end() {
        Some(End::A) => Who::Client,
        Some(End::B) => Who::Upstream,
        None => Who::Proxy,
    };
    let why = match error.kind() {
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::TimedOut => Why::Reset,
        _ => Why::Error,
    };
    let detail = (who != Who::Proxy || why == Why::Error).then(|| in_words(&error));
    Ending { why, who, detail }
}

/// What failed, in the words of somebody who looks at a proxy.
fn in_words(error: &BidirectionalError) -> String {
    let (operation, cause) = (error.error().operation(), error.error().cause());
    match error.direction() {
        Some(Direction::AToB) => format!("client to upstream: {operation}: {cause}"),
        Some(Direction::BToA) => format!("upstream to client: {operation}: {cause}"),
        None => format!("{operation}: {cause}"),
    }
}

/// Lays a quiet flow down until something comes. What cannot be laid down goes on.
fn rest(held: Held, both: Bidirectional<Conn, Conn>, worker: &Arc<Worker>) {
    let parts = both.into_parts();
    held.flow.note(&parts.reports);
    debug_assert!(parts.undelivered == Both::default(), "a quiet flow has nothing on its way");
    let laid = parts.a.lay_down().and_then(|client| Ok((client, parts.b.lay_down()?)));
    let (client, server) = match laid {
        Ok(laid) => laid,
        Err(error) => {
            let ending = Ending::by(Why::Error, Who::Proxy, error);
            return worker.shared.finish(&held.flow, held.passes, &ending, None);
        }
    };
    if let Err(resting) = worker.lot.add(Resting { held, client, server }) {
        wake(resting, worker);
    }
}

/// Takes a flow up again.
pub(super) fn wake(resting: Resting, worker: &Arc<Worker>) {
    let Resting { held, client, server } = resting;
    let ending =
        held.flow.must_end().or_else(|| held.flow.over(Instant::now()).map(Ending::refused));
    let taken = match ending {
        Some(ending) => Err(ending),
        None => client
            .take_up()
            .and_then(|client| Ok((client, server.take_up()?)))
            .map_err(|error| Ending::by(Why::Error, Who::Proxy, error)),
    };
    match taken {
        Ok((client, server)) => {
            worker.sweep.add(&held.flow);
            let active = Active { held, client, server, first: First::default() };
            drop(tokio::spawn(run(active, Arc::clone(worker))));
        }
        Err(ending) => {
            worker.shared.finish(&held.flow, held.passes, &ending, None);
        }
    }
}

impl Rests for Resting {
    fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.client.as_fd(), self.server.as_fd()]
    }

    fn is_due(&self) -> bool {
        let flow = &self.held.flow;
        flow.must_end().is_some() || flow.over(Instant::now()).is_some()
    }
}
