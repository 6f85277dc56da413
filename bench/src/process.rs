//! Children: started with their descriptors, heard, waited for, and killed where they hang.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use serde::de::DeserializeOwned;

use crate::roles::READY;

/// A child says less than this, whatever happens.
const MOST_SAID: usize = 64 << 10;

/// One process of a transfer. Dropped before it has ended, it is killed and reaped.
#[derive(Debug)]
pub(crate) struct Party {
    role: &'static str,
    child: Child,
    report: ChildStderr,
    said: Vec<u8>,
    deadline: Instant,
}

impl Party {
    /// Starts this program in a role and waits until it says that it is ready.
    pub(crate) fn start(
        role: &'static str,
        arguments: &[String],
        (stdin, stdout): (Stdio, Stdio),
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(role).args(arguments).stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        // Lets go of the parent's copies of the descriptors: ends of streams must be seen.
        drop(command);
        let Some(report) = child.stderr.take() else {
            return Err(io::Error::other("a piped standard error is there"));
        };
        let mut party = Self { role, child, report, said: Vec::new(), deadline };
        let ready = format!("{READY}\n").into_bytes();
        while !party.said.starts_with(&ready) {
            if !party.listen()? {
                return Err(party.failure());
            }
        }
        party.said.drain(..ready.len());
        Ok(party)
    }

    /// The writing end of its standard input, where that was piped. Closing it is the signal to
    /// begin.
    pub(crate) fn signal(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// Waits for the end and returns the report.
    pub(crate) fn finish<T: DeserializeOwned>(mut self) -> io::Result<T> {
        while self.listen()? {}
        let status = self.child.wait()?;
        if !status.success() {
            return Err(self.failure());
        }
        serde_json::from_slice(&self.said).map_err(|_| self.failure())
    }

    /// Reads a part of what it says; `false`: it has said everything.
    fn listen(&mut self) -> io::Result<bool> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if !readable(&self.report, left)? {
            return Err(io::Error::other(format!("the {} took too long", self.role)));
        }
        let mut block = [0; 4096];
        let n = self.report.read(&mut block)?;
        self.said.extend_from_slice(&block[..n]);
        Ok(n > 0 && self.said.len() < MOST_SAID)
    }

    fn failure(&self) -> io::Error {
        let said = String::from_utf8_lossy(&self.said);
        io::Error::other(format!("the {} failed: {}", self.role, said.trim()))
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        // Has ended and was waited for, in the good case: then both do nothing.
        let _killed = self.child.kill().is_ok();
        let _reaped = self.child.wait().is_ok();
    }
}

/// Waits until there is something to read or to accept; `false`: not within `most`.
pub(crate) fn readable(from: impl AsFd, most: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(most).map_err(io::Error::other)?;
    let mut fds = [PollFd::new(&from, PollFlags::IN)];
    let ready = rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, Some(&timeout)))?;
    Ok(ready > 0)
}
