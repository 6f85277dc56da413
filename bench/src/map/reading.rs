//! A large file that is read: 4 KiB here and there, all of it, until something is found.

use std::io;
use std::process::Stdio;
use std::time::Instant;

use clap::ValueEnum;

use super::peruse::{Perused, Task};
use super::site::{Cached, Site, offsets};
use super::ways::Way;
use super::{Select, Setup};
use crate::figures::{Case, Figures, in_turns, tell};
use crate::process::Party;
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
1 MiB at a time, or because it was *read in* from the disk: the kernel keeps it there in pieces of other \
sizes then, and enters the pages of a piece into the page tables at once. The targets are of processor \
time.\n";

/// Against memmap2.
const MAP_RATIO: f64 = 1.03;
const WINDOWS_RATIO: f64 = 1.1;
/// Against the best of our own.
const READER_RATIO: f64 = 1.1;
/// What windows may have in memory.
const WINDOWS_MIB: f64 = 128.0;
/// Of so many reads a few are made where a few are.
const FEW: u32 = 100;

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
        (Task::Few, few, &[(0, "")][..]),
        (Task::Random, select.reads, &[(0, "; first pass"), (1, "; again")]),
    ] {
        let expected = site.count_at(&offsets(select.file.0, reads))?;
        let outcomes = Work { task, expected, reads, site, setup }.measure()?;
        let a_read = 1e6 / f64::from(reads);
        for (pass, which) in passes {
            let name = format!("{reads} random reads of 4 KiB in {of}{which}");
            let case = Case { part: PART, name: &name, outcomes: &outcomes };
            let rows = case.rows("CPU-µs a read", 3, |done| done.cpu(*pass) * a_read);
            tell(&rows)?;
            figures.add(rows);
            figures.add(case.rows("µs a read", 3, |done| done.wall(*pass) * a_read));
            figures.add(case.rows("MiB resident", 1, Perused::grown_mib));
            judge(&case, figures, *pass);
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
        let rows = case.rows("CPU-ms", 1, |done| done.cpu(0) * 1e3);
        tell(&rows)?;
        figures.add(rows);
        figures.add(case.rows("ms", 1, |done| done.wall(0) * 1e3));
        figures.add(case.rows("MiB resident", 1, Perused::grown_mib));
        judge(&case, figures, 0);
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

/// The targets, of processor time: one thread does it all, and nothing is waited for.
fn judge(case: &Case<'_, Way, Perused>, figures: &mut Figures, pass: usize) {
    let cpu = |done: &Perused| done.cpu(pass);
    let (ours, theirs) = (Way::Map, Way::Memmap2);
    case.versus(figures, "CPU", (ours, theirs), Some(MAP_RATIO), cpu);
    let place = (case.part, case.name);
    if case.median(&Way::Windows, cpu).is_some() {
        case.versus(figures, "CPU", (Way::Windows, theirs), Some(WINDOWS_RATIO), cpu);
        if let Some(grown) = case.median(&Way::Windows, Perused::grown_mib) {
            figures.target(place, "MiB resident of windows", grown, WINDOWS_MIB);
        }
    }
    let rivals = [Way::Map, Way::Windows, Way::BufReader];
    let best = rivals.iter().filter_map(|way| case.median(way, cpu)).reduce(f64::min);
    let says = "CPU of reader : the best of map, windows and buf-reader";
    match (case.median(&Way::Reader, cpu), best) {
        (Some(ours), Some(best)) => figures.target(place, says, ours / best, READER_RATIO),
        _ => figures.unmeasured(place, says, Some(READER_RATIO)),
    }
    for theirs in [Way::Read, Way::Pread, Way::BufReader] {
        case.versus(figures, "CPU", (Way::Map, theirs), None, cpu);
    }
}
