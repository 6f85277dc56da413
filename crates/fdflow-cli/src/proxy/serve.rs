//! A client's connection, from its being accepted on.

use std::future::{Future, poll_fn};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use fdflow_proxy::header::{self, Header, Place};
use fdflow_tokio::Counters;
use tokio::time::Instant;

use super::connect::{self, Connected};
use super::ending::{Ending, Why};
use super::flow::{Flow, Link};
use super::gate::Passes;
use super::greeting::Greeting;
use super::pool::Pool;
use super::relay::{self, Active, First, Held};
use super::service::Service;
use super::worker::{Shared, Worker};
use crate::daemon::conn::Conn;

/// Serves a client to the end of its flow.
pub(super) async fn run(
    client: Conn,
    peer: Option<SocketAddr>,
    service: Arc<Service>,
    mut passes: Passes,
    worker: Arc<Worker>,
) {
    let id = worker.shared.live.id();
    let flow = Arc::new(Flow::new(id, service, peer));
    flow.service.lasting.figures.accepted.fetch_add(1, Relaxed);
    worker.shared.live.add(&flow, || ());
    worker.sweep.add(&flow);
    // In a box, which is gone before bytes are relayed.
    let begun =
        Box::pin(unless_told(&flow, begin(&flow, &client, &mut passes, &worker.shared))).await;
    match begun {
        Ok((connected, first)) => {
            let Connected { conn: server, with, .. } = connected;
            let held = Held { flow, _with: with, passes };
            relay::run(Active { held, client, server, first }, worker).await;
        }
        Err(ending) => {
            drop(client);
            worker.shared.finish(&flow, passes, &ending, None);
        }
    }
}

/// What `work` comes to, unless the flow is told to end.
async fn unless_told<T>(
    flow: &Flow,
    work: impl Future<Output = Result<T, Ending>>,
) -> Result<T, Ending> {
    let mut work = pin!(work);
    poll_fn(|cx| {
        flow.set_waker(cx.waker());
        match flow.must_end() {
            Some(ending) => Poll::Ready(Err(ending)),
            None => work.as_mut().poll(cx),
        }
    })
    .await
}

/// Everything before the first byte goes to an upstream.
async fn begin(
    flow: &Flow,
    client: &Conn,
    passes: &mut Passes,
    shared: &Shared,
) -> Result<(Connected, First), Ending> {
    let service = &flow.service;
    let mut greeting = Greeting::default();
    if let Some(trust) = &service.trust {
        if flow.peer.is_some_and(|peer| !trust.contains(peer.ip())) {
            return Err(Ending::refused(Why::Untrusted));
        }
        let named = greeted(flow, greeting.header(client)).await?;
        if let Some(named) = named {
            // Only this sets it.
            let _first = flow.named.set(named).is_ok();
        }
    }
    let source = flow.source();
    if source.is_some_and(|source| !service.access.permits(source)) {
        return Err(Ending::refused(Why::Denied));
    }
    if let (Some(most), Some(source)) = (service.max_per_source, source) {
        let entering = service.lasting.sources.enter(source, most);
        let entered = flow.in_time(service.times.connect, entering).await;
        passes.source = Some(entered.ok_or_else(|| Ending::refused(Why::Crowd))?);
    }
    let pool = pool(flow, &mut greeting, client).await?;
    // Only this sets it.
    let _first = flow.asked.set(Instant::now()).is_ok();
    let connected = connect::connect(flow, pool, source.map(hash), shared).await?;
    let link = Link {
        upstream: Arc::clone(connected.with.upstream()),
        from: connected.conn.local(),
        connected: Instant::now(),
        up: Counters::new(),
        down: Counters::new(),
    };
    // Only this sets it.
    let _first = flow.link.set(link).is_ok();
    let mut bytes = service
        .send_proxy
        .map_or_else(Vec::new, |version| header::write(version, &proxied(flow, client)));
    let own = bytes.len();
    bytes.extend(greeting.into_bytes());
    Ok((connected, First { bytes, own }))
}

async fn greeted<T>(
    flow: &Flow,
    reading: impl Future<Output = Result<T, Ending>>,
) -> Result<T, Ending> {
    let read = flow.in_time(flow.service.times.header, reading).await;
    read.unwrap_or_else(|| Err(Ending::refused(Why::HeaderTimeout)))
}

/// The upstreams that the client is for.
async fn pool<'a>(
    flow: &'a Flow,
    greeting: &mut Greeting,
    client: &Conn,
) -> Result<&'a Arc<Pool>, Ending> {
    let service = &flow.service;
    let unknown = || Ending::refused(Why::NoName);
    let Some(names) = &service.names else { return service.pool.as_ref().ok_or_else(unknown) };
    let name = greeted(flow, greeting.server_name(client)).await?;
    names.get(name.as_deref()).or(service.pool.as_ref()).ok_or_else(|| Ending {
        detail: Some(name.unwrap_or_else(|| "no name".to_owned())),
        ..unknown()
    })
}

/// What an upstream is told of the client.
fn proxied(flow: &Flow, client: &Conn) -> Header {
    let ends = match flow.named.get() {
        Some(named) => Some((named.source, named.destination)),
        None => flow.peer.zip(client.local()),
    };
    ends.map_or(Header::Local, |(source, destination)| Header::Proxied {
        source: Place::Ip(source),
        destination: Place::Ip(destination),
    })
}

fn hash(source: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    hasher.finish()
}
