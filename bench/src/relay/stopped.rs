//! Three clients and one that reads nothing: what the others notice of it.

use std::io;

use super::Setup;
use super::clients::{Cost, Pass};
use super::contestant::Contestant;
use super::running::Running;
use crate::figures::{Case, Figures, contest, tell};

pub(super) const PART: &str = "stopped";
pub(super) const SAYS: &str = "\
Three clients read as fast as they can, and a fourth does too, does not read, or is not there. Throughput is \
that of the three, in rounds that take turns. By way of a recording the producer sends as fast as it \
can; without one it keeps within 512 KiB of the slowest that reads, so that only who has stopped \
lags. The broadcast stands still as soon as one client does, and takes no part.\n";

const CLIENTS: u32 = 4;
/// How each is run, and how far the producer may be before those who read.
const WAYS: [(Contestant, u64); 3] = [
    (Contestant::FdflowRecord, u64::MAX),
    (Contestant::FdflowGap, 512 << 10),
    (Contestant::FdflowDetach, 512 << 10),
];
/// What one that has stopped may change, as a part.
const MOST_CHANGE: f64 = 0.05;

/// What the fourth does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fourth {
    Reads,
    Stopped,
    Absent,
}

impl std::fmt::Display for Fourth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Reads => "all read",
            Self::Stopped => "one has stopped",
            Self::Absent => "three alone",
        })
    }
}

pub(super) fn measure(bytes: u64, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    for (contestant, ahead) in WAYS {
        one_way(contestant, ahead, bytes, setup, figures)?;
    }
    Ok(())
}

fn one_way(
    contestant: Contestant,
    ahead: u64,
    bytes: u64,
    setup: &Setup,
    figures: &mut Figures,
) -> io::Result<()> {
    let bytes = (bytes / u64::from(CLIENTS)).max(1);
    let case = format!("4 clients, {contestant}");
    let run = |fourth, compare| {
        let stopped = usize::from(fourth == Fourth::Stopped);
        let pass = Pass { bytes, stopped, ahead, compare };
        let clients = CLIENTS - u32::from(fourth == Fourth::Absent);
        pass.run(Running::start(contestant, clients, setup)?)
    };
    let check = |fourth| run(fourth, true).map(drop);
    let round = |fourth| run(fourth, false);
    let rounds = setup.conditions.rounds;
    let all = [Fourth::Reads, Fourth::Stopped, Fourth::Absent];
    let outcomes = contest((PART, &case), &all, rounds, figures, check, round);
    let of = Case { part: PART, name: &case, outcomes: &outcomes };
    let rows = of.rows("MB/s of the others", 0, Cost::mb_per_s);
    tell(&rows)?;
    figures.add(rows);
    let median = |fourth| of.median(&fourth, Cost::mb_per_s);
    for beside in [Fourth::Reads, Fourth::Absent] {
        let says = format!("throughput that one that has stopped takes, as a part of: {beside}");
        match (median(beside), median(Fourth::Stopped)) {
            (Some(before), Some(others)) => {
                figures.target((PART, &case), says, 1.0 - others / before, MOST_CHANGE);
            }
            _ => figures.unmeasured((PART, &case), says, Some(MOST_CHANGE)),
        }
    }
    Ok(())
}
