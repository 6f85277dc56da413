//! `/healthz` and `/metrics`.

use http::{Method, StatusCode};

use super::metrics::Metrics;
use crate::daemon::admin::{Answer, Answering, Answers};

impl Answers for Metrics {
    fn answer<'a>(&'a self, method: &'a Method, path: &'a str) -> Answering<'a> {
        let answer = match (method, path) {
            (&Method::GET | &Method::HEAD, "/healthz") => Answer::text(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, "/metrics") => Answer::metrics(self.text()),
            (_, "/healthz" | "/metrics") => Answer::only("GET, HEAD"),
            _ => Answer::text(StatusCode::NOT_FOUND, "there are /healthz and /metrics\n"),
        };
        Box::pin(std::future::ready(answer))
    }
}
