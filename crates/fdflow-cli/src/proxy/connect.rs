//! Connecting to an upstream, and to the next where one cannot be had.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout};

use super::ending::{Ending, Who, Why};
use super::flow::Flow;
use super::pool::{Chosen, Pool};
use super::service::Service;
use super::upstream::{Address, With};
use super::worker::Shared;
use crate::daemon::conn::Conn;
use crate::daemon::exhausted::is_exhausted;

/// Without a descriptor to spare it is tried again when a flow ends, or after so long.
const AGAIN: Duration = Duration::from_millis(100);

/// A connection to an upstream.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) conn: Conn,
    pub(super) with: With,
}

/// Connects to one of the pool, each at most once.
pub(super) async fn connect(
    flow: &Flow,
    pool: &Pool,
    client: Option<u64>,
    shared: &Shared,
) -> Result<Connected, Ending> {
    let service = &flow.service;
    let figures = &service.lasting.figures;
    let begun = Instant::now();
    let mut tried = Vec::new();
    let mut last = "its names stand for no address".to_owned();
    let mut who = Who::Upstream;
    while let Some(Chosen { upstream, trial }) = pool.choose(client, &tried) {
        let with = With::new(Arc::clone(&upstream));
        let asked = Instant::now();
        let dialing = flow.in_time(service.times.connect, dial(service, &upstream.address));
        let error = match dialing.await {
            Some(Ok(conn)) => {
                upstream.connected.fetch_add(1, Relaxed);
                figures.connect_seconds.observe(asked.elapsed().as_secs_f64());
                upstream.succeeded(&service.name);
                return Ok(Connected { conn, with });
            }
            Some(Err(error)) => error,
            None => too_late(service),
        };
        if is_exhausted(&error) && begun.elapsed() < service.times.connect {
            if shared.reserve.is_released() {
                // There are more of those who came before it than descriptors held back.
                let _left = timeout(AGAIN, shared.gate.left()).await.is_ok();
            } else {
                // The client took the last descriptor.
                shared.reserve.rest("proxy", &error);
            }
            continue;
        }
        if is_exhausted(&error) {
            return Err(Ending::by(Why::NoUpstream, Who::Proxy, error));
        }
        last = format!("{}: {error}", upstream.address);
        figures.retries.fetch_add(1, Relaxed);
        who = if is_ours(&error) { Who::Proxy } else { Who::Upstream };
        if who == Who::Upstream {
            upstream.failed(&service.name, &error);
        }
        drop(trial);
        tried.push(upstream);
    }
    Err(Ending::by(Why::NoUpstream, who, last))
}

/// Whether it is this machine that cannot, whatever the upstream can: it has no descriptors, no
/// free port towards that address, or not the address to come from.
pub(super) fn is_ours(error: &io::Error) -> bool {
    is_exhausted(error) || Errno::from_io_error(error) == Some(Errno::ADDRNOTAVAIL)
}

/// Connects to an address, as long as it may take.
pub(super) async fn within(service: &Service, address: &Address) -> io::Result<Conn> {
    let dialed = timeout(service.times.connect, dial(service, address)).await;
    dialed.unwrap_or_else(|_| Err(too_late(service)))
}

fn too_late(service: &Service) -> io::Error {
    let most = service.times.connect;
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {most:?}"))
}

async fn dial(service: &Service, address: &Address) -> io::Result<Conn> {
    match address {
        Address::Tcp(address) => Ok(Conn::Tcp(dial_tcp(service, *address).await?)),
        Address::Unix(path) => dial_unix(path).await,
    }
}

async fn dial_tcp(service: &Service, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = service.bind.filter(|from| from.is_ipv4() == address.is_ipv4()) {
        SockRef::from(&socket).set_reuse_address(true)?;
        socket.bind(SocketAddr::new(from, 0))?;
    }
    let stream = socket.connect(address).await?;
    set_options(service, &stream)?;
    Ok(stream)
}

async fn dial_unix(path: &Path) -> io::Result<Conn> {
    Ok(Conn::Unix(UnixStream::connect(path).await?))
}

/// What both ends of a flow are set to.
pub(super) fn set_options(service: &Service, stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    if service.no_delay {
        socket.set_tcp_nodelay(true)?;
    }
    if let Some(time) = service.times.keepalive {
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(time))?;
    }
    if let Some(time) = service.times.user {
        socket.set_tcp_user_timeout(Some(time))?;
    }
    Ok(())
}
