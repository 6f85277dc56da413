//! The process that reads a file in one way.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use fdflow::reader::Access;
use serde::{Deserialize, Serialize};

use super::site::offsets;
use super::ways::Way;
use crate::measure::{Who, cpu_time, forget_peak, resident};
use crate::roles::{READY, pin, say};

/// A work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Task {
    /// Blocks here and there, few for the size of the file
    Few,
    /// Blocks here and there, and the same again
    Random,
    Scan,
    Search,
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Few => "few",
            Self::Random => "random",
            Self::Scan => "scan",
            Self::Search => "search",
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    way: Way,
    #[arg(long)]
    task: Task,
    #[arg(long)]
    path: PathBuf,
    /// Random reads of a pass.
    #[arg(long)]
    reads: u32,
    #[arg(long)]
    cpu: Option<usize>,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Perused {
    /// The count, or the place.
    pub(super) answer: u64,
    passes: Vec<Pass>,
    /// How far resident memory rose.
    grown_kib: u64,
}

/// Seconds, and processor seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Pass {
    wall: f64,
    cpu: f64,
}

/// Measures one pass.
fn timed<T>(pass: impl FnOnce() -> io::Result<T>) -> io::Result<(T, Pass)> {
    let (used, began) = (cpu_time(Who::Own)?, Instant::now());
    let done = pass()?;
    let wall = began.elapsed().as_secs_f64();
    let cpu = cpu_time(Who::Own)?.saturating_sub(used).as_secs_f64();
    Ok((done, Pass { wall, cpu }))
}

impl Perused {
    pub(super) fn cpu(&self, pass: usize) -> f64 {
        self.passes.get(pass).map_or(f64::NAN, |pass| pass.cpu)
    }

    pub(super) fn wall(&self, pass: usize) -> f64 {
        self.passes.get(pass).map_or(f64::NAN, |pass| pass.wall)
    }

    pub(super) fn grown_mib(&self) -> f64 {
        self.grown_kib as f64 / 1024.0
    }
}

/// Does one work in one way.
pub(super) fn peruse(options: &Options) -> io::Result<Perused> {
    pin(options.cpu)?;
    let bytes = std::fs::metadata(&options.path)?.len();
    let offsets = match options.task {
        Task::Few | Task::Random => offsets(bytes, options.reads),
        Task::Scan | Task::Search => Vec::new(),
    };
    forget_peak();
    let (before, _) = resident()?;
    say(READY)?;
    let open = || File::open(&options.path);
    let (answer, passes) = match options.task {
        Task::Scan => alone(timed(|| options.way.scan(&open()?))?),
        Task::Search => {
            let (found, pass) = timed(|| options.way.search(&open()?))?;
            alone((found.unwrap_or(u64::MAX), pass))
        }
        Task::Few => here_and_there(options.way, Access::Few, &open()?, &offsets)?,
        Task::Random => here_and_there(options.way, Access::Random, &open()?, &offsets)?,
    };
    let (_, peak) = resident()?;
    Ok(Perused { answer, passes, grown_kib: peak.saturating_sub(before) })
}

fn alone((answer, pass): (u64, Pass)) -> (u64, Vec<Pass>) {
    (answer, vec![pass])
}

/// The same blocks twice: in the first pass with what has to be made ready.
fn here_and_there(
    way: Way,
    access: Access,
    file: &File,
    offsets: &[u64],
) -> io::Result<(u64, Vec<Pass>)> {
    let all = |count: &mut dyn FnMut(u64) -> io::Result<u64>| {
        offsets.iter().try_fold(0, |sum, at| Ok::<_, io::Error>(sum + count(*at)?))
    };
    let ((mut count, answer), first) = timed(|| {
        let mut count = way.blocks(file, access)?;
        let answer = all(&mut count)?;
        Ok((count, answer))
    })?;
    let (same, second) = timed(|| all(&mut count))?;
    if same != answer {
        return Err(io::Error::other("the second pass has counted otherwise"));
    }
    Ok((answer, vec![first, second]))
}
