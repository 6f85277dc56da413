//! A connection under TLS: HTTP/1.1 or HTTP/2, as the client prefers.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_rustls::TlsAcceptor;

use super::door::Door;
use super::meter::Order;
use super::socket::Socket;
use super::tls::H2;
use super::watched::Watched;
use super::worker::Live;

/// A request's head may be so long, in all.
const HEAD_MOST: u32 = 64 << 10;

/// Serves a connection under TLS. The stream is the plain one: its bytes are encrypted, and so
/// have to be read.
pub(super) async fn secure<S: Socket>(stream: S, acceptor: TlsAcceptor, live: Live) {
    let site = live.worker.shared.site.load_full();
    let (client, rate, patience) = (stream.client(), site.rate, site.limits.head);
    drop(site);
    let handshake = tokio::time::timeout(patience, acceptor.accept(stream));
    // No TLS, or too slow: there is no language to say so in.
    let Ok(Ok(stream)) = Box::pin(handshake).await else { return };
    let multiplexed = stream.get_ref().1.alpn_protocol() == Some(H2);
    let meter = Arc::clone(&live.meter);
    if multiplexed {
        meter.set_multiplexed();
    }
    let carrier = TokioIo::new(Watched::new(stream, Arc::clone(&meter), rate));
    let door = Door { worker: Arc::clone(&live.worker), meter, client };
    if multiplexed {
        Box::pin(serve_2(carrier, door)).await;
    } else {
        Box::pin(serve_1(carrier, door)).await;
    }
}

macro_rules! obey {
    ($meter:expr, $connection:ident) => {
        poll_fn(|cx| {
            $meter.set_waker(cx.waker());
            match $meter.take_order() {
                None | Some(Order::Park) => {}
                Some(Order::Drain | Order::Close) => $connection.as_mut().graceful_shutdown(),
                Some(Order::Cut | Order::TooSlow) => return Poll::Ready(()),
            }
            // An error is the client's: it has gone, or does not speak HTTP.
            $connection.as_mut().poll(cx).map(|_| ())
        })
        .await
    };
}

async fn serve_1<S: Socket>(carrier: Carrier<S>, door: Door) {
    let mut http = http1::Builder::new();
    // No timer: it would end what is quiet after 30 seconds, whatever the flags say.
    http.half_close(true).max_header_size(HEAD_MOST as usize);
    let service = service_fn(|request| door.answer(request));
    let mut connection = std::pin::pin!(http.serve_connection(carrier, service));
    obey!(door.meter, connection);
}

async fn serve_2<S: Socket>(carrier: Carrier<S>, door: Door) {
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.timer(TokioTimer::new()).max_header_list_size(HEAD_MOST).max_concurrent_streams(128);
    let meter = Arc::clone(&door.meter);
    let service = service_fn(move |request| {
        let door = door.clone();
        async move { door.answer(request).await }
    });
    let mut connection = std::pin::pin!(http.serve_connection(carrier, service));
    obey!(meter, connection);
}

type Carrier<S> = TokioIo<Watched<tokio_rustls::server::TlsStream<S>>>;
