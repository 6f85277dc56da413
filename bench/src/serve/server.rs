//! The servers: found, started on a port of their own, and observed.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Setup;
use super::nginx::{configuration, has_dav};
use super::wrk::Wrk;
use crate::account;
use crate::daemon::{Daemon, find};
use crate::figures::Figures;
use crate::nginx::Nginx;

/// Who serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    Fdflow,
    Nginx,
}

pub(super) const SERVERS: [Server; 2] = [Server::Fdflow, Server::Nginx];

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fdflow => "fdflow",
            Self::Nginx => "nginx",
        })
    }
}

/// The programs that take part, or why they do not.
#[derive(Debug)]
pub(super) struct Programs {
    fdflow: Result<PathBuf, String>,
    pub(super) nginx: Result<Nginx, String>,
    pub(super) wrk: Result<Wrk, String>,
}

impl Programs {
    pub(super) fn find(fdflow: &Path, nginx: &Path, wrk: &Path) -> Self {
        Self {
            fdflow: find(fdflow).map_err(|why| format!("{why}; `cargo build --release` makes it")),
            nginx: find(nginx).and_then(Nginx::ask),
            wrk: find(wrk).and_then(Wrk::ask),
        }
    }

    /// Who takes part in which version, for the record.
    pub(super) fn versions(&self) -> [(&'static str, String); 2] {
        let absent = |why: &String| format!("absent: {why}");
        let nginx = self.nginx.as_ref().map_or_else(absent, |nginx| nginx.version().to_owned());
        [
            ("nginx", nginx),
            ("wrk", self.wrk.as_ref().map_or_else(absent, |wrk| wrk.version.clone())),
        ]
    }
}

/// A server that runs; ended when dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
    daemon: Daemon,
}

impl Running {
    /// Starts a server and waits until it takes connections.
    pub(super) fn start(server: Server, uploads: bool, setup: &Setup) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let said = setup.site.workplace().join(format!("{server}.log"));
        let members = match server {
            Server::Fdflow => 1,
            Server::Nginx => 2,
        };
        let command = command(server, uploads, address, setup)?;
        let daemon = Daemon::start(command, members, &said, &setup.conditions, || {
            TcpStream::connect(address).is_ok()
        })?;
        Ok(Self { server, address, daemon })
    }

    /// Processor time so far, of all its processes.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        self.daemon.cpu()
    }

    /// Resident memory of all its processes, once it has come to rest.
    pub(super) fn settled_kib(&self, most: Duration) -> io::Result<u64> {
        account::settled_kib(self.daemon.family(), Instant::now() + most)
    }

    /// Sockets that it holds.
    pub(super) fn sockets(&self) -> io::Result<usize> {
        account::sockets(self.daemon.family())
    }
}

fn command(
    server: Server,
    uploads: bool,
    address: SocketAddr,
    setup: &Setup,
) -> io::Result<Command> {
    let (root, home) = (setup.site.root(), setup.site.workplace());
    match server {
        Server::Fdflow => {
            let mut command = Command::new(
                setup.programs.fdflow.as_ref().map_err(|why| io::Error::other(why.as_str()))?,
            );
            command.arg("serve").arg(root).arg(format!("--listen={address}")).arg("--threads=1");
            if uploads {
                command.args(["--upload", "--overwrite"]);
            }
            Ok(command)
        }
        Server::Nginx => {
            let nginx =
                setup.programs.nginx.as_ref().map_err(|why| io::Error::other(why.as_str()))?;
            if uploads && !has_dav(nginx) {
                return Err(io::Error::other("it is built without its module for PUT (dav)"));
            }
            let file = home.join("nginx.conf");
            std::fs::write(&file, configuration(nginx, &root, &home, address, uploads))?;
            let mut command = Command::new(&nginx.path);
            command.arg("-p").arg(&home).arg("-e").arg(home.join("error.log"));
            command.arg("-c").arg(file);
            Ok(command)
        }
    }
}

/// Starts all servers for a part; who does not start is absent from it with the reason.
pub(super) fn start_all(
    part: &'static str,
    uploads: bool,
    setup: &Setup,
    figures: &mut Figures,
) -> Vec<Running> {
    let mut all = Vec::new();
    for server in SERVERS {
        match Running::start(server, uploads, setup) {
            Ok(running) => all.push(running),
            Err(reason) => figures.absent((part, "all"), server, reason),
        }
    }
    all
}

/// The one of these that is `server`.
pub(super) fn of(all: &[Running], server: Server) -> io::Result<&Running> {
    let found = all.iter().find(|running| running.server == server);
    found.ok_or_else(|| io::Error::other("does not run"))
}
