//! The servers: found, started on a port of their own, observed and ended by their process id.

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::nginx::Nginx;
use super::wrk::Wrk;
use super::{Setup, account};
use crate::figures::Figures;
use crate::roles::pin;

/// Between two looks at a process that is to be ready, or to have ended.
const PAUSE: Duration = Duration::from_millis(5);
/// A server that has been told to end has so long.
const END: Duration = Duration::from_secs(5);

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

/// A path as it is, a bare name on the PATH or where daemons are.
fn find(program: &Path) -> Result<PathBuf, String> {
    let mut places = vec![PathBuf::new()];
    if program.components().count() == 1 {
        let path = std::env::var_os("PATH").unwrap_or_default();
        places = std::env::split_paths(&path).collect();
        places.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    }
    let found = places.into_iter().map(|place| place.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| format!("there is no {}", program.display()))
}

/// A server that runs; ended when dropped.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
    child: Child,
    family: Vec<i32>,
}

impl Running {
    /// Starts a server and waits until it takes connections.
    pub(super) fn start(server: Server, uploads: bool, setup: &Setup) -> io::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let home = setup.site.workplace();
        let said = home.join(format!("{server}.log"));
        let mut command = command(server, uploads, address, setup)?;
        let log = File::create(&said)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // What is started runs where the one that starts it does.
        pin(setup.conditions.pinned.map(|(own, _)| own))?;
        let child = command.spawn();
        pin(setup.conditions.pinned.map(|(_, others)| others))?;
        let mut running = Self { server, address, child: child?, family: Vec::new() };
        let deadline = Instant::now() + setup.conditions.timeout;
        while TcpStream::connect(address).is_err() {
            let ended = running.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let said = std::fs::read_to_string(&said).unwrap_or_default();
                return Err(io::Error::other(format!("did not start: {}", said.trim())));
            }
            std::thread::sleep(PAUSE);
        }
        running.settle_family(deadline)?;
        Ok(running)
    }

    /// nginx listens before its worker is there.
    fn settle_family(&mut self, deadline: Instant) -> io::Result<()> {
        let members = match self.server {
            Server::Fdflow => 1,
            Server::Nginx => 2,
        };
        loop {
            self.family = account::family(self.child.id().cast_signed())?;
            if self.family.len() >= members {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other("has no worker"));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Processor time so far, of all its processes.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        account::cpu(&self.family)
    }

    /// Resident memory of all its processes, once it has come to rest.
    pub(super) fn settled_kib(&self, most: Duration) -> io::Result<u64> {
        account::settled_kib(&self.family, Instant::now() + most)
    }

    /// Sockets that it holds.
    pub(super) fn sockets(&self) -> io::Result<usize> {
        account::sockets(&self.family)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Asked first: nginx's worker ends with its master only where that is asked.
        let pid = Pid::from_raw(self.child.id().cast_signed());
        let _asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let deadline = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            // Not yet waited for, so neither id can have gone to another process.
            for pid in self.family.iter().rev().filter_map(|pid| Pid::from_raw(*pid)) {
                let _killed = kill_process(pid, Signal::KILL).is_ok();
            }
            let _reaped = self.child.wait().is_ok();
        }
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
            if uploads && !nginx.has_dav() {
                return Err(io::Error::other("it is built without its module for PUT (dav)"));
            }
            let configuration = home.join("nginx.conf");
            std::fs::write(&configuration, nginx.configuration(&root, &home, address, uploads))?;
            let mut command = Command::new(&nginx.path);
            command.arg("-p").arg(&home).arg("-e").arg(home.join("error.log"));
            command.arg("-c").arg(configuration);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_searched_and_a_path_is_not() {
        assert!(find(Path::new("sh")).unwrap().is_absolute());
        assert_eq!(find(Path::new("/bin/sh")).unwrap(), Path::new("/bin/sh"));
        let why = find(Path::new("/nowhere/nginx")).unwrap_err();
        assert_eq!(why, "there is no /nowhere/nginx");
    }
}
