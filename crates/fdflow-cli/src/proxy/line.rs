//! A line of the log: the same keys in the same order, as `key=value` and as a JSON object.
//!
//! | key | value |
//! |---|---|
//! | `time` | when the flow ended |
//! | `service`, `flow` | its service, and its id in `/flows` |
//! | `client` | the client's address: the one that a PROXY header names, else the peer's; `unix` |
//! | `peer` | the peer's address, where a PROXY header names another |
//! | `upstream`, `from` | the upstream's address, and the one that it sees |
//! | `wait` | seconds until connecting began |
//! | `connect` | seconds until an upstream had taken the connection, failures included |
//! | `total` | seconds from accept to end |
//! | `up`, `down` | bytes given to the upstream, a PROXY header that is sent included, and to the client |
//! | `up_route`, `down_route` | the routes that they went by |
//! | `who`, `why`, `detail` | who ended it, why, and the system's words |
//! | `up_legs`, `up_refused`, … | with `--explain`: bytes by route, and why others were not taken |
//!
//! What there is not is `-`, in JSON `null`.

use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use fdflow::Refusal;
use fdflow_tokio::Counters;
use serde::Serialize;

use super::ending::Ending;
use super::flow::Flow;
use crate::daemon::by_route;
use crate::daemon::fields::{Leg, Quoted, Value, legs, or_none, refusals, shown};
use crate::daemon::log::LogLine;

/// A line.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    time: String,
    service: &'a str,
    flow: u64,
    client: String,
    peer: Option<SocketAddr>,
    upstream: Option<String>,
    from: Option<SocketAddr>,
    wait: f64,
    connect: Option<f64>,
    total: f64,
    up: u64,
    down: u64,
    up_route: Option<String>,
    down_route: Option<String>,
    who: &'static str,
    why: &'static str,
    detail: Option<&'a str>,
    #[serde(flatten)]
    explained: Option<Explained>,
}

/// What `--explain` adds.
#[derive(Debug, Serialize)]
struct Explained {
    up_legs: Vec<Leg>,
    up_refused: Vec<Refusal>,
    down_legs: Vec<Leg>,
    down_refused: Vec<Refusal>,
}

impl<'a> Line<'a> {
    /// The line of a flow that ends now.
    pub(super) fn new(flow: &'a Flow, ending: &'a Ending, explain: bool) -> Self {
        let link = flow.link.get();
        let seconds = |time: Duration| time.as_micros() as f64 / 1e6;
        let total = flow.began.elapsed();
        let wait = flow.asked.get().map(|asked| asked.duration_since(flow.began));
        let connect = flow.asked.get().map(|asked| {
            link.map_or_else(|| asked.elapsed(), |link| link.connected.duration_since(*asked))
        });
        Self {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            service: &flow.service.name,
            flow: flow.id,
            client: flow.client_text(),
            peer: flow.other_peer().map(shown),
            upstream: link.map(|link| link.upstream.address.to_string()),
            from: link.and_then(|link| link.from),
            wait: seconds(wait.unwrap_or(total)),
            connect: connect.map(seconds),
            total: seconds(total),
            up: link.map_or(0, |link| link.up.bytes()),
            down: link.map_or(0, |link| link.down.bytes()),
            up_route: link.and_then(|link| by_route::names(&link.up)),
            down_route: link.and_then(|link| by_route::names(&link.down)),
            who: ending.who.name(),
            why: ending.why.name(),
            detail: ending.detail.as_deref(),
            explained: explain.then(|| Explained::new(flow)),
        }
    }
}

impl LogLine for Line<'_> {
    fn write(&self, text: &mut String) -> fmt::Result {
        write!(text, "time={} service={} flow={}", self.time, Value(self.service), self.flow)?;
        write!(text, " client={} peer={}", self.client, or_none(self.peer.as_ref()))?;
        let upstream = self.upstream.as_deref().map(Value);
        write!(text, " upstream={} from={}", or_none(upstream), or_none(self.from.as_ref()))?;
        write!(text, " wait={:.6}", self.wait)?;
        match self.connect {
            Some(connect) => write!(text, " connect={connect:.6}")?,
            None => text.push_str(" connect=-"),
        }
        write!(text, " total={:.6} up={} down={}", self.total, self.up, self.down)?;
        write!(text, " up_route={}", or_none(self.up_route.as_ref()))?;
        write!(text, " down_route={}", or_none(self.down_route.as_ref()))?;
        write!(text, " who={} why={}", self.who, self.why)?;
        write!(text, " detail={}", or_none(self.detail.map(Quoted)))?;
        let Some(explained) = &self.explained else { return Ok(()) };
        write!(text, " up_legs={}", legs(&explained.up_legs))?;
        write!(text, " up_refused={}", refusals(&explained.up_refused))?;
        write!(text, " down_legs={}", legs(&explained.down_legs))?;
        write!(text, " down_refused={}", refusals(&explained.down_refused))
    }
}

impl Explained {
    fn new(flow: &Flow) -> Self {
        let refused = flow.refused();
        let legs = |counters: &Counters| {
            let taken = by_route::taken(counters);
            taken.map(|(route, bytes)| Leg { route: route.name(), bytes }).collect()
        };
        let link = flow.link.get();
        Self {
            up_legs: link.map_or_else(Vec::new, |link| legs(&link.up)),
            up_refused: refused.a_to_b,
            down_legs: link.map_or_else(Vec::new, |link| legs(&link.down)),
            down_refused: refused.b_to_a,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fdflow::{Operation, Reason, Route};

    fn line(explain: bool) -> Line<'static> {
        let refused = |route| vec![Refusal::new(route, Reason::Stuck(Operation::Splice))];
        Line {
            time: "2026-11-22T14:32:23.123Z".to_owned(),
            service: "the \"web\"",
            flow: 7,
            client: "unix".to_owned(),
            peer: None,
            upstream: Some("unix:///run/a b".to_owned()),
            from: None,
            wait: 0.25,
            connect: None,
            total: 1.5,
            up: 10,
            down: 0,
            up_route: Some("splice+read_write".to_owned()),
            down_route: None,
            who: "proxy",
            why: "error",
            detail: Some("two\nlines"),
            explained: explain.then(|| Explained {
                up_legs: vec![
                    Leg { route: "splice", bytes: 9 },
                    Leg { route: "read_write", bytes: 1 },
                ],
                up_refused: refused(Route::Splice),
                down_legs: Vec::new(),
                down_refused: Vec::new(),
            }),
        }
    }

    #[test]
    fn nothing_in_a_value_can_end_it_or_the_line() {
        assert_eq!(
            line(false).text(),
            "time=2026-11-22T14:32:23.123Z service=\"the \\\"web\\\"\" flow=7 client=unix peer=- \
             upstream=\"unix:///run/a b\" from=- wait=0.250000 connect=- total=1.500000 up=10 \
             down=0 up_route=splice+read_write down_route=- who=proxy why=error \
             detail=\"two\\nlines\"\n"
        );
    }

    #[test]
    fn both_forms_have_the_same_keys_in_the_same_order() {
        let line = line(true);
        let (text, json) = (line.text(), line.json());
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&json).unwrap();
        let mut keys: Vec<&str> = fields.keys().map(String::as_str).collect();
        keys.sort_by_key(|key| json.find(&format!("\"{key}\":")).unwrap());
        let mut rest = text.as_str();
        for key in keys {
            let at = rest.find(&format!("{key}=")).unwrap_or_else(|| panic!("{key} in {text}"));
            rest = &rest[at..];
        }
        assert_eq!(fields.len(), 21);
        assert_eq!(fields["up_legs"][0]["bytes"], 9);
        assert!(text.contains(" up_legs=splice:9+read_write:1 up_refused=\"splice: would block"));
    }
}
