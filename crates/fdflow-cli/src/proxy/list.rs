//! `/flows`: every flow that there is. What has the same name in the log means the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;

use super::flow::Flow;
use crate::daemon::by_route;
use crate::daemon::fields::shown;
use crate::daemon::rates::{Now, Rates};

#[derive(Debug, Serialize)]
struct Listed<'a> {
    id: u64,
    service: &'a str,
    client: String,
    peer: Option<SocketAddr>,
    upstream: Option<String>,
    from: Option<SocketAddr>,
    /// `greeting`, `connecting`, `relaying` or `resting`.
    state: &'static str,
    /// When it was accepted.
    began: String,
    /// Seconds since then, and since bytes last moved.
    age: f64,
    idle: f64,
    up: u64,
    down: u64,
    up_route: Option<String>,
    down_route: Option<String>,
    /// Bytes per second, and the mean of how many seconds they are.
    up_rate: Option<u64>,
    down_rate: Option<u64>,
    rate_seconds: Option<f64>,
}

/// The flows in the order in which they came.
pub(super) fn json(flows: &[Arc<Flow>], rates: &Rates<2>) -> serde_json::Result<String> {
    let moving = flows.iter().filter_map(|flow| Some((flow.id, moved(flow)?)));
    let now = rates.look(moving);
    let mut listed: Vec<_> = flows.iter().map(|flow| Listed::new(flow, &now)).collect();
    listed.sort_by_key(|flow| flow.id);
    serde_json::to_string(&listed)
}

impl<'a> Listed<'a> {
    fn new(flow: &'a Flow, now: &Now<2>) -> Self {
        let link = flow.link.get();
        let rate = link.zip(moved(flow));
        let rate = rate.map(|(link, moved)| now.rate(flow.id, link.connected, moved));
        let seconds = |time: Duration| time.as_millis() as f64 / 1e3;
        Self {
            id: flow.id,
            service: &flow.service.name,
            client: flow.client_text(),
            peer: flow.other_peer().map(shown),
            upstream: link.map(|link| link.upstream.address.to_string()),
            from: link.and_then(|link| link.from),
            state: flow.stage().name(),
            began: humantime::format_rfc3339_millis(flow.began_at).to_string(),
            age: seconds(flow.began.elapsed()),
            idle: seconds(Instant::now().saturating_duration_since(flow.last_activity())),
            up: link.map_or(0, |link| link.up.bytes()),
            down: link.map_or(0, |link| link.down.bytes()),
            up_route: link.and_then(|link| by_route::names(&link.up)),
            down_route: link.and_then(|link| by_route::names(&link.down)),
            up_rate: rate.map(|rate| rate.bytes[0]),
            down_rate: rate.map(|rate| rate.bytes[1]),
            rate_seconds: rate.map(|rate| rate.seconds),
        }
    }
}

/// Bytes given to the upstream and to the client; `None` while there is no upstream.
fn moved(flow: &Flow) -> Option<[u64; 2]> {
    flow.link.get().map(|link| [link.up.bytes(), link.down.bytes()])
}
