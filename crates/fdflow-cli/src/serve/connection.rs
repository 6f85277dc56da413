//! A connection from its first byte to its last.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fdflow_hyper::Transport;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::door::Door;
use super::linger::linger;
use super::meter::{Meter, Order, Phase};
use super::owing::Owing;
use super::protocol;
use super::socket::Socket;
use super::watched::Watched;
use super::worker::{Live, Worker};

/// A request's head may be so long, in all.
const HEAD_MOST: usize = 64 << 10;

pub(super) type Plain<S> = Watched<Transport<S>>;

/// What is next.
enum Next<S> {
    /// Nothing goes on: what HTTP keeps for a connection has been given back.
    Quiet(Plain<S>),
    /// Requests come.
    Busy(Plain<S>),
    /// The rest of a file is all that is owed; HTTP's memory has been given back, too.
    Owing(Owing<S>),
    /// All is said; the client may still be sending.
    Said(Plain<S>),
    /// There is nobody to say anything to.
    Over,
}

/// Serves a plain connection.
///
/// The task is small: what HTTP needs is in a box that is there only while requests come.
pub(super) async fn plain<S: Socket>(stream: S, live: Live) {
    let site = live.worker.shared.site.load_full();
    let client = stream.client();
    let transport = Transport::with_routes(stream, site.routes);
    let carrier = Watched::new(transport, Arc::clone(&live.meter), site.rate);
    drop(site);
    let door = Door { worker: Arc::clone(&live.worker), meter: Arc::clone(&live.meter), client };
    let mut next = Next::Quiet(carrier);
    loop {
        next = match next {
            Next::Quiet(carrier) if poll_fn(|cx| poll_first_byte(&carrier, cx)).await => {
                Next::Busy(carrier)
            }
            Next::Busy(carrier) => Box::pin(busy(carrier, &door)).await,
            Next::Owing(owing) => Box::pin(pay(owing, &live.worker)).await,
            Next::Said(carrier) => return Box::pin(linger(carrier.get_ref().get_ref())).await,
            Next::Quiet(_) | Next::Over => return,
        };
    }
}

/// `true` when there is something to read; `false` when the connection is to end.
fn poll_first_byte<S: Socket>(carrier: &Plain<S>, cx: &mut Context<'_>) -> Poll<bool> {
    let meter = carrier.meter();
    meter.set_waker(cx.waker());
    match meter.take_order() {
        Some(Order::Close | Order::Drain | Order::Cut | Order::TooSlow) => {
            return Poll::Ready(false);
        }
        Some(Order::Park) | None => {}
    }
    meter.set_parked(true);
    carrier.get_ref().get_ref().poll_readable(cx).map(|ready| {
        meter.set_parked(false);
        ready.is_ok()
    })
}

async fn busy<S: Socket>(carrier: Plain<S>, door: &Door) -> Next<S> {
    let meter = &door.meter;
    let service = service_fn(|request| door.answer(request));
    let mut http = http1::Builder::new();
    // No timer: it would end what is quiet after 30 seconds, whatever the flags say.
    http.half_close(true).max_header_size(HEAD_MOST);
    let mut connection = http.serve_connection(TokioIo::new(carrier), service);
    let mut draining = false;
    let end = poll_fn(|cx| {
        meter.set_waker(cx.waker());
        match meter.take_order() {
            None => {}
            Some(Order::Drain) => {
                draining = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            Some(Order::Park) if meter.is_answered() => meter.set_leaving(true),
            Some(Order::Park) if !meter.is_quiet() => {}
            Some(Order::TooSlow) if meter.phase().0 != Phase::Head => {}
            Some(order) => return Poll::Ready(Err(order)),
        }
        let end = Pin::new(&mut connection).poll(cx).map(Ok);
        if meter.is_leaving() {
            let left = meter.has_left();
            meter.set_leaving(false);
            return if left && end.is_pending() { Poll::Ready(Err(Order::Park)) } else { end };
        }
        end
    });
    let end = end.await;
    let parts = connection.into_parts();
    let mut carrier = parts.io.into_inner();
    match end {
        Err(Order::Park) => {
            meter.shrink();
            carrier.unread(&parts.read_buf);
            let owed = carrier.take_owed();
            if owed.is_empty() {
                return Next::Quiet(carrier);
            }
            Next::Owing(Owing { carrier, owed, last: draining || meter.is_last() })
        }
        Err(Order::TooSlow) => {
            // The client may be gone; then there is nobody to tell.
            let _told = carrier.get_ref().get_ref().try_give(protocol::TOO_SLOW).is_ok();
            Next::Said(carrier)
        }
        Err(_) => Next::Over,
        Ok(answered) => {
            if answered.is_err() && meter.unread_head(|head| head.starts_with(b"PRI ")) {
                // HTTP/2 without TLS, which the parser leaves without an answer.
                let _told = carrier.get_ref().get_ref().try_give(protocol::NOT_HTTP_2).is_ok();
            }
            if unheard(meter) { Next::Said(carrier) } else { Next::Over }
        }
    }
}

/// Sends what is owed, and says what comes behind it.
async fn pay<S: Socket>(owing: Owing<S>, worker: &Worker) -> Next<S> {
    let metrics = worker.shared.metrics.as_ref();
    metrics.inspect(|metrics| _ = metrics.stopped.inc());
    let paid = owing.send().await;
    metrics.inspect(|metrics| _ = metrics.stopped.dec());
    match paid {
        None => Next::Over,
        Some((carrier, true)) if unheard(carrier.meter()) => Next::Said(carrier),
        Some((_, true)) => Next::Over,
        // What was read of the next request may be all of it.
        Some((carrier, false)) if carrier.has_unread() => Next::Busy(carrier),
        Some((carrier, false)) => Next::Quiet(carrier),
    }
}

/// Whether the client may still be sending: to close now would take the answer from it.
fn unheard(meter: &Meter) -> bool {
    !meter.peer_ended()
}
