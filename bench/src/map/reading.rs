//! A large file that is read: 4 KiB here and there, all of it, until something is found.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Instant;

use clap::{Args, ValueEnum};
use fdflow::reader::Access;
use serde::{Deserialize, Serialize};

use super::site::{Cached, Site, offsets};
use super::ways::Way;
use super::{Select, Setup, versus};
use crate::figures::{Case, Figures, in_turns, tell};
use crate::measure::{Who, cpu_time, forget_peak, resident};
use crate::process::Party;
use crate::roles::{READY, pin, say};
use crate::sizes::human;

pub(super) const PART: &str = "read";
pub(super) const SAYS: &str = "\
Each contender has a process of its own, opens the file and does one work: it counts a byte in blocks \
of 4 KiB at random offsets, and again in the same; counts it in all of the file; looks for what is near \
its end. The counting and the searching are the same code for all (memchr), but that `map` and \
`windows` look by their own `find` and `matches`. `read` and `pread` read 128 KiB at a time where all is \
read, `buf-reader` its 8 KiB. `reader` is told that the file does not change, and whether it is read in \
order, here and there, or here and there again and again. Opening and mapping are part of the first \
pass, unmapping where all is read. The file is in the page cache, either since it was *written* there, \
1 MiB at a time, or because it was *read in* from the disk: the kernel keeps it in larger pieces in the \
one case than in the other, and enters a piece's pages into the page tables at once.\n";

/// Against memmap2.
const MAP_RATIO: f64 = 1.03;
const WINDOWS_RATIO: f64 = 1.1;
/// Against the best of our own.
const READER_RATIO: f64 = 1.1;
/// What windows may have in memory.
const WINDOWS_MIB: f64 = 128.0;
/// Of so many reads a few are made where a few are.
const FEW: u32 = 100;

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
    answer: u64,
    /// Seconds of each pass.
    passes: Vec<f64>,
    /// Processor seconds of all.
    cpu: f64,
    /// How far resident memory rose.
    grown_kib: u64,
}

impl Perused {
    fn first(&self) -> f64 {
        self.passes.first().copied().unwrap_or(f64::NAN)
    }

    fn second(&self) -> f64 {
        self.passes.get(1).copied().unwrap_or(f64::NAN)
    }

    fn grown_mib(&self) -> f64 {
        self.grown_kib as f64 / 1024.0
    }
}

/// The time of one pass.
type Seconds = fn(&Perused) -> f64;

/// Does one work in one way.
pub(super) fn peruse(options: &Options) -> io::Result<Perused> {
    pin(options.cpu)?;
    let bytes = std::fs::metadata(&options.path)?.len();
    let offsets = match options.task {
        Task::Few | Task::Random => offsets(bytes, options.reads)?,
        Task::Scan | Task::Search => Vec::new(),
    };
    forget_peak();
    let (before, _) = resident()?;
    say(READY)?;
    let used = cpu_time(Who::Own)?;
    let began = Instant::now();
    let file = File::open(&options.path)?;
    let mut passes = Vec::new();
    let answer = match options.task {
        Task::Scan => options.way.scan(&file)?,
        Task::Search => options.way.search(&file)?.unwrap_or(u64::MAX),
        Task::Few | Task::Random => {
            let access = if options.task == Task::Few { Access::Few } else { Access::Random };
            let mut count = options.way.blocks(&file, access)?;
            let mut pass =
                || offsets.iter().try_fold(0, |sum, at| Ok::<_, io::Error>(sum + count(*at)?));
            let first = pass()?;
            passes.push(began.elapsed().as_secs_f64());
            let again = Instant::now();
            if pass()? != first {
                return Err(io::Error::other("the second pass has counted otherwise"));
            }
            passes.push(again.elapsed().as_secs_f64());
            first
        }
    };
    if passes.is_empty() {
        passes.push(began.elapsed().as_secs_f64());
    }
    let cpu = cpu_time(Who::Own)?.saturating_sub(used).as_secs_f64();
    let (_, peak) = resident()?;
    Ok(Perused { answer, passes, cpu, grown_kib: peak.saturating_sub(before) })
}

pub(super) fn measure(select: &Select, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let site = Site::make(setup.home.path(), select.file.0)?;
    for cached in &select.cached {
        let of = format!("{} ({cached})", human(select.file.0));
        if *cached == Cached::Read
            && let Err(reason) = site.read_in()
        {
            figures.absent((PART, &of), "all", reason);
            continue;
        }
        random(&of, select, &site, setup, figures)?;
        whole(&of, &site, setup, figures)?;
    }
    std::fs::remove_file(&site.path)
}

/// Blocks here and there: a few, and many.
fn random(
    of: &str,
    select: &Select,
    site: &Site,
    setup: &Setup,
    figures: &mut Figures,
) -> io::Result<()> {
    let few = (select.reads / FEW).max(1);
    for (task, reads, passes) in [
        (Task::Few, few, &[("", Perused::first as Seconds)][..]),
        (
            Task::Random,
            select.reads,
            &[("; first pass", Perused::first), ("; again", Perused::second)],
        ),
    ] {
        let expected = site.count_at(&offsets(select.file.0, reads)?)?;
        let outcomes = Work { task, expected, reads, site, setup }.measure()?;
        for (pass, wall) in passes {
            let name = format!("{reads} random reads of 4 KiB in {of}{pass}");
            let case = Case { part: PART, name: &name, outcomes: &outcomes };
            let rows = case.rows("µs a read", 3, |done| wall(done) * 1e6 / f64::from(reads));
            tell(&rows)?;
            figures.add(rows);
            figures.add(case.rows("MiB resident", 1, Perused::grown_mib));
            judge(&case, figures, *wall);
        }
    }
    Ok(())
}

/// From the start to the end, or to what is looked for.
fn whole(of: &str, site: &Site, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    for (task, does, expected) in [
        (Task::Scan, "count a byte", site.count),
        (Task::Search, "look for what is near the end", site.needle),
    ] {
        let outcomes = Work { task, expected, reads: 1, site, setup }.measure()?;
        let name = format!("{does} in {of}");
        let case = Case { part: PART, name: &name, outcomes: &outcomes };
        let rows = case.rows("ms", 1, |done| done.first() * 1e3);
        tell(&rows)?;
        figures.add(rows);
        figures.add(case.rows("CPU-ms", 1, |done| done.cpu * 1e3));
        figures.add(case.rows("MiB resident", 1, Perused::grown_mib));
        judge(&case, figures, Perused::first);
    }
    Ok(())
}

/// One work, in all ways.
struct Work<'a> {
    task: Task,
    expected: u64,
    reads: u32,
    site: &'a Site,
    setup: &'a Setup,
}

impl Work<'_> {
    fn measure(&self) -> io::Result<Vec<(Way, Vec<Perused>)>> {
        let ways: Vec<Way> =
            Way::value_variants().iter().copied().filter(|way| way.does(self.task)).collect();
        let rounds = self.setup.conditions.rounds;
        in_turns(&ways, rounds, &self.task.to_string(), |way| self.done(way))
    }

    fn done(&self, way: Way) -> io::Result<Perused> {
        let conditions = &self.setup.conditions;
        let mut arguments = vec![
            format!("--way={way}"),
            format!("--task={}", self.task),
            format!("--path={}", self.site.path.display()),
            format!("--reads={}", self.reads),
        ];
        arguments.extend(conditions.pinned.map(|(own, _)| format!("--cpu={own}")));
        let deadline = Instant::now() + conditions.timeout;
        let stdio = (Stdio::null(), Stdio::null());
        let done: Perused = Party::start("peruse", &arguments, stdio, deadline)?.finish()?;
        if done.answer != self.expected {
            let message = format!("{} was found, and {} is right", done.answer, self.expected);
            return Err(io::Error::other(message));
        }
        Ok(done)
    }
}

/// The targets.
fn judge(case: &Case<'_, Way, Perused>, figures: &mut Figures, wall: Seconds) {
    let (ours, theirs) = (Way::Map, Way::Memmap2);
    versus(case, figures, "time", (ours, theirs), Some(MAP_RATIO), wall);
    let place = (case.part, case.name);
    if case.median(&Way::Windows, wall).is_some() {
        versus(case, figures, "time", (Way::Windows, theirs), Some(WINDOWS_RATIO), wall);
        if let Some(grown) = case.median(&Way::Windows, Perused::grown_mib) {
            figures.target(place, "MiB resident of windows", grown, WINDOWS_MIB);
        }
    }
    let rivals = [Way::Map, Way::Windows, Way::BufReader];
    let best = rivals.iter().filter_map(|way| case.median(way, wall)).reduce(f64::min);
    let says = "time of reader : the best of map, windows and buf-reader";
    match (case.median(&Way::Reader, wall), best) {
        (Some(ours), Some(best)) => figures.target(place, says, ours / best, READER_RATIO),
        _ => figures.unmeasured(place, says, Some(READER_RATIO)),
    }
    for theirs in [Way::Read, Way::Pread, Way::BufReader] {
        versus(case, figures, "time", (Way::Map, theirs), None, wall);
    }
}
