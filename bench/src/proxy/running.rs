//! A proxy that runs, and connections through it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::Setup;
use super::contestant::Contestant;
use crate::account::{self, Descriptors};
use crate::daemon::Daemon;
use crate::figures::Figures;
use crate::process::readable;

/// A proxy that runs, with an upstream of its own; ended when dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) contestant: Contestant,
    address: SocketAddr,
    upstream: TcpListener,
    timeout: Duration,
    daemon: Daemon,
    home: TempDir,
}

/// The far ends of a connection through a proxy.
#[derive(Debug)]
pub(super) struct Ends {
    /// Who connected to the proxy.
    pub(super) client: TcpStream,
    /// Whom the proxy connected to.
    pub(super) server: TcpStream,
}

impl Running {
    /// Starts a proxy and sends a byte through it.
    pub(super) fn start(contestant: Contestant, setup: &Setup) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let upstream = TcpListener::bind("127.0.0.1:0")?;
        let home = tempfile::Builder::new().tempdir_in(setup.home.path())?;
        let said = setup.home.path().join("said.log");
        let command =
            contestant.command(address, upstream.local_addr()?, home.path(), &setup.programs)?;
        let mut first = None;
        let daemon =
            Daemon::start(command, contestant.members(), &said, &setup.conditions, || {
                first = TcpStream::connect(address).ok();
                first.is_some()
            })?;
        let timeout = setup.conditions.timeout;
        let running = Self { contestant, address, upstream, timeout, daemon, home };
        let client = first.ok_or_else(|| io::Error::other("takes no connection"))?;
        running.join(client)?.send_byte()?;
        Ok(running)
    }

    /// A connection through it.
    pub(super) fn open(&self) -> io::Result<Ends> {
        self.join(TcpStream::connect(self.address)?)
    }

    /// A connection to it, of which the other end is not yet there.
    pub(super) fn dial(&self) -> io::Result<TcpStream> {
        let client = TcpStream::connect(self.address)?;
        set(&client, self.timeout)?;
        Ok(client)
    }

    /// The next connection that it makes.
    pub(super) fn accept(&self) -> io::Result<TcpStream> {
        if !readable(&self.upstream, self.timeout)? {
            return Err(io::Error::other("it did not connect to its upstream"));
        }
        let (server, _) = self.upstream.accept()?;
        set(&server, self.timeout)?;
        Ok(server)
    }

    fn join(&self, client: TcpStream) -> io::Result<Ends> {
        set(&client, self.timeout)?;
        Ok(Ends { client, server: self.accept()? })
    }

    /// Processor time so far, of all its processes.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        self.daemon.cpu()
    }

    /// Memory and descriptors once neither changes any more.
    pub(super) fn settled(&self, most: Duration) -> io::Result<(u64, Descriptors)> {
        let family = self.daemon.family();
        let deadline = Instant::now() + most;
        loop {
            let before = account::descriptors(family)?;
            let kib = account::settled_kib(family, deadline)?;
            let after = account::descriptors(family)?;
            if before == after {
                return Ok((kib, after));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("its descriptors do not come to rest"));
            }
        }
    }

    /// The folder that only it writes into.
    pub(super) fn home(&self) -> &Path {
        self.home.path()
    }

    /// How long may be waited for anything.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}

impl Ends {
    /// One byte each way.
    pub(super) fn send_byte(&mut self) -> io::Result<()> {
        let mut byte = [0];
        self.client.write_all(b"a")?;
        self.server.read_exact(&mut byte)?;
        self.server.write_all(b"b")?;
        let first = byte;
        self.client.read_exact(&mut byte)?;
        if [first, byte] == [*b"a", *b"b"] {
            return Ok(());
        }
        Err(io::Error::other("a byte did not arrive as it was sent"))
    }
}

/// Fails rather than hangs, and sends at once.
fn set(stream: &TcpStream, timeout: Duration) -> io::Result<()> {
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)
}

/// Starts proxies for a part; who does not start is absent from it with the reason.
pub(super) fn start_all(
    part: &'static str,
    contestants: &[Contestant],
    setup: &Setup,
    figures: &mut Figures,
) -> Vec<Running> {
    let mut all = Vec::new();
    for contestant in contestants {
        match Running::start(*contestant, setup) {
            Ok(running) => all.push(running),
            Err(reason) => figures.absent((part, "all"), contestant, reason),
        }
    }
    all
}

/// Who these are.
pub(super) fn contestants(all: &[Running]) -> Vec<Contestant> {
    all.iter().map(|running| running.contestant).collect()
}

/// The one of these that is `contestant`.
pub(super) fn of(all: &[Running], contestant: Contestant) -> io::Result<&Running> {
    let found = all.iter().find(|running| running.contestant == contestant);
    found.ok_or_else(|| io::Error::other("does not run"))
}
