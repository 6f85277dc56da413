//! What a running program has open, as /proc shows it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::server::eventually;

/// A process, by its id.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

/// How much it has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Descriptors, but for pipes.
    pub descriptors: usize,
    /// Pipes, but for its standard streams.
    pub pipes: usize,
}

impl Process {
    /// What each of its descriptors is.
    pub fn all_descriptors(self) -> Vec<(PathBuf, String)> {
        let all = std::fs::read_dir(format!("/proc/{}/fd", self.0)).unwrap();
        let one = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.ok()?.path();
            // It may be closed meanwhile.
            let what = std::fs::read_link(&path).ok()?;
            Some((path, what.to_string_lossy().into_owned()))
        };
        all.filter_map(one).collect()
    }

    pub fn held(self) -> Held {
        let all = self.all_descriptors();
        let descriptors = all.iter().filter(|(_, what)| !what.starts_with("pipe:")).count();
        Held { descriptors, pipes: self.pipes().1 }
    }

    /// Pipes that hold bytes, and how many there are.
    pub fn pipes(self) -> (usize, usize) {
        let is_ours = |path: &PathBuf| {
            let number = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
            number.is_some_and(|number| number > 2)
        };
        // What the test was started with, the program was too.
        let inherited = Self(std::process::id()).all_descriptors();
        let inherited: HashSet<String> = inherited.into_iter().map(|(_, what)| what).collect();
        let all = self.all_descriptors();
        let is_pipe = |what: &String| what.starts_with("pipe:") && !inherited.contains(what);
        let pipes = all.iter().filter(|(path, what)| is_pipe(what) && is_ours(path));
        let mut seen = HashSet::new();
        let mut full = 0;
        for (path, what) in pipes {
            if !seen.insert(what) {
                continue;
            }
            let Ok(pipe) = std::fs::File::open(path) else { continue };
            full += usize::from(rustix::io::ioctl_fionread(&pipe).unwrap() > 0);
        }
        (full, seen.len())
    }

    /// Nanoseconds that its threads have run.
    pub fn ran(self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        let ran = |task: std::io::Result<std::fs::DirEntry>| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        };
        tasks.filter_map(ran).sum()
    }

    /// Whether all of its threads sleep.
    pub fn sleeps(self) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        let sleeps = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status"));
            status.is_ok_and(|status| status.contains("State:\tS"))
        };
        tasks.into_iter().all(sleeps)
    }

    /// None of its threads runs for so long, which is longer than its timers that may be left.
    #[track_caller]
    pub fn rests_for(self, time: Duration) {
        let (mut before, mut at) = (self.ran(), Instant::now());
        let still = || {
            if at.elapsed() < time {
                return false;
            }
            let ran = self.ran();
            let still = ran == before;
            (before, at) = (ran, Instant::now());
            still
        };
        eventually(still, "an idle processor");
    }
}
