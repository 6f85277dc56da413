//! Opening the two ends, in an order that harms nothing when one of them fails.
//!
//! The source comes first and is read from once; only then is a destination created. An existing
//! one is not cut here, but when the transfer has found nothing wrong with the two.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Stdin, Stdout};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::interrupt::Interrupt;
use super::{Args, hint};
use crate::endpoint::Endpoint;

/// An end that is open.
#[derive(Debug)]
pub(crate) enum End {
    File(File),
    Input(Stdin),
    Output(Stdout),
    Inherited(OwnedFd),
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl End {
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::File(file) => file.as_fd(),
            Self::Input(stdin) => stdin.as_fd(),
            Self::Output(stdout) => stdout.as_fd(),
            Self::Inherited(fd) => fd.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }

    /// Whether it is a regular file, whatever it is called.
    pub(crate) fn is_file(&self) -> bool {
        let stat = rustix::fs::fstat(self.descriptor());
        stat.is_ok_and(|stat| {
            rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::RegularFile
        })
    }
}

/// Both ends, and how many bytes there are to copy if that is known.
#[derive(Debug)]
pub(crate) struct Ends {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) length: Option<u64>,
}

/// A listener that has yet to accept, or an end.
enum Begun {
    Open(End),
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Opens both ends; the error is a line for the user.
pub(crate) fn open(args: &Args, interrupt: &Interrupt) -> Result<Ends, String> {
    let from = begin(&args.from, interrupt, || open_source(args))?;
    let mode = match &from {
        Begun::Open(End::File(file)) => file.metadata().ok().filter(Metadata::is_file),
        _ => None,
    };
    let to = begin(&args.to, interrupt, || open_sink(args, mode.as_ref()))?;
    announce(&from, &args.from);
    announce(&to, &args.to);
    let (from, to) = (accept(from, &args.from)?, accept(to, &args.to)?);
    interrupt.remove_sockets();
    let length = remaining(&from, args);
    Ok(Ends { from, to, length })
}

fn begin(
    endpoint: &Endpoint,
    interrupt: &Interrupt,
    open: impl FnOnce() -> Result<End, String>,
) -> Result<Begun, String> {
    let failed = |error: io::Error| hint::opening("listen on", endpoint, &error);
    match endpoint {
        Endpoint::TcpListen(address) => TcpListener::bind(address).map(Begun::Tcp).map_err(failed),
        Endpoint::UnixListen(path) => {
            let listener = UnixListener::bind(path).map_err(failed)?;
            interrupt.made(path.clone());
            Ok(Begun::Unix(listener))
        }
        _ => open().map(Begun::Open),
    }
}

/// Says which port the system chose, where that was left to it. Both ends are bound by now.
fn announce(begun: &Begun, endpoint: &Endpoint) {
    if let (Begun::Tcp(listener), Endpoint::TcpListen(address)) = (begun, endpoint)
        && address.ends_with(":0")
        && let Ok(local) = listener.local_addr()
    {
        eprintln!("fdflow: copy: listening on tcp-listen://{local}");
    }
}

fn accept(begun: Begun, endpoint: &Endpoint) -> Result<End, String> {
    let end = match begun {
        Begun::Open(end) => Ok(end),
        Begun::Tcp(listener) => listener.accept().map(|(stream, _)| End::Tcp(stream)),
        Begun::Unix(listener) => listener.accept().map(|(stream, _)| End::Unix(stream)),
    };
    // Our own sockets need not block: the transfer waits in poll, where a signal reaches it.
    let end = end.and_then(|end| match &end {
        End::Tcp(stream) => stream.set_nonblocking(true).map(|()| end),
        End::Unix(stream) => stream.set_nonblocking(true).map(|()| end),
        _ => Ok(end),
    });
    end.map_err(|error| hint::opening("accept on", endpoint, &error))
}

fn open_source(args: &Args) -> Result<End, String> {
    let endpoint = &args.from;
    let opened = match endpoint {
        Endpoint::Path(path) => open_readable(path, args.offset.unwrap_or(0)).map(End::File),
        Endpoint::Standard => Ok(End::Input(io::stdin())),
        other => open_stream(other),
    };
    opened.map_err(|error| hint::opening("read", endpoint, &error))
}

/// Opens a file and reads a byte of it, so that one that cannot be read is known now.
fn open_readable(path: &Path, offset: u64) -> io::Result<File> {
    let file = File::open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_dir() {
        return Err(rustix::io::Errno::ISDIR.into());
    }
    if kind.is_file() {
        file.read_at(&mut [0], offset)?;
    }
    Ok(file)
}

fn open_sink(args: &Args, source: Option<&Metadata>) -> Result<End, String> {
    let opened = match &args.to {
        Endpoint::Path(path) => open_writable(&target(path, args)?, args.append, source),
        Endpoint::Standard => Ok(End::Output(io::stdout())),
        other => open_stream(other),
    };
    opened.map_err(|error| hint::opening("write to", &args.to, &error))
}

/// The file to write: in an existing folder, the one that is named like the source.
fn target(path: &Path, args: &Args) -> Result<PathBuf, String> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let name = match &args.from {
        Endpoint::Path(from) => from.file_name(),
        _ => None,
    };
    match name {
        Some(name) => Ok(path.join(name)),
        None => Err(format!("{} is a folder: name a file in it", path.display())),
    }
}

/// Opens without cutting: whether the source is this very file is yet to be seen.
fn open_writable(path: &Path, append: bool, source: Option<&Metadata>) -> io::Result<End> {
    let mut options = OpenOptions::new();
    if append {
        options.append(true);
    } else {
        options.write(true);
    }
    let mode = source.map_or(0o666, |source| source.permissions().mode() & 0o777);
    let file = options.create(true).truncate(false).mode(mode).open(path)?;
    if let Some(source) = source {
        let sink = file.metadata()?;
        if (sink.dev(), sink.ino()) == (source.dev(), source.ino()) {
            return Err(same_file());
        }
    }
    Ok(End::File(file))
}

fn open_stream(endpoint: &Endpoint) -> io::Result<End> {
    match endpoint {
        Endpoint::Fd(number) => fdflow::sys::inherited(*number).map(End::Inherited),
        Endpoint::Tcp(address) => TcpStream::connect(address).map(End::Tcp),
        Endpoint::Unix(path) => UnixStream::connect(path).map(End::Unix),
        _ => Err(io::ErrorKind::Unsupported.into()),
    }
}

/// Cuts a destination to `length`, if it is a file that is overwritten.
pub(crate) fn cut(args: &Args, to: &End, length: u64) -> Result<(), String> {
    let End::File(file) = to else { return Ok(()) };
    if args.append || !to.is_file() {
        return Ok(());
    }
    file.set_len(length).map_err(|error| hint::opening("write to", &args.to, &error))
}

fn same_file() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "source and destination are the same file")
}

/// How many bytes are to be copied, if that is known.
fn remaining(from: &End, args: &Args) -> Option<u64> {
    let stat = rustix::fs::fstat(from.descriptor()).ok().filter(|_| from.is_file());
    let length = stat.map(|stat| u64::try_from(stat.st_size).unwrap_or(0)).filter(|n| *n > 0);
    let start = || rustix::fs::tell(from.descriptor()).unwrap_or(0);
    let left = length.map(|length| length.saturating_sub(args.offset.unwrap_or_else(start)));
    match (left, args.limit) {
        (Some(left), Some(limit)) => Some(left.min(limit)),
        (left, limit) => left.or(limit),
    }
}
