//! The accept loop: one per listener and thread.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::listeners::Speaks;
use super::worker::Shared;
use super::{http, serve};
use crate::daemon::accepting::{Came, Listener};
use crate::daemon::conn::Conn;
use crate::daemon::exhausted::is_exhausted;
use crate::daemon::gate::Pass;
use crate::daemon::listen::Acceptor;

/// Without a descriptor to spare accepting rests until a reader ends, or for so long.
const REST: Duration = Duration::from_secs(1);

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
    }
}

/// The next connection, when there is room for it.
async fn next(listener: &Listener, shared: &Shared) -> Option<(Came, Pass)> {
    while shared.reserve.is_released() {
        let _ended = timeout(REST, shared.gate.left()).await.is_ok();
        if shared.reserve.fill() {
            break;
        }
    }
    shared.gate.room(shared.max_readers).await;
    let accepted = poll_fn(|cx| listener.poll_accept(cx)).await;
    match accepted {
        // Other threads may have let others in meanwhile: a few more than there may be.
        Ok(came) => Some((came, shared.gate.enter(usize::MAX)?)),
        Err(error) => {
            if is_exhausted(&error) {
                shared.reserve.rest("relay", &error);
            }
            None
        }
    }
}
