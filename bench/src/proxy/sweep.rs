//! One stream in writes of one size: from which size on splicing pays.

use std::io;

use super::Setup;
use super::contestant::Contestant;
use super::running::{contestants, of, start_all};
use super::stream::tabulate;
use super::streams::{Cost, Streams};
use crate::figures::{Case, Figures, contest};
use crate::sizes::human;

pub(super) const PART: &str = "sweep";
pub(super) const SAYS: &str = "\
One stream as in the part before, with writes of one size each. Small writes send fewer bytes: at \
most 100,000 writes are made, so that connecting counts for more there than it does for a large \
stream. What a client writes is sent at once, but while the proxy is busy pieces gather in its \
socket: it need not see them one by one. A ratio below 1 of fdflow to itself without splicing is \
where splicing pays.\n";

const PIECES: [usize; 8] = [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
const MOST_WRITES: u64 = 100_000;
const ALL: [Contestant; 5] = [
    Contestant::Fdflow,
    Contestant::FdflowUnspliced,
    Contestant::HaproxySpliced,
    Contestant::HaproxyUnspliced,
    Contestant::Nginx,
];

pub(super) fn measure(bytes: u64, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let running = start_all(PART, &ALL, setup, figures);
    for piece in PIECES {
        let case = format!("writes of {}", human(piece as u64));
        let streams = Streams { count: 1, each: bytes.min(MOST_WRITES * piece as u64), piece };
        let check = |one| streams.check(of(&running, one)?);
        let round = |one| streams.measure(of(&running, one)?, || Ok(()));
        let rounds = setup.conditions.rounds;
        let able = contestants(&running);
        let outcomes = contest((PART, &case), &able, rounds, figures, check, round);
        let case = Case { part: PART, name: &case, outcomes: &outcomes };
        tabulate(&case, figures)?;
        for theirs in [Contestant::FdflowUnspliced, Contestant::HaproxySpliced, Contestant::Nginx] {
            let pair = (Contestant::Fdflow, theirs);
            case.versus(figures, "CPU", pair, None, Cost::cpu_per_gb);
        }
        let pair = (Contestant::HaproxySpliced, Contestant::HaproxyUnspliced);
        case.versus(figures, "CPU", pair, None, Cost::cpu_per_gb);
    }
    Ok(())
}
