//! Programs that serve while they are measured: found, started, observed, and ended by their
//! process id.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::account;
use crate::job::Conditions;
use crate::roles::pin;

/// Between two looks at a process that is to be ready, or to have ended.
const PAUSE: Duration = Duration::from_millis(5);
/// A program that has been told to end has so long.
const END: Duration = Duration::from_secs(5);

/// A path as it is, a bare name on the PATH or where daemons are.
pub(crate) fn find(program: &Path) -> Result<PathBuf, String> {
    let mut places = vec![PathBuf::new()];
    if program.components().count() == 1 {
        let path = std::env::var_os("PATH").unwrap_or_default();
        places = std::env::split_paths(&path).collect();
        places.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
    }
    let found = places.into_iter().map(|place| place.join(program)).find(|path| path.is_file());
    found.ok_or_else(|| format!("there is no {}", program.display()))
}

/// A program that runs, with all processes below it; ended when dropped.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    family: Vec<i32>,
}

impl Daemon {
    /// Starts a program that has so many processes, and waits until it is ready. What it says
    /// goes into the file `said`.
    pub(crate) fn start(
        mut command: Command,
        members: usize,
        said: &Path,
        conditions: &Conditions,
        mut ready: impl FnMut() -> bool,
    ) -> io::Result<Self> {
        let log = File::create(said)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // What is started runs where the one that starts it does.
        pin(conditions.pinned.map(|(own, _)| own))?;
        let child = command.spawn();
        pin(conditions.pinned.map(|(_, others)| others))?;
        let mut daemon = Self { child: child?, family: Vec::new() };
        let deadline = Instant::now() + conditions.timeout;
        while !ready() {
            let ended = daemon.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let said = std::fs::read_to_string(said).unwrap_or_default();
                return Err(io::Error::other(format!("did not start: {}", said.trim())));
            }
            std::thread::sleep(PAUSE);
        }
        daemon.settle_family(members, deadline)?;
        Ok(daemon)
    }

    /// It may listen before its workers are there.
    fn settle_family(&mut self, members: usize, deadline: Instant) -> io::Result<()> {
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

    /// It and all processes below it.
    pub(crate) fn family(&self) -> &[i32] {
        &self.family
    }

    /// Processor time so far, of all its processes.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        account::cpu(&self.family)
    }
}

impl Drop for Daemon {
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
