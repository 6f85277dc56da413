//! Messages to and fro through a proxy: what a round trip costs it, and how long one takes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use super::Setup;
use super::contestant::Contestant;
use super::running::{Ends, Running, contestants, of, start_all};
use crate::figures::{Case, Figures, contest, tell};
use crate::pattern::Pattern;
use crate::sizes::human;

pub(super) const PART: &str = "pingpong";
pub(super) const SAYS: &str = "\
One connection with one message on its way at a time, which the server sends back; both ends are \
threads of one process that wait in `read`. Every message is compared.\n";

const SIZES: [usize; 2] = [64, 4 << 10];
/// Round trips of a new connection before those that count.
const WARM_UP: u32 = 1000;
/// Against HAProxy's.
const MOST_CPU: f64 = 0.9;
const MOST_P99: f64 = 1.0;
const ALL: [Contestant; 3] = [Contestant::Fdflow, Contestant::Haproxy, Contestant::Nginx];

/// What round trips cost, and how long they took.
#[derive(Debug)]
struct Cost {
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
}

pub(super) fn measure(round_trips: u32, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let running = start_all(PART, &ALL, setup, figures);
    for size in SIZES {
        let case = human(size as u64);
        let check = |one| play(of(&running, one)?, size, 1).map(drop);
        let round = |one| play(of(&running, one)?, size, round_trips);
        let rounds = setup.conditions.rounds;
        let able = contestants(&running);
        let outcomes = contest((PART, &case), &able, rounds, figures, check, round);
        let case = Case { part: PART, name: &case, outcomes: &outcomes };
        let rows = case.rows("CPU-µs per round trip", 2, |cost| cost.cpu_us);
        tell(&rows)?;
        figures.add(rows);
        figures.add(case.rows("p50 µs", 1, |cost| cost.p50_us));
        figures.add(case.rows("p99 µs", 1, |cost| cost.p99_us));
        let pair = (Contestant::Fdflow, Contestant::Haproxy);
        case.versus(figures, "CPU", pair, Some(MOST_CPU), |cost| cost.cpu_us);
        case.versus(figures, "p99", pair, Some(MOST_P99), |cost| cost.p99_us);
        let pair = (Contestant::Fdflow, Contestant::Nginx);
        case.versus(figures, "CPU", pair, None, |cost| cost.cpu_us);
    }
    Ok(())
}

fn play(running: &Running, size: usize, round_trips: u32) -> io::Result<Cost> {
    let Ends { mut client, server } = running.open()?;
    let pattern = Pattern::new();
    std::thread::scope(|scope| {
        let echo = scope.spawn(|| echo(server));
        let played = exchange(&mut client, &pattern, size, WARM_UP).and_then(|_| {
            let before = running.cpu()?;
            let took = exchange(&mut client, &pattern, size, round_trips)?;
            Ok((running.cpu()?.saturating_sub(before), took))
        });
        // Ends the echo, also where a round trip failed.
        let ended = client.shutdown(Shutdown::Both);
        let echoed = echo.join().unwrap_or_else(|_| Err(io::Error::other("the echo panicked")));
        let (cpu, took) = played?;
        ended.and(echoed)?;
        Ok(cost(cpu, took, round_trips))
    })
}

fn cost(cpu: Duration, mut took: Vec<u64>, round_trips: u32) -> Cost {
    took.sort_unstable();
    let at = |percent: usize| {
        let nanoseconds = took.get(took.len() * percent / 100).copied().unwrap_or(0);
        nanoseconds as f64 / 1e3
    };
    let cpu_us = cpu.as_secs_f64() * 1e6 / f64::from(round_trips);
    Cost { cpu_us, p50_us: at(50), p99_us: at(99) }
}

/// Makes so many round trips and tells how many nanoseconds each took.
fn exchange(
    client: &mut TcpStream,
    pattern: &Pattern,
    size: usize,
    round_trips: u32,
) -> io::Result<Vec<u64>> {
    let mut took = Vec::with_capacity(round_trips as usize);
    let mut reply = vec![0; size];
    for n in 0..round_trips {
        let message = pattern.at(u64::from(n), size);
        let sent = Instant::now();
        client.write_all(message)?;
        client.read_exact(&mut reply)?;
        took.push(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX));
        if reply != message {
            return Err(io::Error::other("a message did not come back as it was sent"));
        }
    }
    Ok(took)
}

/// Sends back what comes, to the end.
fn echo(mut server: TcpStream) -> io::Result<()> {
    let mut block = vec![0; 64 << 10];
    loop {
        match server.read(&mut block)? {
            0 => return Ok(()),
            n => server.write_all(&block[..n])?,
        }
    }
}
