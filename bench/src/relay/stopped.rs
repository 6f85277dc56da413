//! Four clients, one of which reads nothing: what the others notice of it.

use std::io;

use super::Setup;
use super::clients::{Cost, pass};
use super::contestant::Contestant;
use super::running::Running;
use crate::figures::{Case, Figures, contest, tell};

pub(super) const PART: &str = "stopped";
pub(super) const SAYS: &str = "\
Three clients read as fast as they can, and a fourth does too or does not read at all. Throughput is \
that of the three, in rounds that take turns. By way of a recording the producer sends as fast as it \
can. The broadcast stands still as soon as one client does, and takes no part.\n";

const CLIENTS: u32 = 4;
/// What one that has stopped may change, as a part.
const MOST_CHANGE: f64 = 0.05;

/// Whether the fourth reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fourth {
    Reads,
    Stopped,
}

impl std::fmt::Display for Fourth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Reads => "all read",
            Self::Stopped => "one has stopped",
        })
    }
}

pub(super) fn measure(bytes: u64, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let each = (bytes / u64::from(CLIENTS)).max(1);
    let case = "4 clients, with a recording";
    let run = |fourth, compare| {
        let running = Running::start(Contestant::FdflowRecord, CLIENTS, setup)?;
        let stopped = usize::from(fourth == Fourth::Stopped);
        pass(running, each, stopped, compare)
    };
    let check = |fourth| run(fourth, true).map(drop);
    let round = |fourth| run(fourth, false);
    let rounds = setup.conditions.rounds;
    let both = [Fourth::Reads, Fourth::Stopped];
    let outcomes = contest((PART, case), &both, rounds, figures, check, round);
    let of = Case { part: PART, name: case, outcomes: &outcomes };
    let rows = of.rows("MB/s of the others", 0, Cost::mb_per_s);
    tell(&rows)?;
    figures.add(rows);
    let median = |fourth| of.median(&fourth, Cost::mb_per_s);
    let says = "throughput that one that has stopped takes from the others, as a part";
    match (median(Fourth::Reads), median(Fourth::Stopped)) {
        (Some(all), Some(others)) => {
            figures.target((PART, case), says, 1.0 - others / all, MOST_CHANGE);
        }
        _ => figures.unmeasured((PART, case), says, Some(MOST_CHANGE)),
    }
    Ok(())
}
