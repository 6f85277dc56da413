//! Opening what is listened on.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use socket2::{Domain, Protocol, Socket, Type};

use super::address::Address;
use super::socket_path::{self, Place, Sharing};

/// Connections that wait to be accepted; the kernel's own limit may be lower.
pub(crate) const BACKLOG: i32 = 4096;

/// An open listener, one descriptor per thread.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(Vec<TcpListener>, SocketAddr),
    Unix(Vec<UnixListener>, Place),
}

/// Opens `addresses` for `threads` threads. What somebody listens on is busy.
pub(crate) fn all(addresses: &[Address], threads: usize) -> Result<Vec<Listening>, String> {
    open(addresses, threads, Sharing::Alone)
}

/// The same for a program of which a new process takes over from the old one: ports are shared
/// (SO_REUSEPORT) with what shares them too, and a socket's path is taken from who has it.
pub(crate) fn taking_over(addresses: &[Address], threads: usize) -> Result<Vec<Listening>, String> {
    open(addresses, threads, Sharing::TakesOver)
}

fn open(addresses: &[Address], threads: usize, sharing: Sharing) -> Result<Vec<Listening>, String> {
    let mut open = Vec::new();
    for address in addresses {
        match address {
            Address::Unix(path) => open.push(unix(path, threads, sharing)?),
            Address::Tcp(name) => {
                for address in resolve(name)? {
                    open.push(tcp(address, threads, sharing)?);
                }
            }
        }
    }
    Ok(open)
}

/// What the service manager hands over.
pub(crate) fn inherited(threads: usize) -> Result<Vec<Listening>, String> {
    let mut handed = ListenFd::from_env();
    let mut open = Vec::new();
    for index in 0..handed.len() {
        let wrong = |error: &dyn fmt::Display| {
            format!("LISTEN_FDS: descriptor {} is no listening socket: {error}", index + 3)
        };
        let listening = match handed.take_tcp_listener(index) {
            Ok(Some(listener)) => {
                let address = listener.local_addr().map_err(|error| wrong(&error))?;
                let copies =
                    copies(listener, threads, TcpListener::try_clone, |l| l.set_nonblocking(true));
                Listening::Tcp(copies.map_err(|error| wrong(&error))?, address)
            }
            _ => match handed.take_unix_listener(index) {
                Ok(Some(listener)) => {
                    let name = listener.local_addr().map_err(|error| wrong(&error))?;
                    let path = name.as_pathname().map(Path::to_owned);
                    let copies = copies(listener, threads, UnixListener::try_clone, |l| {
                        l.set_nonblocking(true)
                    });
                    let place = Place::inherited(path);
                    Listening::Unix(copies.map_err(|error| wrong(&error))?, place)
                }
                Ok(None) => continue,
                Err(error) => return Err(wrong(&error)),
            },
        };
        open.push(listening);
    }
    Ok(open)
}

fn resolve(name: &str) -> Result<Vec<SocketAddr>, String> {
    let found: Vec<SocketAddr> = name
        .to_socket_addrs()
        .map_err(|error| format!("cannot find the address {name}: {error}; write it in numbers"))?
        .collect();
    // One name may be listed twice.
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// With more than one thread each has its own queue of the port; the kernel deals connections out.
fn tcp(address: SocketAddr, threads: usize, sharing: Sharing) -> Result<Listening, String> {
    if sharing == Sharing::TakesOver {
        return tcp_shared(address, threads).map_err(|error| refused(address, &error));
    }
    // Without the option to share: a port that somebody has, another of our own too, is busy.
    let probe = bind(address, false).map_err(|error| refused(address, &error))?;
    let local = probe.local_addr().map_err(|error| refused(address, &error))?;
    let local = local.as_socket().unwrap_or(address);
    if threads == 1 {
        let listener = listen(probe).map_err(|error| refused(address, &error))?;
        return Ok(Listening::Tcp(vec![listener], local));
    }
    drop(probe);
    let one = |_| bind(local, true).and_then(listen);
    let listeners: io::Result<Vec<_>> = (0..threads).map(one).collect();
    Ok(Listening::Tcp(listeners.map_err(|error| refused(address, &error))?, local))
}

fn tcp_shared(address: SocketAddr, threads: usize) -> io::Result<Listening> {
    let first = bind(address, true)?;
    let local = first.local_addr()?.as_socket().unwrap_or(address);
    let mut listeners = vec![listen(first)?];
    for _ in 1..threads {
        listeners.push(bind(local, true).and_then(listen)?);
    }
    Ok(Listening::Tcp(listeners, local))
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "end what listens there, or choose another with --listen",
        io::ErrorKind::PermissionDenied => "ports below 1024 are root's: choose a higher one",
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address",
        _ => "choose another with --listen",
    };
    format!("cannot listen on {address}: {error}; {advice}")
}

fn unix(path: &Path, threads: usize, sharing: Sharing) -> Result<Listening, String> {
    let (listener, place) = socket_path::bind(path, sharing)?;
    let copies = copies(listener, threads, UnixListener::try_clone, |l| l.set_nonblocking(true));
    let copies = copies.map_err(|error| socket_path::refused(path, &error))?;
    Ok(Listening::Unix(copies, place))
}

fn copies<L>(
    first: L,
    n: usize,
    copy: impl Fn(&L) -> io::Result<L>,
    prepare: impl Fn(&L) -> io::Result<()>,
) -> io::Result<Vec<L>> {
    prepare(&first)?;
    let mut all = Vec::with_capacity(n);
    for _ in 1..n {
        all.push(copy(&first)?);
    }
    all.push(first);
    Ok(all)
}

impl Listening {
    /// One thread's listener.
    pub(crate) fn take(&mut self) -> Option<Acceptor> {
        match self {
            Self::Tcp(listeners, _) => listeners.pop().map(Acceptor::Tcp),
            Self::Unix(listeners, _) => listeners.pop().map(Acceptor::Unix),
        }
    }

    /// Its TCP address, if it has one.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(_, address) => Some(*address),
            Self::Unix(..) => None,
        }
    }

    /// Its address, as it is written.
    pub(crate) fn address_text(&self) -> String {
        match self {
            Self::Tcp(_, address) => address.to_string(),
            Self::Unix(..) => self.url(""),
        }
    }

    /// As it is printed for browsers.
    pub(crate) fn url(&self, scheme: &str) -> String {
        match self {
            Self::Tcp(_, address) => format!("{scheme}://{address}/"),
            Self::Unix(_, place) => match place.path() {
                Some(path) => format!("unix://{}", path.display()),
                None => "unix://".to_owned(),
            },
        }
    }
}

/// A listener of one thread.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}
