//! The accept loop: one per listener and thread.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use tokio::task::yield_now;

use super::listeners::Speaks;
use super::worker::Shared;
use super::{http, serve};
use crate::daemon::accepting::{Came, Listener};
use crate::daemon::conn::Conn;
use crate::daemon::exhausted::is_exhausted;
use crate::daemon::gate::Pass;
use crate::daemon::listen::Acceptor;

/// Accepts until the stream has ended.
pub(super) async fn run(speaks: Speaks, acceptor: Acceptor, shared: Arc<Shared>) -> io::Result<()> {
    let listener = Listener::new(acceptor)?;
    loop {
        let came = tokio::select! {
            came = next(&listener, &shared) => came,
            () = shared.over.stopped() => return Ok(()),
        };
        let Some(((conn, peer), pass)) = came else { continue };
        if let Conn::Tcp(stream) = &conn {
            // The peer may be gone already, which shows.
            let _set = stream.set_nodelay(true).is_ok();
        }
        let shared = Arc::clone(&shared);
        drop(match speaks {
            Speaks::Nothing => tokio::spawn(serve::run(conn, peer, pass, shared)),
            Speaks::Http => tokio::spawn(http::run(conn, peer, pass, shared)),
        });
        // It takes what it needs before the next one is accepted.
        yield_now().await;
    }
}

/// The next connection, when there is room for it.
async fn next(listener: &Listener, shared: &Shared) -> Option<(Came, Pass)> {
    shared.reserve.refilled(|| shared.gate.left()).await;
    shared.gate.room(shared.max_readers).await;
    // Nobody holds a place while it waits for a connection: that may come in at another listener.
    let accepted = poll_fn(|cx| {
        let Some(pass) = shared.gate.enter(shared.max_readers) else { return Poll::Ready(None) };
        listener.poll_accept(cx).map(|came| Some((came, pass)))
    });
    match accepted.await? {
        (Ok(came), pass) => Some((came, pass)),
        (Err(error), _) => {
            if is_exhausted(&error) {
                shared.reserve.rest("relay", &error);
            }
            None
        }
    }
}
