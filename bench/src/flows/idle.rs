//! Quiet flows: what each costs the relaying process in memory and in descriptors.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::control::{Relaying, Snapshot, allow_descriptors, listen, reset_at_end};
use super::relay::Relay;
use crate::figures::{Case, Figures, in_turns, tell};
use crate::job::Conditions;
use crate::pattern::Pattern;

pub(super) const PART: &str = "idle";
pub(super) const SAYS: &str = "\
A process with a runtime of one thread relays between TCP connections. It is asked for its resident \
memory (smaps_rollup) and for the pipes among its descriptors when 8 flows that have moved bytes are \
quiet, and again when there are so many more; the difference is divided by their number. Before each \
answer all tasks run until the memory stays as it is. Pipes that the pool keeps for the next flows \
are told apart: no flow holds them, and there are at most 8 for the whole process. \
tokio-one-buffer shows what the runtime itself needs: its flows hold two sockets and no buffer.\n";

/// Flows before the first look, so that what a process needs once is not counted.
const EARLIER: usize = 8;
const MOVED: usize = 64 << 10;
/// A flow's resident memory.
const MOST_KIB: f64 = 2.0;

const RELAYS: [Relay; 6] = [
    Relay::Fdflow,
    Relay::FdflowTimeout,
    Relay::TokioOneBuffer,
    Relay::TokioReadWrite,
    Relay::TokioCopy,
    Relay::TokioCopy32k,
];

/// What quiet flows cost.
struct Cost {
    kib: f64,
    pipes: f64,
    pooled: f64,
}

pub(super) fn measure(
    flows: u32,
    conditions: &Conditions,
    figures: &mut Figures,
) -> io::Result<()> {
    allow_descriptors()?;
    let pattern = Pattern::new();
    for (case, moved) in [("after 64 KiB each way", MOVED), ("before the first byte", 0)] {
        let case = format!("{flows} flows {case}");
        let outcomes = in_turns(&RELAYS, conditions.rounds, &case, |relay| {
            quiet(relay, flows as usize, pattern.at(0, moved), conditions)
        })?;
        let of = Case { part: PART, name: &case, outcomes: &outcomes };
        let rows = of.rows("KiB per flow", 2, |cost| cost.kib);
        tell(&rows)?;
        figures.add(rows);
        figures.add(of.rows("pipe descriptors of flows", 0, |cost| cost.pipes));
        figures.add(of.rows("pipes in the pool", 0, |cost| cost.pooled));
        for relay in [Relay::Fdflow, Relay::FdflowTimeout] {
            let says = |what| format!("{relay}: {what}");
            if let Some(kib) = of.median(&relay, |cost| cost.kib) {
                figures.target((PART, &case), says("KiB per flow"), kib, MOST_KIB);
            }
            if let Some(pipes) = of.median(&relay, |cost| cost.pipes) {
                figures.target((PART, &case), says("pipe descriptors of flows"), pipes, 0.0);
            }
        }
    }
    Ok(())
}

fn quiet(relay: Relay, flows: usize, moved: &[u8], conditions: &Conditions) -> io::Result<Cost> {
    let deadline = Instant::now() + conditions.timeout;
    let upstream = listen(&conditions.tcp)?;
    let mut relaying = Relaying::start(relay, upstream.local_addr()?, conditions, deadline)?;
    let earlier = open(&relaying, &upstream, EARLIER, conditions)?;
    exchange(&earlier, Pattern::new().at(0, MOVED))?;
    let before = relaying.ask(EARLIER)?;
    let all = open(&relaying, &upstream, flows, conditions)?;
    exchange(&all, moved)?;
    let after = relaying.ask(EARLIER + flows)?;
    drop((earlier, all));
    relaying.finish()?;
    Ok(cost(before, after, flows))
}

fn cost(before: Snapshot, after: Snapshot, flows: usize) -> Cost {
    Cost {
        kib: (after.rss_kib as f64 - before.rss_kib as f64) / flows as f64,
        pipes: after.pipes as f64 - before.pipes as f64,
        pooled: after.pooled as f64,
    }
}

/// The far ends of a flow: who connected, and who was connected to.
type FarEnds = (TcpStream, TcpStream);

fn open(
    relaying: &Relaying,
    upstream: &TcpListener,
    flows: usize,
    conditions: &Conditions,
) -> io::Result<Vec<FarEnds>> {
    let mut all = Vec::with_capacity(flows);
    for _ in 0..flows {
        let client = TcpStream::connect(relaying.address)?;
        let (server, _) = upstream.accept()?;
        for end in [&client, &server] {
            end.set_read_timeout(Some(conditions.timeout))?;
            end.set_write_timeout(Some(conditions.timeout))?;
            reset_at_end(end)?;
        }
        all.push((client, server));
    }
    Ok(all)
}

/// Moves these bytes through all flows, one way and then the other, many flows at a time.
fn exchange(flows: &[FarEnds], bytes: &[u8]) -> io::Result<()> {
    one_way(flows.iter().map(|(client, server)| (client, server)), bytes)?;
    one_way(flows.iter().map(|(client, server)| (server, client)), bytes)
}

fn one_way<'a>(
    flows: impl Iterator<Item = (&'a TcpStream, &'a TcpStream)> + Clone + Send,
    bytes: &[u8],
) -> io::Result<()> {
    let senders = flows.clone().map(|(sender, _)| sender);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let mut senders = senders;
            senders.try_for_each(|mut sender| sender.write_all(bytes))
        });
        let mut received = vec![0; bytes.len()];
        for (_, mut receiver) in flows {
            receiver.read_exact(&mut received)?;
            if received != bytes {
                return Err(io::Error::other("a flow moved wrong bytes"));
            }
        }
        sending.join().map_err(|_| io::Error::other("the sender panicked"))?
    })
}
