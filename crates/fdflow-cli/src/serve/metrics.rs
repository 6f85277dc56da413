//! What `/metrics` tells.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::record::{Outcome, Record};
use crate::daemon::limits;

/// The figures of the program.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Histogram,
    sendfile: Counter,
    copied: Counter,
    memory: Counter,
    received: Counter,
    aborted: Counter,
    /// Connections that have been accepted and have not ended.
    pub(super) connections: Gauge,
    /// Those of them that only wait for their clients to take the rest of a file.
    pub(super) stopped: Gauge,
    /// Connections that have been accepted.
    pub(super) accepted: Counter,
    open_files: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: Method,
    status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, clippy::upper_case_acronyms, reason = "the name is the label")]
enum Method {
    GET,
    HEAD,
    OPTIONS,
    PUT,
    POST,
    PATCH,
    DELETE,
    /// Any other: a client must not be able to make labels.
    other,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("fdflow");
        let requests = Family::<Request, Counter>::default();
        let seconds = Histogram::new(exponential_buckets(0.000_1, 4.0, 10));
        let bytes = Family::<Route, Counter<u64, AtomicU64>>::default();
        let (received, aborted, accepted) =
            (Counter::default(), Counter::default(), Counter::default());
        let (connections, stopped, open_files) =
            (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("requests", "Requests answered", requests.clone());
        registry.register(
            "request_seconds",
            "From a request's head to the last byte of its answer",
            seconds.clone(),
        );
        registry.register(
            "sent_bytes",
            "Bytes of answers' bodies, by the route they took",
            bytes.clone(),
        );
        registry.register("received_bytes", "Bytes of requests' bodies", received.clone());
        registry.register("aborted", "Answers that were not sent whole", aborted.clone());
        registry.register("connections_accepted", "Connections accepted", accepted.clone());
        registry.register("connections_open", "Connections open", connections.clone());
        registry.register(
            "connections_stopped",
            "Connections that only wait for their clients to take the rest of a file",
            stopped.clone(),
        );
        registry.register(
            "open_files",
            "Descriptors that the process has open",
            open_files.clone(),
        );
        let of = |route| bytes.get_or_create_owned(&Route { route });
        let (sendfile, copied, memory) = (of("sendfile"), of("read_write"), of("memory"));
        Self {
            registry,
            requests,
            seconds,
            sendfile,
            copied,
            memory,
            received,
            aborted,
            connections,
            stopped,
            accepted,
            open_files,
        }
    }

    /// Counts a request that is over.
    pub(super) fn count(&self, record: &Record, outcome: &Outcome) {
        let method = match record.method.as_str() {
            "GET" => Method::GET,
            "HEAD" => Method::HEAD,
            "OPTIONS" => Method::OPTIONS,
            "PUT" => Method::PUT,
            "POST" => Method::POST,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => Method::other,
        };
        self.requests.get_or_create(&Request { method, status: record.status.as_u16() }).inc();
        self.seconds.observe(outcome.duration.as_secs_f64());
        self.sendfile.inc_by(outcome.sendfile);
        self.copied.inc_by(outcome.copied);
        self.memory.inc_by(outcome.memory());
        self.received.inc_by(outcome.received);
        if !outcome.complete {
            self.aborted.inc();
        }
    }

    /// The text that Prometheus reads.
    pub(super) fn text(&self) -> Result<String, String> {
        self.open_files.set(i64::try_from(limits::open_now()).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|error| error.to_string())?;
        Ok(text)
    }
}
