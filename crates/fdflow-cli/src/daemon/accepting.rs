//! Listeners in a runtime, and who comes to them.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};

use tokio::net::{TcpListener, UnixListener};

use super::conn::Conn;
use super::listen::Acceptor;

/// A listener in a runtime.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Someone who came, and from where.
pub(crate) type Came = (Conn, Option<SocketAddr>);

impl Listener {
    pub(crate) fn new(acceptor: Acceptor) -> io::Result<Self> {
        Ok(match acceptor {
            Acceptor::Tcp(listener) => Self::Tcp(TcpListener::from_std(listener)?),
            Acceptor::Unix(listener) => Self::Unix(UnixListener::from_std(listener)?),
        })
    }

    pub(crate) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Came>> {
        Poll::Ready(match self {
            Self::Tcp(listener) => ready!(listener.poll_accept(cx))
                .map(|(stream, peer)| (Conn::Tcp(stream), Some(peer))),
            Self::Unix(listener) => {
                ready!(listener.poll_accept(cx)).map(|(stream, _)| (Conn::Unix(stream), None))
            }
        })
    }

    /// Out of the runtime again: whoever is in the kernel's queue is there, whether the runtime
    /// has been told so or not.
    pub(crate) fn into_std(self) -> io::Result<Acceptor> {
        Ok(match self {
            Self::Tcp(listener) => Acceptor::Tcp(listener.into_std()?),
            Self::Unix(listener) => Acceptor::Unix(listener.into_std()?),
        })
    }
}
