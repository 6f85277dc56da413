//! A request while it is answered, and what is told of it in the end.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use fdflow_hyper::Delivery;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, Version, header};

use super::access_log::AccessLog;
use super::metrics::Metrics;

/// Who is told of requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Observers {
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) log: Option<Arc<AccessLog>>,
}

/// Who is let in, as the answer's extension.
#[derive(Debug, Clone)]
pub(super) struct User(pub(super) Arc<str>);

/// A request that has begun.
#[derive(Debug)]
pub(super) struct Record {
    observers: Observers,
    started: Instant,
    pub(super) client: Option<IpAddr>,
    pub(super) method: Method,
    pub(super) target: Uri,
    pub(super) version: Version,
    pub(super) referer: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) user: Option<User>,
    pub(super) status: StatusCode,
    delivery: Option<Delivery>,
    /// Bytes of the answer's body that were handed to HTTP.
    given: u64,
    /// Bytes of the request's body; counted where it is read.
    received: Arc<AtomicU64>,
}

/// A request that is over.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) ended: SystemTime,
    pub(super) duration: Duration,
    /// Bytes of the answer's body that were sent.
    pub(super) bytes: u64,
    pub(super) sendfile: u64,
    pub(super) copied: u64,
    /// Bytes of the request's body.
    pub(super) received: u64,
    /// Why bytes of files did not go by sendfile.
    pub(super) why: Option<String>,
    /// Whether all of it was sent.
    pub(super) complete: bool,
}

impl Outcome {
    /// The routes that the bytes took.
    pub(super) fn route(&self) -> &'static str {
        match (self.sendfile, self.copied) {
            (0, 0) if self.bytes == 0 => "-",
            (0, 0) => "memory",
            (_, 0) => "sendfile",
            (0, _) => "read_write",
            (_, _) => "sendfile+read_write",
        }
    }

    /// Bytes that came from memory: pages, and heads between parts.
    pub(super) fn memory(&self) -> u64 {
        self.bytes.saturating_sub(self.sendfile + self.copied)
    }
}

impl Record {
    /// `None` where nobody wants to know.
    pub(super) fn begin<B>(
        observers: &Observers,
        request: &Request<B>,
        client: Option<IpAddr>,
    ) -> Option<Self> {
        if observers.metrics.is_none() && observers.log.is_none() {
            return None;
        }
        let text = |name| observers.log.as_ref().and_then(|_| text(request.headers(), &name));
        Some(Self {
            observers: observers.clone(),
            started: Instant::now(),
            client,
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            referer: text(header::REFERER),
            agent: text(header::USER_AGENT),
            user: None,
            status: StatusCode::OK,
            delivery: None,
            given: 0,
            received: Arc::default(),
        })
    }

    /// The answer's head is known.
    pub(super) fn answered<B>(&mut self, response: &Response<B>, delivery: Option<Delivery>) {
        self.status = response.status();
        self.user = response.extensions().get::<User>().cloned();
        self.delivery = delivery;
    }

    /// Where the bytes of the request's body are counted.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.received)
    }

    pub(super) fn gave(&mut self, n: usize) {
        self.given += n as u64;
    }

    /// Tells those who want to know. `complete`: all that was given to HTTP has been sent.
    pub(super) fn finish(self, complete: bool) {
        let (sendfile, copied) =
            self.delivery.as_ref().map_or((0, 0), |d| (d.sendfile(), d.copied()));
        let bytes = match &self.delivery {
            Some(_) if !complete => sendfile + copied,
            _ => self.given.max(sendfile + copied),
        };
        let outcome = Outcome {
            ended: SystemTime::now(),
            duration: self.started.elapsed(),
            bytes,
            sendfile,
            copied,
            received: self.received.load(Ordering::Relaxed),
            why: self.delivery.as_ref().and_then(Delivery::why).map(|why| why.to_string()),
            complete,
        };
        if let Some(metrics) = &self.observers.metrics {
            metrics.count(&self, &outcome);
        }
        if let Some(log) = &self.observers.log {
            log.write(&self, &outcome);
        }
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
