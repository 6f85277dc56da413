//! Connections that carry one byte: what each costs the proxy.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use super::Setup;
use super::contestant::Contestant;
use super::running::{Running, contestants, of, start_all};
use crate::figures::{Case, Figures, contest, tell};

pub(super) const PART: &str = "connect";
pub(super) const SAYS: &str = "\
One connection after another: the client connects and sends a byte, the server takes the connection, \
reads the byte and closes, the client sees the end of the stream and closes by a reset, so that \
thousands of closed connections do not linger.\n";

/// CPU against HAProxy's.
const MOST_RATIO: f64 = 0.9;
/// Connections of the pass before those that count.
const CHECKED: u32 = 10;
const ALL: [Contestant; 3] = [Contestant::Fdflow, Contestant::Haproxy, Contestant::Nginx];

/// What connections cost.
#[derive(Debug)]
struct Cost {
    connections: u32,
    cpu: Duration,
    wall: Duration,
}

impl Cost {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / f64::from(self.connections)
    }

    fn per_second(&self) -> f64 {
        f64::from(self.connections) / self.wall.as_secs_f64()
    }
}

pub(super) fn measure(connections: u32, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let running = start_all(PART, &ALL, setup, figures);
    let case = format!("{connections} connections");
    let check = |one| connect(of(&running, one)?, CHECKED).map(drop);
    let round = |one| connect(of(&running, one)?, connections);
    let rounds = setup.conditions.rounds;
    let able = contestants(&running);
    let outcomes = contest((PART, &case), &able, rounds, figures, check, round);
    let case = Case { part: PART, name: &case, outcomes: &outcomes };
    let rows = case.rows("CPU-µs per connection", 1, Cost::cpu_us);
    tell(&rows)?;
    figures.add(rows);
    figures.add(case.rows("connections/s", 0, Cost::per_second));
    let pair = (Contestant::Fdflow, Contestant::Haproxy);
    case.versus(figures, "CPU", pair, Some(MOST_RATIO), Cost::cpu_us);
    let pair = (Contestant::Fdflow, Contestant::Nginx);
    case.versus(figures, "CPU", pair, None, Cost::cpu_us);
    Ok(())
}

fn connect(running: &Running, connections: u32) -> io::Result<Cost> {
    let (before, began) = (running.cpu()?, Instant::now());
    for _ in 0..connections {
        one(running)?;
    }
    let wall = began.elapsed();
    Ok(Cost { connections, cpu: running.cpu()?.saturating_sub(before), wall })
}

fn one(running: &Running) -> io::Result<()> {
    let mut client = running.dial()?;
    client.write_all(b"x")?;
    let mut server = running.accept()?;
    let mut byte = [0];
    server.read_exact(&mut byte)?;
    set_socket_linger(&client, Some(Duration::ZERO))?;
    drop(server);
    match (byte, client.read(&mut [0])?) {
        ([b'x'], 0) => Ok(()),
        _ => Err(io::Error::other("a byte did not arrive as it was sent, or one came back")),
    }
}
