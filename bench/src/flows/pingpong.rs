//! Messages to and fro through a relay: what a round trip costs the relaying process.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::control::{Relaying, listen, settings};
use super::echo::{Latency, MESSAGE};
use super::relay::Relay;
use crate::figures::{Case, Figures, in_turns, tell};
use crate::job::Conditions;
use crate::process::Party;

pub(super) const PART: &str = "pingpong";
pub(super) const SAYS: &str = "\
A process sends messages of 64 bytes over TCP through the relaying process to a third, which sends \
them back; a connection has one message on its way at a time. The peer of the target is \
tokio-read-write: the same runtime, a read and a write each way. `epoll` is the same without a \
runtime.\n";

/// Round trips before those that count.
const WARM_UP: u32 = 2000;
/// Against a relay that reads and writes.
const MOST_RATIO: f64 = 1.05;

const RELAYS: [Relay; 5] =
    [Relay::Fdflow, Relay::FdflowTimeout, Relay::TokioReadWrite, Relay::TokioCopy32k, Relay::Epoll];

/// What round trips cost.
struct Cost {
    cpu_us: f64,
    latency: Latency,
}

pub(super) fn measure(
    round_trips: u32,
    conditions: &Conditions,
    figures: &mut Figures,
) -> io::Result<()> {
    for (connections, name) in [(1, "1 connection"), (32, "32 connections")] {
        let case = format!("{MESSAGE} bytes; {name}");
        let outcomes = in_turns(&RELAYS, conditions.rounds, &case, |relay| {
            play(relay, connections, round_trips, conditions)
        })?;
        let of = Case { part: PART, name: &case, outcomes: &outcomes };
        let rows = of.rows("CPU-µs per round trip", 2, |cost| cost.cpu_us);
        tell(&rows)?;
        figures.add(rows);
        figures.add(of.rows("p50 µs", 1, |cost| cost.latency.p50_us));
        figures.add(of.rows("p99 µs", 1, |cost| cost.latency.p99_us));
        let cpu = |relay| of.median(&relay, |cost| cost.cpu_us);
        for ours in [Relay::Fdflow, Relay::FdflowTimeout] {
            let theirs = Relay::TokioReadWrite;
            if let (Some(ours_us), Some(theirs_us)) = (cpu(ours), cpu(theirs)) {
                let says = format!("CPU of {ours} : {theirs}");
                figures.target((PART, &case), says, ours_us / theirs_us, MOST_RATIO);
            }
        }
    }
    Ok(())
}

fn play(
    relay: Relay,
    connections: usize,
    round_trips: u32,
    conditions: &Conditions,
) -> io::Result<Cost> {
    let deadline = Instant::now() + conditions.timeout;
    let others = settings(&conditions.tcp, conditions.pinned.map(|(_, others)| others));
    let listener = listen(&conditions.tcp)?;
    let upstream = listener.local_addr()?;
    let mut arguments = vec![format!("--connections={connections}")];
    arguments.extend_from_slice(&others);
    let ends = (Stdio::from(OwnedFd::from(listener)), Stdio::null());
    let echo = Party::start("echo", &arguments, ends, deadline)?;

    let mut relaying = Relaying::start(relay, upstream, conditions, deadline)?;
    arguments.push(format!("--address={}", relaying.address));
    arguments.push(format!("--round-trips={round_trips}"));
    arguments.push(format!("--warm-up={WARM_UP}"));
    let ends = (Stdio::piped(), Stdio::null());
    let mut ping = Party::start("ping", &arguments, ends, deadline)?;

    let before = relaying.ask(connections)?.cpu;
    drop(ping.signal());
    let latency = ping.finish()?;
    let after = relaying.ask(connections)?.cpu_asked;
    echo.finish::<()>()?;
    relaying.finish()?;
    let cpu: Duration = after.saturating_sub(before);
    Ok(Cost { cpu_us: cpu.as_secs_f64() * 1e6 / f64::from(round_trips), latency })
}
