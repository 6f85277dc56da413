//! The two ends of a transfer, as descriptors with a name for what they are.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use clap::ValueEnum;
use rustix::net::sockopt::{set_tcp_congestion, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

/// What an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    File,
    Tcp,
    Unix,
    Pipe,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::File => "file",
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Pipe => "pipe",
        })
    }
}

/// The end that bytes are taken from, in the standard library's type for it.
#[derive(Debug)]
pub(crate) enum SourceEnd {
    File(File),
    Tcp(TcpStream),
    Unix(UnixStream),
    Pipe(io::PipeReader),
}

/// The end that bytes are given to.
#[derive(Debug)]
pub(crate) enum SinkEnd {
    File(File),
    Tcp(TcpStream),
    Unix(UnixStream),
    Pipe(io::PipeWriter),
}

impl SourceEnd {
    pub(crate) fn new(kind: Kind, fd: OwnedFd) -> Self {
        match kind {
            Kind::File => Self::File(fd.into()),
            Kind::Tcp => Self::Tcp(fd.into()),
            Kind::Unix => Self::Unix(fd.into()),
            Kind::Pipe => Self::Pipe(fd.into()),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Tcp(_) => Kind::Tcp,
            Self::Unix(_) => Kind::Unix,
            Self::Pipe(_) => Kind::Pipe,
        }
    }
}

impl SinkEnd {
    pub(crate) fn new(kind: Kind, fd: OwnedFd) -> Self {
        match kind {
            Kind::File => Self::File(fd.into()),
            Kind::Tcp => Self::Tcp(fd.into()),
            Kind::Unix => Self::Unix(fd.into()),
            Kind::Pipe => Self::Pipe(fd.into()),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::File(_) => Kind::File,
            Self::Tcp(_) => Kind::Tcp,
            Self::Unix(_) => Kind::Unix,
            Self::Pipe(_) => Kind::Pipe,
        }
    }
}

impl AsFd for SourceEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(end) => end.as_fd(),
            Self::Tcp(end) => end.as_fd(),
            Self::Unix(end) => end.as_fd(),
            Self::Pipe(end) => end.as_fd(),
        }
    }
}

impl AsFd for SinkEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(end) => end.as_fd(),
            Self::Tcp(end) => end.as_fd(),
            Self::Unix(end) => end.as_fd(),
            Self::Pipe(end) => end.as_fd(),
        }
    }
}

/// How TCP senders are set.
#[derive(Debug, Clone, Default)]
pub(crate) struct TcpOptions {
    pub(crate) nodelay: bool,
    /// The congestion control, where it is not to be the system's.
    pub(crate) congestion: Option<String>,
}

/// A connection of this kind over loopback with the system's buffers: the end that is written to
/// and the end that is read from.
pub(crate) fn connection(kind: Kind, options: &TcpOptions) -> io::Result<(OwnedFd, OwnedFd)> {
    match kind {
        Kind::Tcp => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let flags = SocketFlags::CLOEXEC;
            let writer = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
            // Before it connects: one that was paced once is paced for ever.
            if let Some(name) = &options.congestion {
                set_tcp_congestion(&writer, name)?;
            }
            set_tcp_nodelay(&writer, options.nodelay)?;
            connect(&writer, &listener.local_addr()?)?;
            let (reader, _) = listener.accept()?;
            Ok((writer, reader.into()))
        }
        Kind::Unix => {
            let (writer, reader) = UnixStream::pair()?;
            Ok((writer.into(), reader.into()))
        }
        Kind::Pipe => {
            let (reader, writer) = io::pipe()?;
            Ok((writer.into(), reader.into()))
        }
        Kind::File => Err(io::Error::other("a file is no connection")),
    }
}
