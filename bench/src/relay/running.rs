//! A relay that runs, with its producer and its clients.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Setup;
use super::contestant::Contestant;
use crate::daemon::Daemon;
use crate::process::readable;

/// Sent until every client has one: whoever has got it is attached.
const PROBE: u8 = b'?';
/// The last byte before those that are measured.
const GO: u8 = b'!';
/// Between two probes.
const PAUSE: Duration = Duration::from_millis(2);

/// A relay; ended when dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) daemon: Daemon,
    pub(super) producer: TcpStream,
    pub(super) clients: Vec<TcpStream>,
    address: SocketAddr,
    timeout: Duration,
    _home: TempDir,
}

impl Running {
    /// Starts one, and has so many clients attached.
    pub(super) fn start(contestant: Contestant, clients: u32, setup: &Setup) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let home = tempfile::Builder::new().tempdir_in(setup.home.path())?;
        let said = setup.home.path().join("said.log");
        let ends = (listener.local_addr()?, address);
        let command = contestant.command(ends, clients, home.path(), setup)?;
        let timeout = setup.conditions.timeout;
        let mut first = None;
        let daemon = Daemon::start(command, 1, &said, &setup.conditions, || {
            first = TcpStream::connect(address).ok();
            first.is_some()
        })?;
        let first = first.ok_or_else(|| io::Error::other("takes no client"))?;
        let mut all = vec![set(first, timeout)?];
        let mut producer = None;
        if contestant.connects_first() {
            producer = Some(accept(&listener, timeout)?);
        }
        for _ in 1..clients {
            all.push(set(TcpStream::connect(address)?, timeout)?);
        }
        let producer = match producer {
            Some(producer) => producer,
            None => accept(&listener, timeout)?,
        };
        let mut running = Self { daemon, producer, clients: all, address, timeout, _home: home };
        running.attach(0)?;
        Ok(running)
    }

    /// Another client, attached.
    pub(super) fn join(&mut self) -> io::Result<()> {
        self.clients.push(set(TcpStream::connect(self.address)?, self.timeout)?);
        self.attach(self.clients.len() - 1)
    }

    /// Sends probes until the clients from this one on have one each.
    fn attach(&mut self, from: usize) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        for client in &self.clients[from..] {
            while !readable(client, PAUSE)? {
                self.producer.write_all(&[PROBE])?;
                if Instant::now() > deadline {
                    return Err(io::Error::other("a client gets nothing"));
                }
            }
        }
        Ok(())
    }

    /// Tells the clients where the measured bytes begin.
    pub(super) fn go(&mut self) -> io::Result<()> {
        self.producer.write_all(&[GO])?;
        self.clients.iter_mut().try_for_each(skip)
    }

    /// Processor time so far.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        self.daemon.cpu()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for stream in self.clients.iter().chain([&self.producer]) {
            // It may be gone already.
            let _closed = stream.shutdown(Shutdown::Both).is_ok();
        }
    }
}

/// Reads up to the first byte that counts.
fn skip(client: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    loop {
        client.read_exact(&mut byte)?;
        match byte[0] {
            GO => return Ok(()),
            PROBE => {}
            _ => return Err(io::Error::other("a byte came that nobody sent")),
        }
    }
}

fn accept(listener: &TcpListener, timeout: Duration) -> io::Result<TcpStream> {
    if !readable(listener, timeout)? {
        return Err(io::Error::other("it did not connect to the producer"));
    }
    set(listener.accept()?.0, timeout)
}

/// Fails rather than hangs, and sends at once.
fn set(stream: TcpStream, timeout: Duration) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
