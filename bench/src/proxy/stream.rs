//! Streams, one and many: what a GB costs the proxy.

use std::io;

use super::Setup;
use super::contestant::Contestant;
use super::running::{contestants, of, start_all};
use super::streams::{Cost, Streams};
use crate::figures::{Case, Figures, contest, tell};

pub(super) const PART: &str = "stream";
pub(super) const SAYS: &str = "\
Clients write 64 KiB at a time, servers read 256 KiB, each in a thread of its own. The bytes are \
divided among the streams. What connecting and closing costs is in the figures. Every stream must \
have its number of bytes and the end of the stream both ways; in one pass before those that count \
every byte is compared. `splice-auto` leaves it to HAProxy \
whether it splices, and it may find that it does not pay: the targets hold against one that always \
splices too.\n";

const PIECE: usize = 64 << 10;
const ALL: [Contestant; 5] = [
    Contestant::Fdflow,
    Contestant::Haproxy,
    Contestant::HaproxySpliced,
    Contestant::HaproxyUnspliced,
    Contestant::Nginx,
];

/// The CPU of so many streams, at most, against each of the others.
fn most(streams: u32, theirs: Contestant) -> Option<f64> {
    match (theirs, streams) {
        (Contestant::Haproxy | Contestant::HaproxySpliced, 1) => Some(0.7),
        (Contestant::Haproxy | Contestant::HaproxySpliced, 16 | 64 | 256) => Some(0.5),
        (Contestant::Nginx, 1) => Some(0.35),
        _ => None,
    }
}

pub(super) fn measure(
    counts: &[u32],
    bytes: u64,
    setup: &Setup,
    figures: &mut Figures,
) -> io::Result<()> {
    let running = start_all(PART, &ALL, setup, figures);
    for count in counts {
        let case = match count {
            1 => "1 stream".to_owned(),
            count => format!("{count} streams"),
        };
        let each = (bytes / u64::from(*count)).max(1);
        let streams = Streams { count: *count, each, piece: PIECE };
        let check = |one| streams.check(of(&running, one)?);
        let round = |one| streams.measure(of(&running, one)?, || Ok(()));
        let rounds = setup.conditions.rounds;
        let able = contestants(&running);
        let outcomes = contest((PART, &case), &able, rounds, figures, check, round);
        let case = Case { part: PART, name: &case, outcomes: &outcomes };
        tabulate(&case, figures)?;
        for theirs in [Contestant::Haproxy, Contestant::HaproxySpliced, Contestant::Nginx] {
            let (pair, most) = ((Contestant::Fdflow, theirs), most(*count, theirs));
            case.versus(figures, "CPU", pair, most, Cost::cpu_per_gb);
        }
    }
    Ok(())
}

/// The figures of streams.
pub(super) fn tabulate(case: &Case<'_, Contestant, Cost>, figures: &mut Figures) -> io::Result<()> {
    let rows = case.rows("CPU-s/GB", 3, Cost::cpu_per_gb);
    tell(&rows)?;
    figures.add(rows);
    figures.add(case.rows("MB/s", 0, Cost::mb_per_s));
    Ok(())
}
