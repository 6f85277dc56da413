//! The accept loop: one per listener and thread.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio_rustls::TlsAcceptor;

use super::connection::plain;
use super::secure::secure;
use super::socket::Socket;
use super::worker::{Live, Worker};
use crate::daemon::exhausted::is_exhausted;
use crate::daemon::listen::Acceptor;

/// Accepts until told to end.
pub(super) async fn run(acceptor: Acceptor, worker: Arc<Worker>) -> io::Result<()> {
    match acceptor {
        Acceptor::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            each(&listener, &worker).await;
        }
        Acceptor::Unix(listener) => {
            let listener = UnixListener::from_std(listener)?;
            each(&listener, &worker).await;
        }
    }
    Ok(())
}

/// What sockets come from.
trait Source: Sync {
    type Socket: Socket;

    fn next(&self) -> impl Future<Output = io::Result<Self::Socket>> + Send;
}

impl Source for TcpListener {
    type Socket = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        Ok(self.accept().await?.0)
    }
}

impl Source for UnixListener {
    type Socket = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

async fn each<L: Source>(listener: &L, worker: &Arc<Worker>) {
    let shared = &worker.shared;
    loop {
        tokio::select! {
            () = shared.reserve.refilled(|| shared.ended.notified()) => {}
            () = shared.closing() => return,
        }
        let stream = tokio::select! {
            stream = listener.next() => stream,
            () = shared.closing() => return,
        };
        match stream {
            Ok(stream) => {
                let live = tokio::select! {
                    live = Live::begin(worker) => live,
                    () = shared.closing() => return,
                };
                start(stream, live);
            }
            Err(error) if is_exhausted(&error) => shared.reserve.rest("serve", &error),
            // The connection was gone before it was accepted.
            Err(_) => {}
        }
    }
}

fn start<S: Socket>(stream: S, live: Live) {
    let tls = live.worker.shared.site.load().tls.clone();
    match tls {
        Some(config) => drop(tokio::spawn(secure(stream, TlsAcceptor::from(config), live))),
        None => drop(tokio::spawn(plain(stream, live))),
    }
}
