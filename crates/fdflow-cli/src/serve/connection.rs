//! A connection from its first byte to its last.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fdflow_hyper::Transport;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};

use super::door::Door;
use super::linger::linger;
use super::meter::{Meter, Order, Phase};
use super::protocol;
use super::socket::Socket;
use super::watched::Watched;
use super::worker::Live;

/// A request's head may be so long, in all.
const HEAD_MOST: usize = 64 << 10;

type Plain<S> = Watched<Transport<S>>;

/// How a stretch of requests ended.
enum Busy<S> {
    /// Nothing goes on: what HTTP keeps for a connection has been given back.
    Quiet(Plain<S>),
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
    let mut carrier = Watched::new(transport, Arc::clone(&live.meter), site.rate);
    drop(site);
    let door = Door { worker: Arc::clone(&live.worker), meter: Arc::clone(&live.meter), client };
    loop {
        if !poll_fn(|cx| poll_first_byte(&carrier, cx)).await {
            return;
        }
        match Box::pin(busy(carrier, &door)).await {
            Busy::Quiet(back) => carrier = back,
            Busy::Said(back) => return Box::pin(linger(back.get_ref().get_ref())).await,
            Busy::Over => return,
        }
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

async fn busy<S: Socket>(carrier: Plain<S>, door: &Door) -> Busy<S> {
    let meter = &door.meter;
    let service = service_fn(|request| door.answer(request));
    let mut http = http1::Builder::new();
    http.half_close(true).timer(TokioTimer::new()).max_header_size(HEAD_MOST);
    let mut connection = http.serve_connection(TokioIo::new(carrier), service);
    let end = poll_fn(|cx| {
        meter.set_waker(cx.waker());
        match meter.take_order() {
            None => {}
            Some(Order::Drain) => Pin::new(&mut connection).graceful_shutdown(),
            Some(Order::Park) if !meter.is_quiet() => {}
            Some(Order::TooSlow) if meter.phase().0 != Phase::Head => {}
            Some(order) => return Poll::Ready(Err(order)),
        }
        Pin::new(&mut connection).poll(cx).map(Ok)
    });
    let end = end.await;
    let parts = connection.into_parts();
    let mut carrier = parts.io.into_inner();
    match end {
        Err(Order::Park) => {
            meter.shrink();
            // Empty, it would still keep the buffer that it is a part of.
            if !parts.read_buf.is_empty() {
                carrier.unread(parts.read_buf);
            }
            Busy::Quiet(carrier)
        }
        Err(Order::TooSlow) => {
            // The client may be gone; then there is nobody to tell.
            let _told = carrier.get_ref().get_ref().try_give(protocol::TOO_SLOW).is_ok();
            Busy::Said(carrier)
        }
        Err(_) => Busy::Over,
        Ok(answered) => {
            if answered.is_err() && meter.unread_head(|head| head.starts_with(b"PRI ")) {
                // HTTP/2 without TLS, which the parser leaves without an answer.
                let _told = carrier.get_ref().get_ref().try_give(protocol::NOT_HTTP_2).is_ok();
            }
            if unheard(meter) { Busy::Said(carrier) } else { Busy::Over }
        }
    }
}

/// Whether the client may still be sending: to close now would take the answer from it.
fn unheard(meter: &Meter) -> bool {
    !meter.peer_ended()
}
