//! A line of the log: the same keys in the same order, as `key=value` and as a JSON object.
//!
//! | key | value |
//! |---|---|
//! | `time` | when the reader ended |
//! | `reader`, `kind` | its id in `/flows`; `stream` or `http` |
//! | `peer` | its address; `unix` |
//! | `total` | seconds from accept to end |
//! | `start` | the byte of the stream that it began with |
//! | `bytes` | what it was given |
//! | `missed`, `lag` | bytes that were left out, and those that it was behind at the end |
//! | `route` | the routes that they went by |
//! | `why`, `detail` | why it ended, and the system's words |
//!
//! What there is not is `-`, in JSON `null`.

use std::time::SystemTime;

use serde::Serialize;

use super::ending::Ending;
use super::reader::Reader;

/// A line.
#[derive(Debug, Serialize)]
pub(super) struct Line<'a> {
    time: String,
    reader: u64,
    kind: &'static str,
    peer: String,
    total: f64,
    start: Option<u64>,
    bytes: u64,
    missed: u64,
    lag: u64,
    route: Option<String>,
    why: &'static str,
    detail: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// The line of a reader that ends now.
    pub(super) fn new(reader: &'a Reader, ending: &'a Ending) -> Self {
        Self {
            time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            reader: reader.id,
            kind: reader.kind,
            peer: reader.peer_text(),
            total: reader.began.elapsed().as_micros() as f64 / 1e6,
            start: reader.start(),
            bytes: reader.bytes(),
            missed: reader.missed(),
            lag: reader.lag(),
            route: None,
            why: ending.why.name(),
            detail: ending.detail.as_deref(),
        }
    }

    /// As a JSON object.
    pub(super) fn json(&self) -> String {
        let text = serde_json::to_string(self);
        text.unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")) + "\n"
    }

    /// As `key=value`.
    pub(super) fn text(&self) -> String {
        self.json()
    }
}
