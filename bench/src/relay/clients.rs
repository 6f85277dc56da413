//! One to many clients: what each costs.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::Setup;
use super::contestant::Contestant;
use super::running::Running;
use crate::figures::{Case, Figures, contest, tell};
use crate::pattern::Pattern;

pub(super) const PART: &str = "clients";
pub(super) const SAYS: &str = "\
The producer writes 64 KiB at a time, clients read 256 KiB, each in a thread of its own. The bytes are \
divided among the clients. A relay is started anew for each round, and its processor time is read \
when all clients are attached and again when each has all bytes, with a recording in the file too. \
In one pass before those that count every byte is compared. CPU is that of a GB of the stream and of \
one client. fdflow without a recording has the producer wait for the slowest client (`--lag block`), as \
the broadcast does.\n";

/// CPU against a broadcast that does the same.
const MOST_RATIO: f64 = 0.5;
const PIECE: usize = 64 << 10;
const BLOCK: usize = 256 << 10;
const ALL: [Contestant; 4] = [
    Contestant::Fdflow,
    Contestant::Broadcast,
    Contestant::FdflowRecord,
    Contestant::BroadcastRecord,
];

/// What a round cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    /// Of the stream.
    bytes: u64,
    clients: u32,
    cpu: Duration,
    wall: Duration,
}

impl Cost {
    fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.bytes as f64 / 1e9) / f64::from(self.clients)
    }

    pub(super) fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.wall.as_secs_f64()
    }
}

pub(super) fn measure(
    counts: &[u32],
    bytes: u64,
    setup: &Setup,
    figures: &mut Figures,
) -> io::Result<()> {
    for clients in counts {
        let case = match clients {
            1 => "1 client".to_owned(),
            clients => format!("{clients} clients"),
        };
        let each = (bytes / u64::from(*clients)).max(1);
        let run = |one, compare| {
            let all = Pass { bytes: each, stopped: 0, ahead: u64::MAX, compare };
            all.run(Running::start(one, *clients, setup)?)
        };
        let check = |one| run(one, true).map(drop);
        let round = |one| run(one, false);
        let rounds = setup.conditions.rounds;
        let outcomes = contest((PART, &case), &ALL, rounds, figures, check, round);
        let case = Case { part: PART, name: &case, outcomes: &outcomes };
        let rows = case.rows("CPU-s/GB of a client", 3, Cost::cpu_each);
        tell(&rows)?;
        figures.add(rows);
        figures.add(case.rows("MB/s", 0, Cost::mb_per_s));
        case.versus(
            figures,
            "CPU",
            (Contestant::Fdflow, Contestant::Broadcast),
            Some(MOST_RATIO),
            Cost::cpu_each,
        );
        case.versus(
            figures,
            "CPU",
            (Contestant::FdflowRecord, Contestant::BroadcastRecord),
            Some(MOST_RATIO),
            Cost::cpu_each,
        );
    }
    Ok(())
}

/// A stream to all clients.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    pub(super) bytes: u64,
    /// So many clients, the last ones, read nothing.
    pub(super) stopped: usize,
    /// The producer is at most so many bytes before the slowest client that reads.
    pub(super) ahead: u64,
    /// Every byte is compared.
    pub(super) compare: bool,
}

impl Pass {
    pub(super) fn run(self, mut running: Running) -> io::Result<Cost> {
        let Self { bytes, stopped, ahead, compare } = self;
        let pattern = Pattern::new();
        running.go()?;
        let reading = running.clients.len() - stopped;
        let (before, began) = (running.cpu()?, Instant::now());
        let (producer, clients) = (&running.producer, &running.clients[..reading]);
        let got: Vec<AtomicU64> = clients.iter().map(|_| AtomicU64::new(0)).collect();
        let slowest = || got.iter().map(|got| got.load(Ordering::Relaxed)).min().unwrap_or(0);
        let may = || slowest().saturating_add(ahead);
        std::thread::scope(|scope| {
            let mut threads = Vec::new();
            let writer = spawn(scope, || write(producer, &pattern, bytes, &may))?;
            let told = (ahead < bytes).then(|| writer.thread().clone());
            threads.push(writer);
            for (client, got) in clients.iter().zip(&got) {
                let (expected, told) = (compare.then_some(&pattern), told.clone());
                threads.push(spawn(scope, move || {
                    let tell = |bytes| {
                        got.store(bytes, Ordering::Relaxed);
                        if let Some(producer) = &told {
                            producer.unpark();
                        }
                    };
                    let done = read(client, expected, bytes, tell);
                    // Who has failed holds nobody back.
                    tell(u64::MAX);
                    done
                })?);
            }
            let ended = threads.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| Err(io::Error::other("a far end panicked")))
            });
            ended.collect::<Vec<_>>().into_iter().collect::<io::Result<()>>()
        })?;
        let wall = began.elapsed();
        let cpu = running.cpu()?.saturating_sub(before);
        let clients = u32::try_from(reading).unwrap_or(u32::MAX);
        Ok(Cost { bytes, clients, cpu, wall })
    }
}

fn spawn<'s, T: Send + 's>(
    scope: &'s Scope<'s, '_>,
    work: impl FnOnce() -> T + Send + 's,
) -> io::Result<ScopedJoinHandle<'s, T>> {
    std::thread::Builder::new().stack_size(BLOCK).spawn_scoped(scope, work)
}

/// Writes a stream, up to where `may` says; it says more when this thread is woken.
fn write(
    mut producer: &TcpStream,
    pattern: &Pattern,
    bytes: u64,
    may: &impl Fn() -> u64,
) -> io::Result<()> {
    let mut done = 0;
    while done < bytes {
        if done >= may() {
            std::thread::park();
            continue;
        }
        let most = usize::try_from(bytes - done).unwrap_or(PIECE).min(PIECE);
        let part = pattern.at(done, most);
        producer.write_all(part)?;
        done += part.len() as u64;
    }
    Ok(())
}

/// Reads a stream, and tells how far it is.
fn read(
    mut client: &TcpStream,
    pattern: Option<&Pattern>,
    bytes: u64,
    tell: impl Fn(u64),
) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    let mut done = 0;
    while done < bytes {
        let n = client.read(&mut block)?;
        if n == 0 {
            return Err(io::Error::other(format!("{done} of {bytes} bytes came")));
        }
        let mut at = 0;
        while let Some(pattern) = pattern.filter(|_| at < n) {
            let part = pattern.at(done + at as u64, n - at);
            if block[at..at + part.len()] != *part {
                return Err(io::Error::other(format!("wrong bytes from {done} on")));
            }
            at += part.len();
        }
        done += n as u64;
        tell(done);
    }
    Ok(())
}
