//! The two kinds of sockets that are served.

use std::io;
use std::net::IpAddr;
use std::task::{Context, Poll};

use fdflow_hyper::Stream;
use tokio::net::{TcpStream, UnixStream};

/// A connected socket.
pub(super) trait Socket: Stream + Send + Sync + 'static {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn try_take(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn try_give(&self, bytes: &[u8]) -> io::Result<usize>;
    fn client(&self) -> Option<IpAddr>;
}

impl Socket for TcpStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
    fn try_take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_read(buffer)
    }
    fn try_give(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }
    fn client(&self) -> Option<IpAddr> {
        self.peer_addr().ok().map(|address| address.ip().to_canonical())
    }
}

impl Socket for UnixStream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }
    fn try_take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.try_read(buffer)
    }
    fn try_give(&self, bytes: &[u8]) -> io::Result<usize> {
        self.try_write(bytes)
    }
    fn client(&self) -> Option<IpAddr> {
        None
    }
}
