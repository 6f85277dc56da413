//! Many clients: what each needs of the relay's memory.

use std::io;
use std::time::{Duration, Instant};

use super::Setup;
use super::contestant::Contestant;
use super::running::Running;
use crate::account;
use crate::figures::{Case, Figures, contest, tell};

pub(super) const PART: &str = "memory";
pub(super) const SAYS: &str = "\
The relay's resident memory (Rss of smaps_rollup) when 16 clients are attached, and when there are so \
many more, divided by their number. Each client has got bytes before. Socket buffers and the pages in \
pipes are the kernel's and not in it. Memory is read once it has stayed the same, to 64 KiB, for 3 \
seconds. At most 3 rounds.\n";

const EARLIER: u32 = 16;
const REST: Duration = Duration::from_secs(30);
const MOST_ROUNDS: u32 = 3;
const MOST_KIB: f64 = 8.0;
const ALL: [Contestant; 2] = [Contestant::FdflowGap, Contestant::FdflowRecord];

pub(super) fn measure(many: u32, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let case = format!("{many} clients");
    let check = |one| Running::start(one, 1, setup).map(drop);
    let round = |one| each(one, many, setup);
    let rounds = setup.conditions.rounds.min(MOST_ROUNDS);
    let outcomes = contest((PART, &case), &ALL, rounds, figures, check, round);
    let of = Case { part: PART, name: &case, outcomes: &outcomes };
    let rows = of.rows("KiB per client", 2, |kib| *kib);
    tell(&rows)?;
    figures.add(rows);
    for ours in ALL {
        let says = format!("{ours}: KiB per client");
        match of.median(&ours, |kib| *kib) {
            Some(kib) => figures.target((PART, &case), says, kib, MOST_KIB),
            None => figures.unmeasured((PART, &case), says, Some(MOST_KIB)),
        }
    }
    Ok(())
}

fn each(contestant: Contestant, many: u32, setup: &Setup) -> io::Result<f64> {
    let mut running = Running::start(contestant, EARLIER, setup)?;
    let kib =
        |running: &Running| account::settled_kib(running.daemon.family(), Instant::now() + REST);
    let before = kib(&running)?;
    for _ in 0..many {
        running.join()?;
    }
    let after = kib(&running)?;
    Ok((after as f64 - before as f64) / f64::from(many))
}
