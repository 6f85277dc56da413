//! `/flows`: the producer, the recording and every reader. What has the same name in the log means
//! the same.
//!
//! An object of three:
//!
//! | key | value |
//! |---|---|
//! | `producer` | `from` where; its `state`: `connected`, `awaited` or `over`; `peer`, its address, and `since` when it is connected; `connections` so far, tries that `failed_to_connect` and those that `failed`; `end`, how far the stream has come |
//! | `recording` | `null`, or its `path`; the first byte that is kept, `start`, and its `end`; `bytes` that are kept, in so many `files`; whether it is `failing`; bytes that were `lost`, in how many `gaps`, files that were `rotated` and `removed`, since the program began |
//! | `readers` | each reader, in the order in which they came |
//!
//! The producer and each reader have `bytes`, the `route` that they went by, `idle`, seconds since
//! the last of them, and `rate`, bytes per second over `rate_seconds`. Readers have `age`, seconds.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::time::Instant;

use super::reader::Reader;
use super::recorded::Recorded;
use super::supply::Supplied;
use crate::daemon::by_route;
use crate::daemon::rates::{Now, Rates};

/// No reader has this id.
const PRODUCER: u64 = 0;

#[derive(Debug, Serialize)]
struct Listed<'a> {
    producer: Producer<'a>,
    recording: Option<Recording<'a>>,
    readers: Vec<One>,
}

#[derive(Debug, Serialize)]
struct Producer<'a> {
    from: &'a str,
    state: &'static str,
    peer: Option<SocketAddr>,
    since: Option<String>,
    connections: u64,
    failed_to_connect: u64,
    failed: u64,
    end: u64,
    bytes: u64,
    route: Option<String>,
    idle: Option<f64>,
    rate: u64,
    rate_seconds: f64,
}

#[derive(Debug, Serialize)]
struct Recording<'a> {
    path: &'a Path,
    start: u64,
    end: u64,
    bytes: u64,
    files: u64,
    failing: bool,
    lost: u64,
    gaps: u64,
    rotated: u64,
    removed: u64,
}

#[derive(Debug, Serialize)]
struct One {
    id: u64,
    kind: &'static str,
    peer: String,
    began: String,
    age: f64,
    idle: Option<f64>,
    start: Option<u64>,
    bytes: u64,
    missed: u64,
    lag: u64,
    route: Option<String>,
    rate: u64,
    rate_seconds: f64,
}

/// All that there is.
pub(super) fn json(
    readers: &[Arc<Reader>],
    supplied: &Supplied,
    end: u64,
    recorded: Option<&Recorded>,
    rates: &Rates<1>,
) -> serde_json::Result<String> {
    let readers_moved = readers.iter().map(|reader| (reader.id, [reader.bytes()]));
    let moved = readers_moved.chain([(PRODUCER, [supplied.sum()])]);
    let now = rates.look(moved);
    let mut listed: Vec<_> = readers.iter().map(|reader| One::new(reader, &now)).collect();
    listed.sort_by_key(|reader| reader.id);
    serde_json::to_string(&Listed {
        producer: Producer::new(supplied, end, &now),
        recording: recorded.map(Recording::new),
        readers: listed,
    })
}

impl<'a> Producer<'a> {
    fn new(seen: &'a Supplied, end: u64, now: &Now<1>) -> Self {
        let bytes = seen.sum();
        let rate = now.rate(PRODUCER, seen.began, [bytes]);
        let state = match (seen.connected, seen.is_over) {
            (Some(_), _) => "connected",
            (None, false) => "awaited",
            (None, true) => "over",
        };
        Self {
            from: &seen.from,
            state,
            peer: seen.connected.and_then(|connected| connected.peer),
            since: seen.connected.map(|connected| time(connected.since)),
            connections: seen.connections,
            failed_to_connect: seen.failed_before,
            failed: seen.failed_meanwhile,
            end,
            bytes,
            route: by_route::names_of(&seen.bytes),
            idle: seen.last.map(|last| seconds(last.elapsed())),
            rate: rate.bytes[0],
            rate_seconds: rate.seconds,
        }
    }
}

impl<'a> Recording<'a> {
    fn new(recorded: &'a Recorded) -> Self {
        let seen = recorded.look();
        Self {
            path: &recorded.path,
            start: seen.start,
            end: seen.end,
            bytes: seen.kept,
            files: seen.files,
            failing: seen.is_failing,
            lost: seen.counts.lost,
            gaps: seen.counts.gaps,
            rotated: seen.counts.rotated,
            removed: seen.counts.removed,
        }
    }
}

impl One {
    fn new(reader: &Reader, now: &Now<1>) -> Self {
        let counters = reader.counters();
        let bytes = reader.bytes();
        let rate = now.rate(reader.id, reader.began, [bytes]);
        let last = counters.as_ref().map(|counters| counters.last_activity());
        let idle = |last: Instant| seconds(Instant::now().saturating_duration_since(last));
        Self {
            id: reader.id,
            kind: reader.kind,
            peer: reader.peer_text(),
            began: time(reader.began_at),
            age: seconds(reader.began.elapsed()),
            idle: last.map(idle),
            start: reader.start(),
            bytes,
            missed: reader.missed(),
            lag: reader.lag(),
            route: counters.as_ref().and_then(by_route::names),
            rate: rate.bytes[0],
            rate_seconds: rate.seconds,
        }
    }
}

fn seconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1e3
}

fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
