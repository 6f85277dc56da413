//! What is answered to those who look after the program, and done for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Method, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::flow::Order;
use super::program::Program;
use super::service::Service;
use super::{list, metrics};
use crate::daemon::admin::{Answer, Answering, Answers};
use crate::daemon::rates::Rates;

const PLACES: &str = "there are /healthz, /readyz, /metrics, /flows, /flows/ID and /reload\n";

/// What is asked of the program over HTTP.
#[derive(Debug)]
pub(super) struct Admin {
    program: Arc<Program>,
    draining: AtomicBool,
    rates: Rates<2>,
    reloads: mpsc::Sender<Reload>,
}

/// A reload that is asked for, and who asks.
#[derive(Debug)]
pub(super) struct Reload(oneshot::Sender<Result<(), String>>);

impl Reload {
    /// Says how it went.
    pub(super) fn answer(self, reloaded: Result<(), String>) {
        // Who asked may have left.
        let _told = self.0.send(reloaded).is_ok();
    }
}

impl Admin {
    /// Asks for reloads there.
    pub(super) fn new(program: Arc<Program>) -> (Arc<Self>, mpsc::Receiver<Reload>) {
        let (reloads, asked) = mpsc::channel(1);
        let (draining, rates) = (AtomicBool::new(false), Rates::default());
        (Arc::new(Self { program, draining, rates, reloads }), asked)
    }

    /// From now on it is on its way out.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    fn ready(&self) -> Answer {
        if self.draining.load(Ordering::Relaxed) {
            return Answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        }
        let services = self.program.services();
        let is_down = |service: &&Arc<Service>| !service.pools().any(|pool| pool.is_ready());
        let down: Vec<_> = services.iter().filter(is_down).map(|service| &*service.name).collect();
        if down.is_empty() {
            return Answer::text(StatusCode::OK, "ready\n");
        }
        let text = format!("no upstream is up: {}\n", down.join(", "));
        Answer::text(StatusCode::SERVICE_UNAVAILABLE, text)
    }

    fn flows(&self) -> Answer {
        let flows = self.program.shared.live.all();
        match list::json(&flows, &self.rates) {
            Ok(text) => Answer::json(text),
            Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn cut(&self, id: &str) -> Answer {
        let is_cut = id.parse().is_ok_and(|id| self.program.shared.live.command(id, Order::Cut));
        if is_cut {
            return Answer::done();
        }
        Answer::text(StatusCode::NOT_FOUND, "there is no such flow; /flows lists those there are\n")
    }

    async fn reload(&self) -> Answer {
        let draining = || Answer::text(StatusCode::SERVICE_UNAVAILABLE, "draining\n");
        let (asked, reloaded) = oneshot::channel();
        if self.reloads.send(Reload(asked)).await.is_err() {
            return draining();
        }
        match reloaded.await {
            Ok(Ok(())) => Answer::text(StatusCode::OK, "reloaded\n"),
            Ok(Err(message)) => {
                Answer::text(StatusCode::BAD_REQUEST, format!("not reloaded: {message}\n"))
            }
            Err(_) => draining(),
        }
    }
}

impl Answers for Admin {
    fn answer<'a>(&'a self, method: &'a Method, path: &'a str) -> Answering<'a> {
        let is_get = matches!(*method, Method::GET | Method::HEAD);
        Box::pin(async move {
            match path {
                "/healthz" if is_get => Answer::text(StatusCode::OK, "ok\n"),
                "/readyz" if is_get => self.ready(),
                "/metrics" if is_get => Answer::metrics(metrics::text(&self.program)),
                "/flows" if is_get => self.flows(),
                "/healthz" | "/readyz" | "/metrics" | "/flows" => Answer::only("GET, HEAD"),
                "/reload" if *method == Method::POST => self.reload().await,
                "/reload" => Answer::only("POST"),
                _ => match path.strip_prefix("/flows/") {
                    Some(id) if *method == Method::DELETE => self.cut(id),
                    Some(_) => Answer::only("DELETE"),
                    None => Answer::text(StatusCode::NOT_FOUND, PLACES),
                },
            }
        })
    }
}
