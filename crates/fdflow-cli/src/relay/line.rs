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
//! | `missed` | bytes of the stream that it was to get and did not, because it lagged or they are not kept |
//! | `lag` | how many bytes it was behind at the end: what was there for it, and not given to it |
//! | `route` | the routes that they went by |
//! | `why`, `detail` | why it ended, and the system's words |
//!
//! What there is not is `-`, in JSON `null`.

use std::fmt::{self, Write};
use std::time::SystemTime;

use serde::Serialize;

use super::ending::Ending;
use super::reader::Reader;
use crate::daemon::by_route;
use crate::daemon::fields::{Quoted, or_none};
use crate::daemon::log::LogLine;

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
            route: reader.counters().as_ref().and_then(by_route::names),
            why: ending.why.name(),
            detail: ending.detail.as_deref(),
        }
    }
}

impl LogLine for Line<'_> {
    fn write(&self, text: &mut String) -> fmt::Result {
        write!(text, "time={} reader={} kind={}", self.time, self.reader, self.kind)?;
        write!(text, " peer={} total={:.6}", self.peer, self.total)?;
        write!(text, " start={} bytes={}", or_none(self.start), self.bytes)?;
        write!(text, " missed={} lag={}", self.missed, self.lag)?;
        write!(text, " route={} why={}", or_none(self.route.as_ref()), self.why)?;
        write!(text, " detail={}", or_none(self.detail.map(Quoted)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_have_the_same_keys_in_the_same_order() {
        let line = Line {
            time: "2026-11-22T14:32:23.123Z".to_owned(),
            reader: 7,
            kind: "stream",
            peer: "unix".to_owned(),
            total: 1.5,
            start: None,
            bytes: 10,
            missed: 2,
            lag: 3,
            route: Some("sendfile".to_owned()),
            why: "failed",
            detail: Some("two\nlines"),
        };
        let (text, json) = (line.text(), line.json());
        assert_eq!(
            text,
            "time=2026-11-22T14:32:23.123Z reader=7 kind=stream peer=unix total=1.500000 start=- \
             bytes=10 missed=2 lag=3 route=sendfile why=failed detail=\"two\\nlines\"\n"
        );
        let fields: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&json).unwrap();
        let mut keys: Vec<&str> = fields.keys().map(String::as_str).collect();
        keys.sort_by_key(|key| json.find(&format!("\"{key}\":")).unwrap());
        let first = text.split(' ').map(|field| field.split('=').next().unwrap());
        assert_eq!(keys, first.collect::<Vec<_>>());
    }
}
