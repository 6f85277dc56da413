//! A request on its way in, and its answer on its way out.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, Version, header};
use hyper::body::Incoming;

use super::meter::Meter;
use super::protocol;
use super::record::Record;
use super::reply::{Received, Reply};
use super::site;
use super::worker::Worker;

/// What a connection's requests go through.
#[derive(Debug, Clone)]
pub(super) struct Door {
    pub(super) worker: Arc<Worker>,
    pub(super) meter: Arc<Meter>,
    pub(super) client: Option<IpAddr>,
}

impl Door {
    /// Answers a request.
    pub(super) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Reply>, Infallible> {
        let body = !hyper::body::Body::is_end_stream(request.body());
        self.meter.request(body);
        // Counts as answered also where this future is dropped.
        let mut begun = Begun { meter: Some(Arc::clone(&self.meter)) };
        let site = self.worker.shared.site.load();
        let mut record = Record::begin(&site.observers, &request, self.client);
        let refusal = protocol::refuse(&request, &self.meter);
        let last = protocol::ends(request.version(), request.headers());
        let close = refusal.is_some() || body && protocol::is_chunked(&request);
        let mut response = match refusal {
            Some(refusal) => site::status(refusal),
            None => {
                let site = arc_swap::Guard::into_inner(site);
                let counter = record.as_ref().map(Record::counter);
                let meter = Arc::clone(&self.meter);
                site.answer(request.map(|body| Received::new(body, meter, counter))).await
            }
        };
        if close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        self.meter.set_last(last || protocol::ends(Version::HTTP_11, response.headers()));
        if let Some(record) = &mut record {
            let delivery = response.body().files().as_file().map(fdflow_hyper::FileBody::delivery);
            record.answered(&response, delivery);
        }
        begun.meter = None;
        Ok(response.map(|reply| reply.seen_by(Arc::clone(&self.meter), record)))
    }
}

/// A request that has no answer yet.
struct Begun {
    meter: Option<Arc<Meter>>,
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(meter) = &self.meter {
            meter.reply(None);
        }
    }
}
