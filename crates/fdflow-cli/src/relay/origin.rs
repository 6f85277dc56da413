//! Where the stream comes from.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use fdflow_tokio::{AsyncSource, Plain};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{FileType, Mode, OFlags};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::daemon::accepting::Listener;
use crate::daemon::address::Address;
use crate::daemon::conn::Conn;
use crate::daemon::exhausted::is_exhausted;
use crate::daemon::listen::{self, Acceptor, Listening};
use crate::endpoint::Endpoint;

/// A producer must have taken a connection within this.
const CONNECT: Duration = Duration::from_secs(5);
/// Without a descriptor for a producer so long is rested.
const REST: Duration = Duration::from_millis(100);
/// A producer's host that says nothing for so long is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The filesystem of pipes without a name.
const PIPEFS: rustix::fs::FsWord = 0x5049_5045;

/// What the stream is read from.
#[derive(Debug)]
pub(super) enum Producer {
    Socket(Conn),
    Pipe(pipe::Receiver),
    File(File),
    /// A terminal, or a socket that others have too: read by threads that may wait.
    Other(Box<Plain<tokio::fs::File>>),
}

impl Producer {
    /// Anything that is open. What others have open too is not made to stop blocking for them.
    fn new(fd: OwnedFd) -> io::Result<Self> {
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&fd)?.st_mode);
        match kind {
            FileType::RegularFile | FileType::BlockDevice => Ok(Self::File(fd.into())),
            FileType::Directory => Err(rustix::io::Errno::ISDIR.into()),
            FileType::Fifo => {
                // Another description of the same pipe, with flags of its own. Of a FIFO whose last
                // writer has gone, opening it would wait for the next.
                let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let again = rustix::fs::open(path, flags, Mode::empty())?;
                if has_name(&fd)? && is_left(&fd) {
                    return Ok(Self::waited_for(fd));
                }
                Ok(Self::Pipe(pipe::Receiver::from_owned_fd(again)?))
            }
            _ => Ok(Self::waited_for(fd)),
        }
    }

    /// A file that this process has opened itself.
    fn opened(file: File) -> io::Result<Self> {
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::Fifo {
            return Ok(Self::Pipe(pipe::Receiver::from_file(file)?));
        }
        Self::new(file.into())
    }

    fn waited_for(fd: OwnedFd) -> Self {
        Self::Other(Box::new(Plain::new(tokio::fs::File::from_std(fd.into()))))
    }

    /// Whether it has sent what nobody has taken yet.
    pub(super) fn has_more(&self) -> bool {
        let Some(fd) = self.source().descriptor() else { return false };
        let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
        let polled = rustix::event::poll(&mut fds, Some(&Timespec::default()));
        polled.is_ok() && fds[0].revents().contains(PollFlags::IN)
    }

    fn socket(conn: Conn) -> Self {
        if let Conn::Tcp(stream) = &conn {
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
            // Without it the same is found out later.
            let _set = SockRef::from(stream).set_tcp_keepalive(&keepalive).is_ok();
        }
        Self::Socket(conn)
    }

    /// Who connected, or was connected to; `None` for all that has no address of IP.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(Conn::Tcp(stream)) => stream.peer_addr().ok(),
            _ => None,
        }
    }

    fn source(&self) -> &dyn AsyncSource {
        match self {
            Self::Socket(conn) => conn,
            Self::Pipe(pipe) => pipe,
            Self::File(file) => file,
            Self::Other(plain) => plain,
        }
    }
}

impl AsyncSource for Producer {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.source().descriptor()
    }
    fn when_readable(&self, call: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        self.source().when_readable(call)
    }
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source().poll_readable(cx)
    }
    fn register(&self, cx: &mut Context<'_>) {
        self.source().register(cx);
    }
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.source().read(buffer)
    }
    fn is_file(&self) -> bool {
        self.source().is_file()
    }
}

/// Where producers come from.
#[derive(Debug)]
pub(super) struct Origin {
    from: Endpoint,
    listening: Option<Listening>,
    listener: Option<Listener>,
}

impl Origin {
    /// Listens, where the producer is to connect.
    pub(super) fn open(from: &Endpoint) -> Result<Self, String> {
        let address = match from {
            Endpoint::TcpListen(address) => Some(Address::Tcp(address.clone())),
            Endpoint::UnixListen(path) => Some(Address::Unix(path.clone())),
            _ => None,
        };
        let listening = match address {
            Some(address) => {
                let listening = listen::all(&[address], 1);
                listening.map_err(|error| format!("--from: {error}"))?.into_iter().next()
            }
            None => None,
        };
        Ok(Self { from: from.clone(), listening, listener: None })
    }

    /// As it is printed, with the port that the system chose.
    pub(super) fn text(&self) -> String {
        match &self.listening {
            Some(Listening::Tcp(_, address)) => format!("tcp-listen://{address}"),
            _ => self.from.to_string(),
        }
    }

    /// The next producer, in the runtime that this is polled in.
    pub(super) async fn next(&mut self) -> io::Result<Producer> {
        match &self.from {
            Endpoint::TcpListen(_) | Endpoint::UnixListen(_) => self.accept().await,
            Endpoint::Tcp(address) => {
                let stream = timeout(CONNECT, TcpStream::connect(address)).await;
                Ok(Producer::socket(Conn::Tcp(stream.map_err(|_| too_late())??)))
            }
            Endpoint::Unix(path) => {
                Ok(Producer::socket(Conn::Unix(UnixStream::connect(path).await?)))
            }
            Endpoint::Fd(number) => Producer::new(fdflow::sys::inherited(*number)?),
            Endpoint::Standard => Producer::new(io::stdin().as_fd().try_clone_to_owned()?),
            Endpoint::Path(path) => open(path).await,
        }
    }

    async fn accept(&mut self) -> io::Result<Producer> {
        if self.listener.is_none() {
            let acceptor: Option<Acceptor> = self.listening.as_mut().and_then(Listening::take);
            self.listener = acceptor.map(Listener::new).transpose()?;
        }
        let Some(listener) = &self.listener else { return Err(io::ErrorKind::NotConnected.into()) };
        let (conn, _) = loop {
            match std::future::poll_fn(|cx| listener.poll_accept(cx)).await {
                // Readers have taken the last descriptor: it is not the producer that is refused.
                Err(error) if is_exhausted(&error) => tokio::time::sleep(REST).await,
                came => break came?,
            }
        };
        Ok(Producer::socket(conn))
    }
}

/// A FIFO is open once somebody writes to it.
async fn open(path: &Path) -> io::Result<Producer> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || File::open(path)).await;
    Producer::opened(opened.map_err(|_| io::Error::from(io::ErrorKind::Interrupted))??)
}

/// Whether nobody writes to a pipe any more. It can be read without waiting; of a FIFO, another
/// description is not told of that.
fn is_left(fd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::empty())];
    let polled = rustix::event::poll(&mut fds, Some(&Timespec::default()));
    polled.is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

/// Whether it is a FIFO in some folder.
fn has_name(fd: &OwnedFd) -> io::Result<bool> {
    Ok(rustix::fs::fstatfs(fd)?.f_type != PIPEFS)
}

fn too_late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {CONNECT:?}"))
}
