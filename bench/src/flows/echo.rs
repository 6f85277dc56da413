//! The two far ends of a ping-pong: one sends messages and waits for them, one sends them back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use clap::Args;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::retry_on_intr;
use rustix::net::sockopt::set_tcp_congestion;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;
use crate::roles::{READY, pin, say, stdin};

/// The bytes of a message.
pub(super) const MESSAGE: usize = 64;

#[derive(Debug, Args)]
pub(crate) struct EchoOptions {
    /// Ends when so many connections have come and gone.
    #[arg(long)]
    connections: usize,
    #[arg(long)]
    nodelay: bool,
    /// The listener's, which connections inherit.
    #[arg(long)]
    congestion: Option<String>,
    #[arg(long)]
    cpu: Option<usize>,
}

/// Sends back what comes.
pub(crate) fn echo(options: &EchoOptions) -> io::Result<()> {
    pin(options.cpu)?;
    let listener = TcpListener::from(stdin()?);
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let newcomer = options.connections as u64;
    epoll::add(&epoll, &listener, EventData::new_u64(newcomer), EventFlags::IN)?;
    say(READY)?;
    let (mut sockets, mut gone, mut block) = (Vec::new(), 0, [0; 4096]);
    let mut events = Vec::with_capacity(256);
    while gone < options.connections {
        events.clear();
        retry_on_intr(|| epoll::wait(&epoll, spare_capacity(&mut events), None))?;
        for event in &events {
            let token = event.data.u64();
            if token == newcomer {
                let (socket, _) = listener.accept()?;
                socket.set_nodelay(options.nodelay)?;
                let token = EventData::new_u64(sockets.len() as u64);
                epoll::add(&epoll, &socket, token, EventFlags::IN)?;
                sockets.push(socket);
                continue;
            }
            let place = usize::try_from(token).unwrap_or(usize::MAX);
            let mut socket: &TcpStream = &sockets[place];
            let n = socket.read(&mut block)?;
            if n == 0 {
                epoll::delete(&epoll, socket)?;
                socket.shutdown(std::net::Shutdown::Both)?;
                gone += 1;
            }
            socket.write_all(&block[..n])?;
        }
    }
    Ok(())
}

#[derive(Debug, Args)]
pub(crate) struct PingOptions {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    connections: usize,
    /// Over all connections.
    #[arg(long)]
    round_trips: u32,
    /// So many before, which do not count.
    #[arg(long)]
    warm_up: u32,
    #[arg(long)]
    nodelay: bool,
    #[arg(long)]
    congestion: Option<String>,
    #[arg(long)]
    cpu: Option<usize>,
}

/// How long round trips took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Latency {
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// A connection with one message on its way at a time.
struct Line {
    socket: TcpStream,
    sent: Instant,
    reply: [u8; MESSAGE],
    filled: usize,
}

struct Pinger {
    epoll: std::os::fd::OwnedFd,
    lines: Vec<Line>,
    pattern: Pattern,
}

/// Sends messages and waits for each, once standard input is closed.
pub(super) fn ping(options: &PingOptions) -> io::Result<Latency> {
    pin(options.cpu)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut lines = Vec::new();
    for place in 0..options.connections {
        let socket = connect(options)?;
        epoll::add(&epoll, &socket, EventData::new_u64(place as u64), EventFlags::IN)?;
        lines.push(Line { socket, sent: Instant::now(), reply: [0; MESSAGE], filled: 0 });
    }
    let mut pinger = Pinger { epoll, lines, pattern: Pattern::new() };
    pinger.exchange(options.warm_up)?;
    say(READY)?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    let mut took = pinger.exchange(options.round_trips)?;
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).copied().unwrap_or(0) as f64;
    Ok(Latency { p50_us: at(50) / 1e3, p99_us: at(99) / 1e3 })
}

fn connect(options: &PingOptions) -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    if let Some(name) = &options.congestion {
        set_tcp_congestion(&socket, name)?;
    }
    rustix::net::connect(&socket, &options.address)?;
    let socket = TcpStream::from(socket);
    socket.set_nodelay(options.nodelay)?;
    Ok(socket)
}

impl Pinger {
    /// Makes so many round trips and tells how many nanoseconds each took.
    fn exchange(&mut self, round_trips: u32) -> io::Result<Vec<u64>> {
        let mut took = Vec::with_capacity(round_trips as usize);
        let mut left = round_trips as usize;
        for line in self.lines.iter_mut().take(left) {
            line.send(&self.pattern)?;
            left -= 1;
        }
        let mut events = Vec::with_capacity(256);
        while took.len() < round_trips as usize {
            events.clear();
            retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), None))?;
            for event in &events {
                let place = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
                let line = &mut self.lines[place];
                let Some(nanoseconds) = line.receive(&self.pattern)? else { continue };
                took.push(nanoseconds);
                if left > 0 {
                    left -= 1;
                    line.send(&self.pattern)?;
                }
            }
        }
        Ok(took)
    }
}

impl Line {
    fn send(&mut self, pattern: &Pattern) -> io::Result<()> {
        self.sent = Instant::now();
        self.socket.write_all(pattern.at(0, MESSAGE))
    }

    /// Takes what has come; once that is the whole message, how long it took.
    fn receive(&mut self, pattern: &Pattern) -> io::Result<Option<u64>> {
        let n = self.socket.read(&mut self.reply[self.filled..])?;
        self.filled += n;
        if n == 0 || self.reply[..self.filled] != *pattern.at(0, self.filled) {
            return Err(io::Error::other("a message did not come back as it was sent"));
        }
        if self.filled < MESSAGE {
            return Ok(None);
        }
        self.filled = 0;
        Ok(Some(u64::try_from(self.sent.elapsed().as_nanos()).unwrap_or(u64::MAX)))
    }
}
