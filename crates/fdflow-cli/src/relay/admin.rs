//! What is answered to those who look after the program, and done for them.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::feed::Stop;
use super::reader::Order;
use super::recorded::Recorded;
use super::stream::Stream;
use super::supply::{Supplied, Supply};
use super::worker::Shared;
use super::{list, metrics};
use crate::daemon::admin::{Answer, Answering, Answers};
use crate::daemon::rates::Rates;

const PLACES: &str = "there are /healthz, /readyz, /metrics, /flows and /flows/ID\n";

/// What is asked of the program over HTTP.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) shared: Arc<Shared>,
    pub(super) supply: Arc<Supply>,
    pub(super) recorded: Option<Arc<Recorded>>,
    /// The stream is to end.
    pub(super) stop: Stop,
    pub(super) rates: Rates<1>,
}

impl Admin {
    /// A fan-out is still there for its readers when its producer is not.
    fn supplied(&self) -> Supplied {
        let supplied = self.supply.look();
        let is_over = self.shared.stream.get().is_some_and(Stream::is_over);
        if is_over { supplied.over() } else { supplied }
    }

    fn ready(&self) -> Answer {
        let unavailable = |text| Answer::text(StatusCode::SERVICE_UNAVAILABLE, text);
        let supplied = self.supplied();
        if self.stop.is_stopped() || supplied.is_over {
            return unavailable("draining\n".to_owned());
        }
        if supplied.connected.is_none() {
            return unavailable(format!("no producer: {}\n", supplied.from));
        }
        Answer::text(StatusCode::OK, "ready\n")
    }

    fn flows(&self) -> Answer {
        let readers = self.shared.live.all();
        let end = self.shared.stream.get().map_or(0, Stream::end);
        let listed =
            list::json(&readers, &self.supplied(), end, self.recorded.as_deref(), &self.rates);
        match listed {
            Ok(text) => Answer::json(text),
            Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }

    fn cut(&self, id: &str) -> Answer {
        let is_cut = id.parse().is_ok_and(|id| self.shared.live.command(id, Order::Cut));
        if is_cut {
            return Answer::done();
        }
        Answer::text(
            StatusCode::NOT_FOUND,
            "there is no such reader; /flows lists those there are\n",
        )
    }
}

impl Answers for Admin {
    fn answer<'a>(&'a self, method: &'a Method, path: &'a str) -> Answering<'a> {
        let is_get = matches!(*method, Method::GET | Method::HEAD);
        let answer = match path {
            "/healthz" if is_get => Answer::text(StatusCode::OK, "ok\n"),
            "/readyz" if is_get => self.ready(),
            "/metrics" if is_get => Answer::metrics(metrics::text(
                &self.shared.live,
                &self.shared.figures,
                self.supplied(),
                self.recorded.as_deref(),
            )),
            "/flows" if is_get => self.flows(),
            "/healthz" | "/readyz" | "/metrics" | "/flows" => Answer::only("GET, HEAD"),
            _ => match path.strip_prefix("/flows/") {
                Some(id) if *method == Method::DELETE => self.cut(id),
                Some(_) => Answer::only("DELETE"),
                None => Answer::text(StatusCode::NOT_FOUND, PLACES),
            },
        };
        Box::pin(std::future::ready(answer))
    }
}
