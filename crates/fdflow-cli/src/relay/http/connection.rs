//! A connection of HTTP/1, from its first request to its end.

use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use fdflow_hyper::{Stream, Transport};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use super::answer::answer;
use super::carrier::Carrier;
use super::desk::Desk;
use crate::relay::ending::{Ending, Why};
use crate::relay::serve::LAST;

/// A request's head comes within this, and the next request too.
const HEAD: Duration = Duration::from_secs(30);
/// So much HTTP keeps of a head, and of a body before the socket takes it.
const BUFFER: usize = 64 << 10;

/// Answers until either side ends it.
pub(super) async fn serve<S: Stream + Send + 'static>(stream: S, desk: &Arc<Desk>) {
    let transport = Transport::with_routes(stream, desk.shared.terms.routes);
    let carrier = TokioIo::new(Carrier::new(transport, Arc::clone(desk)));
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(&request, desk))));
    let mut http = http1::Builder::new();
    // A client that has closed its side is taken for gone: that is all that is seen of one that
    // leaves while the stream is silent.
    http.half_close(false).max_buf_size(BUFFER);
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut connection = http.serve_connection(carrier, service);
    let mut told = pin!(desk.told());
    let mut over = pin!(desk.shared.over.stopped());
    let mut is_last = false;
    let (ending, is_said) = loop {
        let ended = tokio::select! {
            biased;
            ended = &mut connection => Some(match ended {
                Ok(()) => (Why::Left.into(), true),
                Err(error) => (reason(&error), false),
            }),
            ending = &mut told => Some((ending, false)),
            () = &mut over, if !is_last => None,
        };
        if let Some(ended) = ended {
            break ended;
        }
        is_last = true;
        Pin::new(&mut connection).graceful_shutdown();
    };
    let is_unaware = desk.close(&ending);
    let mut carrier = connection.into_parts().io.into_inner();
    if is_unaware {
        // A client that is gone needs no telling.
        let _reset = SockRef::from(carrier.stream()).set_linger(Some(Duration::ZERO)).is_ok();
    } else if is_said {
        linger(&mut carrier).await;
    }
}

/// To close while the client is still sending would take the answer from it.
async fn linger<S: Stream>(carrier: &mut Carrier<S>) {
    let mut block = [0; 4096];
    let peer = async { while matches!(carrier.read(&mut block).await, Ok(1..)) {} };
    drop(timeout(LAST, peer).await);
}

/// Why HTTP gave up.
fn reason(error: &hyper::Error) -> Ending {
    if error.is_incomplete_message() {
        return Why::Left.into();
    }
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) => error.into(),
        None => Ending { why: Why::Failed, detail: Some(error.to_string()) },
    }
}
