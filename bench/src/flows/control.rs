//! A relaying process as its parent sees it: started, asked, ended.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_tcp_congestion;
use serde::{Deserialize, Serialize};

use super::relay::Relay;
use crate::ends::TcpOptions;
use crate::job::Conditions;
use crate::measure::{Who, cpu_time};
use crate::process::Party;

/// What a relaying process says of itself.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Snapshot {
    /// Processor time when it was asked.
    pub(super) cpu_asked: Duration,
    /// Processor time when it answered.
    pub(super) cpu: Duration,
    /// Resident memory, counted page by page.
    pub(super) rss_kib: u64,
    /// Descriptors of pipes, without those that the pool kept.
    pub(super) pipes: u64,
    /// Pipes that the pool kept.
    pub(super) pooled: usize,
}

impl Snapshot {
    /// Of this process, which had used `cpu_asked` when it was asked. Empties the pool of pipes.
    pub(super) fn take(cpu_asked: Duration) -> io::Result<Self> {
        let (rss_kib, pooled) = (rss_kib()?, fdflow::clear_pool());
        Ok(Self { cpu_asked, rss_kib, pooled, pipes: pipes()?, cpu: cpu_time(Who::Own)? })
    }
}

/// Resident memory as it is in the page tables: what `/proc/self/status` tells may lag behind.
pub(super) fn rss_kib() -> io::Result<u64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let number = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other("smaps_rollup has no Rss"))
}

fn pipes() -> io::Result<u64> {
    let mut pipes = 0;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        // The descriptor that the directory is read through is gone by the time it is read.
        let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
        pipes += u64::from(target.to_string_lossy().starts_with("pipe:"));
    }
    Ok(pipes)
}

/// A listener whose connections have these options, on a port of its own.
pub(super) fn listen(options: &TcpOptions) -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    if let Some(name) = &options.congestion {
        set_tcp_congestion(&listener, name)?;
    }
    Ok(listener)
}

/// The arguments that say how TCP senders are set, and on which processor to run.
pub(super) fn settings(options: &TcpOptions, cpu: Option<usize>) -> Vec<String> {
    let mut arguments = Vec::new();
    arguments.extend(options.nodelay.then(|| "--nodelay".to_owned()));
    arguments.extend(options.congestion.as_ref().map(|name| format!("--congestion={name}")));
    arguments.extend(cpu.map(|cpu| format!("--cpu={cpu}")));
    arguments
}

/// A relaying process.
#[derive(Debug)]
pub(super) struct Relaying {
    party: Party,
    control: BufReader<UnixStream>,
    pub(super) address: SocketAddr,
}

impl Relaying {
    /// Starts one that relays everything to `upstream`.
    pub(super) fn start(
        relay: Relay,
        upstream: SocketAddr,
        conditions: &Conditions,
        deadline: Instant,
    ) -> io::Result<Self> {
        let listener = listen(&conditions.tcp)?;
        let address = listener.local_addr()?;
        let (control, theirs) = UnixStream::pair()?;
        control.set_read_timeout(Some(conditions.timeout))?;
        let mut arguments = vec![format!("--relay={relay}"), format!("--upstream={upstream}")];
        arguments.extend(settings(&conditions.tcp, conditions.pinned.map(|(own, _)| own)));
        let ends = (Stdio::from(OwnedFd::from(listener)), Stdio::from(OwnedFd::from(theirs)));
        let party = Party::start("flows-relay", &arguments, ends, deadline)?;
        Ok(Self { party, control: BufReader::new(control), address })
    }

    /// Its state once it has `flows` flows and nothing to do.
    pub(super) fn ask(&mut self, flows: usize) -> io::Result<Snapshot> {
        // In one write: the relay without a runtime answers each piece that it reads.
        self.control.get_mut().write_all(format!("{flows}\n").as_bytes())?;
        let mut line = String::new();
        self.control.read_line(&mut line)?;
        serde_json::from_str(&line).map_err(|_| io::Error::other(format!("the relay said {line}")))
    }

    /// Ends it.
    pub(super) fn finish(self) -> io::Result<()> {
        drop(self.control);
        self.party.finish()
    }
}

/// Whether a descriptor may be opened for each of so many more ends.
pub(super) fn allow_descriptors() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Closed by a reset, so that thousands of closed connections do not linger.
pub(super) fn reset_at_end(socket: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))?)
}
