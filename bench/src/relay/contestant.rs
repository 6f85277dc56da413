//! Who takes part, and how each is started.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::Setup;

/// One that gives a stream to many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contestant {
    /// As it comes; the producer waits for every client.
    Fdflow,
    /// As it comes; a client that is too slow has gaps.
    FdflowGap,
    /// As it comes; a client that is too slow is left.
    FdflowDetach,
    /// By way of a recording.
    FdflowRecord,
    Broadcast,
    /// With a file besides.
    BroadcastRecord,
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Fdflow => "fdflow",
            Self::FdflowGap => "fdflow with gaps",
            Self::FdflowDetach => "fdflow that leaves who lags",
            Self::FdflowRecord => "fdflow with a recording",
            Self::Broadcast => "broadcast",
            Self::BroadcastRecord => "broadcast with a file",
        })
    }
}

impl Contestant {
    /// What starts it, for so many clients.
    pub(super) fn command(
        self,
        (from, listen): (SocketAddr, SocketAddr),
        clients: u32,
        home: &Path,
        setup: &Setup,
    ) -> io::Result<Command> {
        let recording = home.join("recording");
        let mut command = if self.is_broadcast() {
            let mut command = Command::new(std::env::current_exe()?);
            command.arg("broadcast").arg(format!("--from={from}"));
            command.arg(format!("--clients={clients}"));
            command
        } else {
            let program = setup.fdflow.as_ref().map_err(|why| io::Error::other(why.as_str()))?;
            let mut command = Command::new(program);
            command.arg("relay").arg(format!("--from=tcp://{from}")).arg("--log=none");
            command
        };
        command.arg(format!("--listen={listen}"));
        match self {
            Self::Fdflow => command.arg("--lag=block"),
            Self::FdflowGap => command.arg("--lag=gap"),
            Self::FdflowDetach => command.arg("--lag=detach"),
            Self::FdflowRecord => command.arg("--record").arg(recording).arg("--threads=1"),
            Self::Broadcast => &mut command,
            Self::BroadcastRecord => command.arg("--record").arg(recording),
        };
        Ok(command)
    }

    pub(super) fn is_broadcast(self) -> bool {
        matches!(self, Self::Broadcast | Self::BroadcastRecord)
    }

    /// Takes the producer before its clients; the broadcast takes it after them.
    pub(super) fn connects_first(self) -> bool {
        !self.is_broadcast()
    }
}
