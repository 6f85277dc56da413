//! The accept loop: one per listener and thread.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;

use super::connect::set_options;
use super::gate::Passes;
use super::serve;
use super::service::Service;
use super::worker::{Given, Shared, Worker};
use crate::daemon::accepting::{Came, Listener};
use crate::daemon::conn::{Conn, Laid};
use crate::daemon::exhausted::is_exhausted;
use crate::daemon::listen::{Acceptor, BACKLOG};

/// After so many those who are in have their turn, and get to their upstreams before the last
/// descriptor is taken by who comes.
const AT_ONCE: usize = 8;

/// Accepts until the door is closed, and then who waits already.
pub(super) async fn run(given: Given, worker: Arc<Worker>) -> io::Result<()> {
    let Given { acceptor, door, _accepting } = given;
    let listener = Listener::new(acceptor)?;
    let mut changes = door.changes();
    let mut in_a_row = 0;
    loop {
        let closed = *changes.borrow_and_update();
        let service = door.service();
        if closed {
            return last(&listener.into_std()?, &service, &worker);
        }
        let came = tokio::select! {
            came = next(&listener, &service, &worker.shared) => came,
            // The sender is in the door.
            _ = changes.changed() => continue,
        };
        if let Some((came, passes)) = came {
            // The service may have changed since it was waited for.
            start(came, door.service(), passes, &worker);
        }
        in_a_row += 1;
        if in_a_row == AT_ONCE {
            in_a_row = 0;
            tokio::task::yield_now().await;
        }
    }
}

fn start((client, peer): Came, service: Arc<Service>, passes: Passes, worker: &Arc<Worker>) {
    if let Conn::Tcp(stream) = &client {
        // The peer may be gone already, of which its flow will tell.
        let _set = set_options(&service, stream).is_ok();
    }
    drop(tokio::spawn(serve::run(client, peer, service, passes, Arc::clone(worker))));
}

/// The next connection, when there is room for it.
async fn next(listener: &Listener, service: &Service, shared: &Shared) -> Option<(Came, Passes)> {
    shared.reserve.refilled(|| shared.gate.left()).await;
    service.lasting.gate.room(service.max_connections).await;
    shared.gate.room(shared.max_connections).await;
    // Nobody holds a place while it waits for a connection: that may come in at another listener.
    let accepted = poll_fn(|cx| {
        let Some(passes) = enter(service, shared) else { return Poll::Ready(None) };
        listener.poll_accept(cx).map(|came| Some((came, passes)))
    });
    match accepted.await? {
        (Ok(came), passes) => Some((came, passes)),
        (Err(error), _) => {
            if is_exhausted(&error) {
                shared.reserve.rest("proxy", &error);
            }
            // Otherwise the connection was gone before it was accepted.
            None
        }
    }
}

fn enter(service: &Service, shared: &Shared) -> Option<Passes> {
    Some(Passes {
        _service: service.lasting.gate.enter(service.max_connections)?,
        _program: shared.gate.enter(shared.max_connections)?,
        source: None,
    })
}

/// Whoever the kernel has let in already is served, as far as there is room.
fn last(acceptor: &Acceptor, service: &Arc<Service>, worker: &Arc<Worker>) -> io::Result<()> {
    // Those who come meanwhile are not waited for, and there is no end to them.
    for _ in 0..BACKLOG {
        let Some(passes) = enter(service, &worker.shared) else { return Ok(()) };
        let came = match acceptor {
            Acceptor::Tcp(listener) => {
                listener.accept().map(|(stream, peer)| (Laid::Tcp(stream), Some(peer)))
            }
            Acceptor::Unix(listener) => {
                listener.accept().map(|(stream, _)| (Laid::Unix(stream), None))
            }
        };
        match came {
            Ok((laid, peer)) => {
                laid.set_nonblocking()?;
                start((laid.take_up()?, peer), Arc::clone(service), passes, worker);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if is_exhausted(&error) => return Err(error),
            // The connection was gone before it was accepted.
            Err(_) => {}
        }
    }
    Ok(())
}
