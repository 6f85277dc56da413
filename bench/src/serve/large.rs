//! A large file, whole or in ranges: what the download costs the server.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::client::{Answer, ask, connect};
use super::server::{Server, of, start_all};
use super::site::name;
use super::{PAIR, Setup};
use crate::figures::{Case, Figures, contest, tell};
use crate::sizes::human;

pub(super) const SAYS: &str = "\
A client of this program reads into buffers of 256 KiB and throws the bytes away; their number must be \
right. One download is compared byte by byte before those that count.\n";

/// How a file is fetched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) part: &'static str,
    requests: u64,
}

/// By one request for all of it.
pub(super) const WHOLE: Way = Way { part: "large", requests: 1 };
/// By as many range requests at a time, each on a connection of its own.
pub(super) const RANGED: Way = Way { part: "ranged", requests: 16 };

/// CPU of a download against nginx's.
const MOST: f64 = 1.0;

/// What a transfer cost.
#[derive(Debug)]
pub(super) struct Cost {
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
}

pub(super) fn measure(way: Way, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let running = start_all(way.part, false, setup, figures);
    let servers: Vec<Server> = running.iter().map(|running| running.server).collect();
    let bytes = setup.site.large;
    let case = match way.requests {
        1 => human(bytes),
        requests => format!("{} by {requests} requests", human(bytes)),
    };
    let timeout = setup.conditions.timeout;
    let check = |server| way.fetch(of(&running, server)?.address, bytes, timeout, true);
    let round = |server| {
        let running = of(&running, server)?;
        let (before, began) = (running.cpu()?, Instant::now());
        way.fetch(running.address, bytes, timeout, false)?;
        let wall = began.elapsed();
        Ok(Cost { cpu: running.cpu()?.saturating_sub(before), wall })
    };
    let rounds = setup.conditions.rounds;
    let outcomes = contest((way.part, &case), &servers, rounds, figures, check, round);
    tabulate(&Case { part: way.part, name: &case, outcomes: &outcomes }, bytes, MOST, figures)
}

/// The figures of a large transfer.
pub(super) fn tabulate(
    case: &Case<'_, Server, Cost>,
    bytes: u64,
    most: f64,
    figures: &mut Figures,
) -> io::Result<()> {
    let rows = case.rows("CPU-s", 3, |cost| cost.cpu.as_secs_f64());
    tell(&rows)?;
    figures.add(rows);
    figures.add(case.rows("MB/s", 0, |cost| bytes as f64 / 1e6 / cost.wall.as_secs_f64()));
    case.versus(figures, "CPU", PAIR, Some(most), |cost| cost.cpu.as_secs_f64());
    Ok(())
}

impl Way {
    fn fetch(
        self,
        address: SocketAddr,
        bytes: u64,
        timeout: Duration,
        check: bool,
    ) -> io::Result<()> {
        std::thread::scope(|scope| {
            let ranges = (0..self.requests).map(|n| self.range(n, bytes));
            let all: Vec<_> = ranges
                .map(|range| scope.spawn(move || fetch(address, bytes, range, timeout, check)))
                .collect();
            let ended = all.into_iter().map(|one| {
                one.join().unwrap_or_else(|_| Err(io::Error::other("the client panicked")))
            });
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// The first and the last byte of a request; `None`: the whole file.
    fn range(self, n: u64, bytes: u64) -> Option<(u64, u64)> {
        if self.requests == 1 {
            return None;
        }
        let at = |n: u64| bytes * n / self.requests;
        Some((at(n), at(n + 1).saturating_sub(1)))
    }
}

fn fetch(
    address: SocketAddr,
    bytes: u64,
    range: Option<(u64, u64)>,
    timeout: Duration,
    check: bool,
) -> io::Result<()> {
    let mut stream = connect(address, timeout)?;
    ask(&mut stream, &name(bytes), range)?;
    let (status, from, length) =
        range.map_or((200, 0, bytes), |(from, to)| (206, from, to - from + 1));
    let answer = Answer::read(&mut stream, 4096)?.expect(status, length)?;
    if check { answer.check(stream, from) } else { answer.discard(stream) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_one_another_and_make_up_the_file() {
        let ranges: Vec<_> = (0..16).filter_map(|n| RANGED.range(n, 1001)).collect();
        assert_eq!((ranges[0].0, ranges[15].1), (0, 1000));
        assert!(ranges.windows(2).all(|two| two[0].1 + 1 == two[1].0));
        assert_eq!(WHOLE.range(0, 1001), None);
    }
}
