//! Memory to three processes: sealed and handed over, or written to each.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::Instant;

use fdflow::share::{Sealed, SealedBuilder, send};

use super::consume::{Coming, Consumed, Purpose};
use super::site::count_in;
use super::{Setup, monotonic};
use crate::ends::{Kind, connection};
use crate::figures::{Case, Figures, in_turns, tell};
use crate::job::Conditions;
use crate::measure::{Who, cpu_time};
use crate::pattern::{PIECE, Pattern};
use crate::process::Party;
use crate::sizes::human;

pub(super) const PART: &str = "share";
pub(super) const SAYS: &str = "\
A process has the bytes in memory, three others are to have them: from the first call of the one to \
when the last of the three is done. `sealed` sends each the descriptor of its sealed memory over a \
Unix socket, and they verify and map it; `pipe` (of 1 MiB) and `unix` write them to each, on a thread \
for each, 1 MiB at a time. Where they are to *have* the bytes, a stream is read into memory, which \
sealed memory is already; where they are to *count* a byte, all of them are looked at once, and a \
stream is read through 256 KiB.\n";

const CONSUMERS: usize = 3;
/// A pipe of as much as a user may have.
const PIPE: usize = 1 << 20;
/// Against the pipe.
const MOST_RATIO: f64 = 0.1;

/// How the bytes get there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Sealed,
    Pipe,
    Unix,
}

const SHARINGS: [Sharing; 3] = [Sharing::Sealed, Sharing::Pipe, Sharing::Unix];

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sealed => "sealed",
            Self::Pipe => "pipe",
            Self::Unix => "unix",
        })
    }
}

/// What it cost.
#[derive(Debug)]
struct Cost {
    /// Seconds.
    wall: f64,
    /// Processor seconds of all four processes.
    cpu: f64,
    /// Memory of the three, together.
    grown_mib: f64,
}

pub(super) fn measure(bytes: u64, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let memory = filled(bytes)?;
    for (purpose, does) in [(Purpose::Have, "have"), (Purpose::Count, "count")] {
        let expected = match purpose {
            Purpose::Have => bytes,
            Purpose::Count => count_in(&memory),
        };
        let name = format!("{} to {CONSUMERS} processes that {does} it", human(bytes));
        let rounds = setup.conditions.rounds;
        let outcomes = in_turns(&SHARINGS, rounds, &name, |sharing| {
            share(sharing, purpose, &memory, expected, &setup.conditions)
        })?;
        let case = Case { part: PART, name: &name, outcomes: &outcomes };
        let rows = case.rows("ms", 2, |cost| cost.wall * 1e3);
        tell(&rows)?;
        figures.add(rows);
        figures.add(case.rows("CPU-ms", 2, |cost| cost.cpu * 1e3));
        figures.add(case.rows("MiB resident", 0, |cost| cost.grown_mib));
        // To look at all of it costs three times the looking, however it came.
        let most = (purpose == Purpose::Have).then_some(MOST_RATIO);
        let pair = (Sharing::Sealed, Sharing::Pipe);
        case.versus(figures, "time", pair, most, |cost| cost.wall);
        let pair = (Sharing::Sealed, Sharing::Unix);
        case.versus(figures, "time", pair, None, |cost| cost.wall);
    }
    Ok(())
}

fn filled(bytes: u64) -> io::Result<Sealed> {
    let mut builder = SealedBuilder::named("fdflow-bench")?;
    Pattern::new().write(&mut builder, bytes, PIECE)?;
    Ok(builder.seal()?)
}

fn share(
    sharing: Sharing,
    purpose: Purpose,
    memory: &Sealed,
    expected: u64,
    conditions: &Conditions,
) -> io::Result<Cost> {
    let deadline = Instant::now() + conditions.timeout;
    let (kind, coming) = match sharing {
        Sharing::Sealed => (Kind::Unix, Coming::Sealed),
        Sharing::Pipe => (Kind::Pipe, Coming::Stream),
        Sharing::Unix => (Kind::Unix, Coming::Stream),
    };
    let mut consumers = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..CONSUMERS {
        let (writer, reader) = connection(kind, &conditions.tcp)?;
        if kind == Kind::Pipe {
            rustix::pipe::fcntl_setpipe_size(&writer, PIPE)?;
        }
        let arguments = [
            format!("--coming={}", name_of(&coming)),
            format!("--purpose={}", name_of(&purpose)),
            format!("--bytes={}", memory.len()),
        ];
        let stdio = (reader.into(), Stdio::null());
        consumers.push(Party::start("consume", &arguments, stdio, deadline)?);
        ends.push(writer);
    }
    let (used, began) = (cpu_time(Who::Own)?, monotonic());
    match sharing {
        Sharing::Sealed => hand_over(memory, ends)?,
        Sharing::Pipe | Sharing::Unix => write(memory, ends)?,
    }
    let mut consumed: Vec<Consumed> = Vec::new();
    for consumer in consumers {
        consumed.push(consumer.finish()?);
    }
    if let Some(wrong) = consumed.iter().find(|one| one.answer != expected) {
        let message = format!("{} was found, and {expected} is right", wrong.answer);
        return Err(io::Error::other(message));
    }
    let own = cpu_time(Who::Own)?.saturating_sub(used).as_secs_f64();
    let done = consumed.iter().map(|one| one.done).fold(began, f64::max);
    let grown: u64 = consumed.iter().map(|one| one.grown_kib).sum();
    Ok(Cost {
        wall: done - began,
        cpu: own + consumed.iter().map(|one| one.cpu).sum::<f64>(),
        grown_mib: grown as f64 / 1024.0,
    })
}

fn name_of(value: &impl clap::ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn hand_over(memory: &Sealed, ends: Vec<OwnedFd>) -> io::Result<()> {
    ends.iter().try_for_each(|end| send(end, b"m", &[memory.as_fd()]).map(drop))
}

/// To all at once: the slowest does not hold up the others.
fn write(memory: &Sealed, ends: Vec<OwnedFd>) -> io::Result<()> {
    std::thread::scope(|scope| {
        let writers: Vec<_> = ends
            .into_iter()
            .map(|end| {
                let mut end = File::from(end);
                scope.spawn(move || memory.chunks(PIECE).try_for_each(|part| end.write_all(part)))
            })
            .collect();
        writers.into_iter().try_for_each(|writer| {
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}
