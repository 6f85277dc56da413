//! The transport: a connection that knows the files behind the bytes it is given.

use std::future::Future;
use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fdflow::sys::SigpipeGuard;
use fdflow::{Policy, Route, Routes};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;

use crate::region::{Place, Regions};
use crate::send::{self, Cold, Flight, Socket};

/// After so many bytes the thread's other tasks have their turn.
const TURN: usize = 4 << 20;

/// A connection that sends the files of [`FileBody`](crate::FileBody) by sendfile.
///
/// To anyone but such a body it is the stream within. Give it to hyper's HTTP/1 server (through
/// `hyper_util::rt::TokioIo`), or let [`Listener`](crate::Listener) make it for axum. Beneath TLS
/// it does no good: the bytes have to be read there, so give TLS the plain stream.
///
/// hyper must be left to write slices as they are: `http1::Builder::writev(false)` and
/// `pipeline_flush(true)` flatten them, which reads each file through its mapping.
///
/// A write to a connection that the client has closed is an error, never SIGPIPE: where the program
/// does not ignore the signal when the transport is made, it is kept away around each call.
#[derive(Debug)]
pub struct Transport<S> {
    stream: S,
    place: Place,
    /// A piece that another thread sends, since it has to wait for a disk.
    cold: Option<JoinHandle<io::Result<usize>>>,
    /// Bytes given to the socket since the thread's other tasks had their turn.
    turn: usize,
    /// SIGPIPE has to be kept away: sendfile cannot be told `MSG_NOSIGNAL`.
    signals: bool,
}

/// A connected stream socket of tokio's. Sealed: a [`Transport`] can be around these.
pub trait Stream: AsyncRead + AsyncWrite + AsFd + Unpin + sealed::Sealed {}

impl Stream for TcpStream {}
impl Stream for UnixStream {}

mod sealed {
    use super::{Context, Interest, Poll, TcpStream, UnixStream, io};

    pub trait Sealed {
        fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
        fn try_write<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T>;
        fn prepare(&self);
    }

    impl Sealed for TcpStream {
        fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_write_ready(cx)
        }
        fn try_write<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
            self.try_io(Interest::WRITABLE, call)
        }
        fn prepare(&self) {
            // A connection that is gone already says so at its first read.
            let _set = self.set_nodelay(true).is_ok();
        }
    }

    impl Sealed for UnixStream {
        fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_write_ready(cx)
        }
        fn try_write<T>(&self, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
            self.try_io(Interest::WRITABLE, call)
        }
        fn prepare(&self) {}
    }
}

impl<S: Stream> Transport<S> {
    /// Around an accepted connection, with the routes that [`Policy`] allows by default.
    ///
    /// Sets `TCP_NODELAY`: what belongs together is sent together, and the rest shall not wait.
    pub fn new(stream: S) -> Self {
        Self::with_routes(stream, Policy::default().routes)
    }

    /// As [`new`](Self::new), with these routes: without [`Route::Sendfile`] bodies read.
    pub fn with_routes(stream: S, routes: Routes) -> Self {
        stream.prepare();
        let regions = Regions::new(routes.contains(Route::Sendfile));
        let signals = SigpipeGuard::is_needed();
        Self { stream, place: Place::new(regions), cold: None, turn: 0, signals }
    }

    /// The stream within.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// A slice of a frame of a [`FileBody`](crate::FileBody), as bytes of their own; `None`: the
    /// slice is of no file that is being sent here.
    ///
    /// For programs that stand between hyper and the transport. Such bytes can be kept when hyper's
    /// connection is let go, with its buffers, because the client does not read; they are written
    /// later as the slice would have been, by sendfile. They are a mapping, and not to be read.
    ///
    /// ```no_run
    /// # async fn send(mut transport: fdflow_hyper::Transport<tokio::net::TcpStream>, rest: &[u8]) {
    /// use tokio::io::AsyncWriteExt;
    ///
    /// if let Some(mut owed) = transport.lent(rest) {
    ///     let _all_sent = transport.write_all_buf(&mut owed).await.is_ok();
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn lent(&self, slice: &[u8]) -> Option<Bytes> {
        self.place.regions().lend_again(slice)
    }

    fn poll_flight(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(cold) = &mut self.cold {
                let answer = ready!(Pin::new(cold).poll(cx));
                self.cold = None;
                match answer.map_err(io::Error::other)? {
                    // The socket has no room, but the file is in the page cache now.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    answer => return Poll::Ready(answer),
                }
            }
            ready!(self.poll_turn(cx));
            ready!(self.stream.poll_writable(cx))?;
            let socket = Socket { fd: self.stream.as_fd(), signals: self.signals };
            let regions = self.place.regions();
            match self.stream.try_write(|| send::flight(socket, slices, regions)) {
                Ok(Flight::Sent(n)) => {
                    self.turn += n;
                    return Poll::Ready(Ok(n));
                }
                Ok(Flight::Cold(cold)) => self.cold = Some(send_elsewhere(cold, socket)?),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Leaves the thread to others once this task has had its share of it.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.turn < TURN {
            return Poll::Ready(());
        }
        self.turn = 0;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

fn send_elsewhere(cold: Cold, socket: Socket<'_>) -> io::Result<JoinHandle<io::Result<usize>>> {
    let (fd, signals) = (socket.fd.try_clone_to_owned()?, socket.signals);
    let send = move || cold.send(Socket { fd: fd.as_fd(), signals });
    Ok(tokio::task::spawn_blocking(send))
}

impl<S: Stream> AsyncRead for Transport<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.place.renew();
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for Transport<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        this.place.renew();
        if this.cold.is_none() && this.place.regions().is_empty() {
            return Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        }
        let answer = this.poll_flight(cx, slices);
        if answer.is_pending() {
            this.turn = 0;
        }
        answer
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Nothing is kept back here.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
