//! Quiet connections: what each costs the proxy in memory and in descriptors.

use std::io::{self, Read, Write};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::Setup;
use super::contestant::Contestant;
use super::running::{Ends, Running};
use crate::figures::{Case, Figures, contest, tell};
use crate::pattern::Pattern;

pub(super) const PART: &str = "idle";
pub(super) const SAYS: &str = "\
The proxy is started anew for each round. Through each connection 64 KiB go from the client to the \
server, one connection after the other, and then nothing more. The proxy's resident memory (Rss of \
smaps_rollup, of all its processes) and its descriptors are read when 16 such connections are there, \
and again when there are so many more; the difference is divided by their number. Each is read once \
the memory has stayed the same, to 64 KiB, and the descriptors too, for 3 seconds. Socket buffers are \
the kernel's and not in it. Afterwards every connection must still carry a byte each way. nginx sets \
aside what it needs of each of its worker_connections when it starts, which is in neither reading. \
At most 3 rounds.\n";

/// Connections before the first look, so that what a process needs once is not counted.
const EARLIER: usize = 16;
const MOVED: usize = 64 << 10;
/// All must have come to rest within this.
const REST: Duration = Duration::from_secs(30);
/// What is told of each varies little, and a round takes long.
const MOST_ROUNDS: u32 = 3;
/// Of a connection.
const MOST_KIB: f64 = 1.5;
const MOST_DESCRIPTORS: f64 = 2.0;
const ALL: [Contestant; 3] = [Contestant::Fdflow, Contestant::Haproxy, Contestant::Nginx];

/// What the connections cost.
#[derive(Debug)]
struct Cost {
    kib_each: f64,
    descriptors_each: f64,
    /// More than before them, of the whole process.
    pipes: f64,
    after_kib: u64,
}

pub(super) fn measure(count: usize, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let case = format!("{count} quiet connections");
    // Whether it starts; not a round, so that one that is absent does not end those of the others.
    let check = |one| Running::start(one, setup).map(drop);
    let round = |one| quiet(one, count, setup);
    let rounds = setup.conditions.rounds.min(MOST_ROUNDS);
    let outcomes = contest((PART, &case), &ALL, rounds, figures, check, round);
    let of = Case { part: PART, name: &case, outcomes: &outcomes };
    let rows = of.rows("KiB per connection", 2, |cost| cost.kib_each);
    tell(&rows)?;
    figures.add(rows);
    figures.add(of.rows("descriptors per connection", 2, |cost| cost.descriptors_each));
    figures.add(of.rows("more descriptors of pipes", 0, |cost| cost.pipes));
    figures.add(of.rows("KiB with them", 0, |cost| cost.after_kib as f64));
    let ours = Contestant::Fdflow;
    let mut target = |what, most, figure: fn(&Cost) -> f64| {
        let says = format!("{ours}: {what}");
        match of.median(&ours, figure) {
            Some(value) => figures.target((PART, &case), says, value, most),
            None => figures.unmeasured((PART, &case), says, Some(most)),
        }
    };
    target("KiB per connection", MOST_KIB, |cost| cost.kib_each);
    target("descriptors per connection", MOST_DESCRIPTORS, |cost| cost.descriptors_each);
    target("more descriptors of pipes", 0.0, |cost| cost.pipes);
    if let Some(kib) = of.median(&Contestant::Haproxy, |cost| cost.kib_each) {
        let says = format!("{}: KiB per connection", Contestant::Haproxy);
        figures.note((PART, &case), says, kib);
    }
    Ok(())
}

fn quiet(contestant: Contestant, count: usize, setup: &Setup) -> io::Result<Cost> {
    let running = Running::start(contestant, setup)?;
    let mut all = join(&running, EARLIER)?;
    let (before_kib, before) = running.settled(REST)?;
    all.extend(join(&running, count)?);
    let (after_kib, after) = running.settled(REST)?;
    all.iter_mut().try_for_each(Ends::send_byte)?;
    let each = |before: f64, after: f64| (after - before) / count as f64;
    Ok(Cost {
        kib_each: each(before_kib as f64, after_kib as f64),
        descriptors_each: each(before.all as f64, after.all as f64),
        pipes: after.pipes as f64 - before.pipes as f64,
        after_kib,
    })
}

fn join(running: &Running, count: usize) -> io::Result<Vec<Ends>> {
    let pattern = Pattern::new();
    let message = pattern.at(0, MOVED);
    let mut received = vec![0; MOVED];
    let mut all = Vec::with_capacity(count);
    for _ in 0..count {
        let mut ends = running.open()?;
        for end in [&ends.client, &ends.server] {
            // Closed by a reset, so that thousands of closed connections do not linger.
            set_socket_linger(end, Some(Duration::ZERO))?;
        }
        ends.client.write_all(message)?;
        ends.server.read_exact(&mut received)?;
        if received != message {
            return Err(io::Error::other("a connection moved wrong bytes"));
        }
        all.push(ends);
    }
    Ok(all)
}
