//! Both ends of flows: addresses, listeners and connections of TCP and Unix sockets as one type.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use fdflow_tokio::AsyncSink;
use socket2::SockRef;

/// Long enough for anything on a busy machine; a test that reaches it fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where something is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl FromStr for At {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.strip_prefix("unix://") {
            Some(path) => Self::Unix(path.into()),
            None => Self::Tcp(text.parse().unwrap()),
        })
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

impl At {
    #[track_caller]
    pub fn connect(&self) -> Stream {
        self.try_connect().unwrap()
    }

    pub fn try_connect(&self) -> io::Result<Stream> {
        Ok(Stream::new(match self {
            Self::Tcp(address) => Socket::Tcp(TcpStream::connect(address)?),
            Self::Unix(path) => Socket::Unix(UnixStream::connect(path)?),
        }))
    }
}

/// A server that the test plays.
pub enum Backend {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Backend {
    /// On a free port.
    pub fn tcp() -> Self {
        Self::Tcp(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn unix(path: PathBuf) -> Self {
        Self::Unix(UnixListener::bind(path).unwrap())
    }

    pub fn at(&self) -> At {
        match self {
            Self::Tcp(listener) => At::Tcp(listener.local_addr().unwrap()),
            Self::Unix(listener) => {
                At::Unix(listener.local_addr().unwrap().as_pathname().unwrap().to_owned())
            }
        }
    }

    /// The next connection; none in time fails the test.
    #[track_caller]
    pub fn accept(&self) -> Stream {
        let fd = match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        };
        assert!(is_readable(fd, PATIENCE), "nobody came");
        Stream::new(match self {
            Self::Tcp(listener) => Socket::Tcp(listener.accept().unwrap().0),
            Self::Unix(listener) => Socket::Unix(listener.accept().unwrap().0),
        })
    }

    /// Whether somebody waits to be accepted.
    pub fn is_asked(&self) -> bool {
        match self {
            Self::Tcp(listener) => is_readable(listener.as_fd(), Duration::ZERO),
            Self::Unix(listener) => is_readable(listener.as_fd(), Duration::ZERO),
        }
    }
}

fn is_readable(fd: BorrowedFd<'_>, within: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let within = Timespec::try_from(within).unwrap();
    poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&within)).unwrap() > 0
}

/// A connection.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
}

impl From<Stream> for OwnedFd {
    fn from(stream: Stream) -> Self {
        match stream.socket {
            Socket::Tcp(stream) => stream.into(),
            Socket::Unix(stream) => stream.into(),
        }
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

macro_rules! either {
    ($self:ident, $stream:ident => $call:expr) => {
        match &$self.socket {
            Socket::Tcp($stream) => $call,
            Socket::Unix($stream) => $call,
        }
    };
}

impl Stream {
    fn new(socket: Socket) -> Self {
        let stream = Self { socket };
        either!(stream, s => s.set_read_timeout(Some(PATIENCE)).unwrap());
        either!(stream, s => s.set_write_timeout(Some(PATIENCE)).unwrap());
        if let Socket::Tcp(s) = &stream.socket {
            s.set_nodelay(true).unwrap();
        }
        stream
    }

    /// A TCP connection from this address of the machine.
    pub fn from_address(from: &str, to: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let (socket, from) = (socket.unwrap(), SocketAddr::new(from.parse().unwrap(), 0));
        socket.bind(&from.into()).unwrap();
        socket.connect(&to.into()).unwrap();
        Self::new(Socket::Tcp(socket.into()))
    }

    /// Bytes that the peer's system has not acknowledged.
    pub fn unsent(&self) -> usize {
        let Socket::Tcp(s) = &self.socket else { return 0 };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        s.set_nonblocking(true).unwrap();
        let unsent = tokio::net::TcpStream::from_std(s.try_clone().unwrap()).unwrap().unsent();
        s.set_nonblocking(false).unwrap();
        unsent
    }

    pub fn try_clone(&self) -> Self {
        Self {
            socket: match &self.socket {
                Socket::Tcp(s) => Socket::Tcp(s.try_clone().unwrap()),
                Socket::Unix(s) => Socket::Unix(s.try_clone().unwrap()),
            },
        }
    }

    /// Its own address and the peer's, of TCP.
    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        match &self.socket {
            Socket::Tcp(s) => (s.local_addr().unwrap(), s.peer_addr().unwrap()),
            Socket::Unix(_) => panic!("a Unix socket has no address"),
        }
    }

    pub fn is_tcp(&self) -> bool {
        matches!(self.socket, Socket::Tcp(_))
    }

    #[track_caller]
    pub fn send(&self, bytes: &[u8]) {
        either!(self, s => { let mut s: &_ = s; s.write_all(bytes).unwrap() });
    }

    /// The same of what may be refused midway.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<()> {
        either!(self, s => { let mut s: &_ = s; s.write_all(bytes) })
    }

    /// As many of these bytes as are taken at once.
    pub fn send_what_fits(&self, bytes: &[u8]) -> usize {
        either!(self, s => s.set_nonblocking(true).unwrap());
        let mut sent = 0;
        while sent < bytes.len() {
            match either!(self, s => { let mut s: &_ = s; s.write(&bytes[sent..]) }) {
                Ok(n) => sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        either!(self, s => s.set_nonblocking(false).unwrap());
        sent
    }

    /// Exactly so many bytes.
    #[track_caller]
    pub fn receive(&self, n: usize) -> Vec<u8> {
        let mut bytes = vec![0; n];
        either!(self, s => { let mut s: &_ = s; s.read_exact(&mut bytes).unwrap() });
        bytes
    }

    /// All that comes until the end; a reset fails the test.
    #[track_caller]
    pub fn rest(&self) -> Vec<u8> {
        let (bytes, ended) = self.rest_and_end();
        ended.unwrap();
        bytes
    }

    /// All that comes, and how it ends.
    pub fn rest_and_end(&self) -> (Vec<u8>, io::Result<()>) {
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            match either!(self, s => { let mut s: &_ = s; s.read(&mut buffer) }) {
                Ok(0) => return (bytes, Ok(())),
                Ok(n) => bytes.extend_from_slice(&buffer[..n]),
                Err(error) => return (bytes, Err(error)),
            }
        }
    }

    /// What the first read brings; nothing at the end.
    pub fn first(&self) -> (Vec<u8>, io::Result<()>) {
        let mut buffer = vec![0; 64 << 10];
        match either!(self, s => { let mut s: &_ = s; s.read(&mut buffer) }) {
            Ok(n) => (buffer[..n].to_vec(), Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        }
    }

    /// Whether there is something to read, or an end, by now.
    pub fn is_readable(&self) -> bool {
        either!(self, s => is_readable(s.as_fd(), Duration::ZERO))
    }

    pub fn half_close(&self) {
        either!(self, s => s.shutdown(Shutdown::Write).unwrap());
    }

    /// Closes with a reset: what is still on its way is lost. A Unix socket has none, but for one
    /// that is closed with bytes unread.
    pub fn reset(self) {
        if let Socket::Tcp(s) = &self.socket {
            SockRef::from(s).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Segments of at most so many bytes from here on.
    pub fn small_segments(&self, bytes: u32) {
        if let Socket::Tcp(s) = &self.socket {
            SockRef::from(s).set_tcp_mss(bytes).unwrap();
        }
    }
}
