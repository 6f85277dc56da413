//! The relaying process: every connection that comes is joined to one that it makes.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::{Args, ValueEnum};
use rustix::net::sockopt::set_tcp_congestion;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::task::yield_now;

use super::control::{Snapshot, allow_descriptors, rss_kib};
use super::epoll;
use crate::measure::{Who, cpu_time};
use crate::roles::{READY, pin, say, stdin, stdout};

/// What the plain relays read at a time.
pub(super) const BUFFER: usize = 32 << 10;
thread_local! {
    static SHARED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
/// So often are all tasks that can go on let go on between two looks at the memory.
const TURNS: usize = 128;
/// Looks after which memory that will not settle is an error.
const LOOKS: usize = 1000;

/// Who relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Relay {
    /// `fdflow_tokio::copy_bidirectional`
    Fdflow,
    /// `fdflow_tokio::Bidirectional` with an idle timeout
    FdflowTimeout,
    /// Split sockets, a read and a `write_all` each way through 32 KiB
    TokioReadWrite,
    /// `tokio::io::copy_bidirectional`, 8 KiB each way
    TokioCopy,
    /// `tokio::io::copy_bidirectional_with_sizes`, 32 KiB each way
    TokioCopy32k,
    /// As `TokioReadWrite`, with a buffer that is the process's and no flow's
    TokioOneBuffer,
    /// `epoll_wait`, `read` and `write` with no runtime, one buffer for all
    Epoll,
}

impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fdflow => "fdflow",
            Self::FdflowTimeout => "fdflow-timeout",
            Self::TokioReadWrite => "tokio-read-write",
            Self::TokioCopy => "tokio-copy",
            Self::TokioCopy32k => "tokio-copy32k",
            Self::TokioOneBuffer => "tokio-one-buffer",
            Self::Epoll => "epoll",
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    relay: Relay,
    #[arg(long)]
    pub(super) upstream: SocketAddr,
    #[arg(long)]
    pub(super) nodelay: bool,
    #[arg(long)]
    pub(super) congestion: Option<String>,
    #[arg(long)]
    cpu: Option<usize>,
}

/// Relays until the control at standard output is closed.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    pin(options.cpu)?;
    allow_descriptors()?;
    let listener = std::net::TcpListener::from(stdin()?);
    let control = StdUnixStream::from(stdout()?);
    if options.relay == Relay::Epoll {
        say(READY)?;
        return epoll::relay(&listener, &control, options);
    }
    listener.set_nonblocking(true)?;
    control.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        let control = UnixStream::from_std(control)?;
        let started = Arc::new(AtomicUsize::new(0));
        say(READY)?;
        tokio::select! {
            failed = serve(&listener, options, &started) => failed,
            ended = answer(control, &started) => ended,
        }
    })
}

async fn serve(
    listener: &TcpListener,
    options: &Options,
    started: &Arc<AtomicUsize>,
) -> io::Result<()> {
    loop {
        let (a, _) = listener.accept().await?;
        a.set_nodelay(options.nodelay)?;
        let socket = TcpSocket::new_v4()?;
        if let Some(name) = &options.congestion {
            set_tcp_congestion(&socket, name)?;
        }
        let b = socket.connect(options.upstream).await?;
        b.set_nodelay(options.nodelay)?;
        let started = Arc::clone(started);
        match options.relay {
            Relay::Fdflow => drop(tokio::spawn(by_fdflow(a, b, started))),
            Relay::FdflowTimeout => drop(tokio::spawn(by_bidirectional(a, b, started))),
            Relay::TokioReadWrite => drop(tokio::spawn(by_read_write(a, b, started))),
            Relay::TokioCopy => drop(tokio::spawn(by_tokio(a, b, 8 << 10, started))),
            Relay::TokioCopy32k => drop(tokio::spawn(by_tokio(a, b, 32 << 10, started))),
            Relay::TokioOneBuffer => drop(tokio::spawn(by_one_buffer(a, b, started))),
            Relay::Epoll => return Err(io::Error::other("that has no runtime")),
        }
    }
}

// How a flow ends is seen at its far ends; an error here is a reset that the parent made.

async fn by_fdflow(mut a: TcpStream, mut b: TcpStream, started: Arc<AtomicUsize>) {
    started.fetch_add(1, Ordering::Relaxed);
    drop(fdflow_tokio::copy_bidirectional(&mut a, &mut b).await);
}

async fn by_bidirectional(a: TcpStream, b: TcpStream, started: Arc<AtomicUsize>) {
    started.fetch_add(1, Ordering::Relaxed);
    let hour = Duration::from_secs(3600);
    drop(fdflow_tokio::Bidirectional::new(a, b).idle_timeout(hour).run().await);
}

async fn by_tokio(mut a: TcpStream, mut b: TcpStream, size: usize, started: Arc<AtomicUsize>) {
    started.fetch_add(1, Ordering::Relaxed);
    drop(tokio::io::copy_bidirectional_with_sizes(&mut a, &mut b, size, size).await);
}

async fn by_read_write(mut a: TcpStream, mut b: TcpStream, started: Arc<AtomicUsize>) {
    started.fetch_add(1, Ordering::Relaxed);
    let ((from_a, to_a), (from_b, to_b)) = (a.split(), b.split());
    drop(tokio::join!(pump(from_a, to_b), pump(from_b, to_a)));
}

async fn by_one_buffer(a: TcpStream, b: TcpStream, started: Arc<AtomicUsize>) {
    started.fetch_add(1, Ordering::Relaxed);
    drop(tokio::join!(pump_at_once(&a, &b), pump_at_once(&b, &a)));
}

async fn pump_at_once(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    loop {
        from.readable().await?;
        let (read, mut rest) = SHARED
            .with_borrow_mut(|buffer| {
                buffer.resize(BUFFER, 0);
                let n = from.try_read(buffer)?;
                let written = if n > 0 { to.try_write(&buffer[..n]) } else { Ok(0) };
                let written = written.or_else(|cause| match cause.kind() {
                    io::ErrorKind::WouldBlock => Ok(0),
                    _ => Err(cause),
                })?;
                Ok::<_, io::Error>((n, buffer[written..n].to_vec()))
            })
            .or_else(|cause| match cause.kind() {
                io::ErrorKind::WouldBlock => Ok((usize::MAX, Vec::new())),
                _ => Err(cause),
            })?;
        if read == 0 {
            return Ok(rustix::net::shutdown(to, rustix::net::Shutdown::Write)?);
        }
        while !rest.is_empty() {
            to.writable().await?;
            match to.try_write(&rest) {
                Ok(n) => drop(rest.drain(..n)),
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {}
                Err(cause) => return Err(cause),
            }
        }
    }
}

async fn pump(
    mut from: tokio::net::tcp::ReadHalf<'_>,
    mut to: tokio::net::tcp::WriteHalf<'_>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let n = from.read(&mut buffer).await?;
        if n == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..n]).await?;
    }
}

/// Answers each question of the parent when there is nothing else to do.
async fn answer(control: UnixStream, started: &AtomicUsize) -> io::Result<()> {
    let mut control = BufReader::new(control);
    let mut line = String::new();
    while control.read_line(&mut line).await? > 0 {
        let cpu = cpu_time(Who::Own)?;
        let wanted: usize = line.trim().parse().map_err(io::Error::other)?;
        line.clear();
        settle(wanted, started).await?;
        let mut reply = serde_json::to_vec(&Snapshot::take(cpu)?)?;
        reply.push(b'\n');
        control.write_all(&reply).await?;
    }
    Ok(())
}

/// Lets all tasks go on until there are so many flows and memory stays as it is.
async fn settle(flows: usize, started: &AtomicUsize) -> io::Result<()> {
    while started.load(Ordering::Relaxed) < flows {
        yield_now().await;
    }
    let mut before = None;
    for _ in 0..LOOKS {
        for _ in 0..TURNS {
            yield_now().await;
        }
        let now = rss_kib()?;
        if before.replace(now) == Some(now) {
            return Ok(());
        }
    }
    Err(io::Error::other("memory does not come to rest"))
}

/// A socket that is connected to the upstream, with the options, for a relay without a runtime.
pub(super) fn connect(options: &Options) -> io::Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    if let Some(name) = &options.congestion {
        set_tcp_congestion(&socket, name)?;
    }
    rustix::net::connect(&socket, &options.upstream)?;
    rustix::net::sockopt::set_tcp_nodelay(&socket, options.nodelay)?;
    Ok(socket)
}
