//! A TCP or Unix socket, whichever; also the example of an end that wraps others.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use fdflow_tokio::{AsyncSink, AsyncSource};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Tcp,
    Unix,
}

pub const PAIRS: [(Sort, Sort); 4] = [
    (Sort::Tcp, Sort::Tcp),
    (Sort::Tcp, Sort::Unix),
    (Sort::Unix, Sort::Tcp),
    (Sort::Unix, Sort::Unix),
];

#[derive(Debug)]
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! whichever {
    ($self:expr, $inner:ident => $what:expr) => {
        match $self {
            Socket::Tcp($inner) => $what,
            Socket::Unix($inner) => $what,
        }
    };
}

/// A connected pair.
pub async fn pair(sort: Sort) -> (Socket, Socket) {
    if sort == Sort::Unix {
        let (a, b) = UnixStream::pair().unwrap();
        return (Socket::Unix(a), Socket::Unix(b));
    }
    let (a, b) = tcp().await;
    (Socket::Tcp(a), Socket::Tcp(b))
}

pub async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A pair whose segments carry at most about `bytes`.
pub async fn tcp_of_segments(bytes: u32) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    socket2::SockRef::from(&listener).set_tcp_mss(bytes).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket2::SockRef::from(&socket).set_tcp_mss(bytes).unwrap();
    socket.set_nodelay(true).unwrap();
    let (client, server) = tokio::join!(socket.connect(address), listener.accept());
    (client.unwrap(), server.unwrap().0)
}

/// A pair whose second end takes about `bytes` before it is read from.
pub async fn tcp_of_window(bytes: usize) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(bytes).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Keeps what a socket may send ahead small, so that who writes to it is soon blocked.
pub fn narrow(socket: &impl AsFd) {
    socket2::SockRef::from(socket).set_send_buffer_size(4096).unwrap();
}

impl Socket {
    /// As one that blocks, for a thread.
    pub fn into_std(self) -> File {
        let socket: OwnedFd = match self {
            Self::Tcp(socket) => socket.into_std().unwrap().into(),
            Self::Unix(socket) => socket.into_std().unwrap().into(),
        };
        rustix::io::ioctl_fionbio(&socket, false).unwrap();
        File::from(socket)
    }
}

/// Bytes in a TCP socket that were not put on the wire (`SIOCOUTQNSD`).
#[allow(unsafe_code, reason = "rustix does not have this request")]
pub fn not_sent(socket: &impl AsFd) -> i32 {
    // SAFETY: the request writes one int.
    let request = unsafe { rustix::ioctl::Getter::<0x894b, i32>::new() };
    // SAFETY: sockets know it, and anything else refuses it.
    unsafe { rustix::ioctl::ioctl(socket, request) }.unwrap()
}

/// Closes with a reset.
pub fn reset(stream: impl AsFd) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        whichever!(self, inner => inner.as_fd())
    }
}

impl AsyncSource for Socket {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        whichever!(self, inner => inner.when_readable(call))
    }
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self, inner => inner.poll_readable(cx))
    }
}

impl AsyncSink for Socket {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
    fn when_writable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        whichever!(self, inner => inner.when_writable(call))
    }
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self, inner => inner.poll_writable(cx))
    }
    fn poll_half_close(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self, inner => inner.poll_half_close(cx))
    }
    fn unsent(&self) -> usize {
        whichever!(self, inner => inner.unsent())
    }
    fn abort(&self) {
        whichever!(self, inner => inner.abort());
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        whichever!(self.get_mut(), inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        whichever!(self.get_mut(), inner => Pin::new(inner).poll_write(cx, bytes))
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self.get_mut(), inner => Pin::new(inner).poll_flush(cx))
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        whichever!(self.get_mut(), inner => Pin::new(inner).poll_shutdown(cx))
    }
}
