//! One point of a measurement: the processes of a transfer, and rounds of contenders.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::contenders::Contender;
use crate::ends::{self, Kind, TcpOptions};
use crate::measure::Outcome;
use crate::process::Party;

/// Where the bytes come from.
#[derive(Debug, Clone)]
pub(crate) enum Feed {
    /// A process that writes pieces of this size into a connection.
    Writer { kind: Kind, piece: usize },
    /// A file that holds the pattern.
    File(PathBuf),
    /// The first `length` bytes of a file, so many times.
    Files { path: PathBuf, length: usize, times: u64 },
}

/// Where the bytes go.
#[derive(Debug, Clone)]
pub(crate) enum Drain {
    /// A process that reads them from a connection and checks them.
    Reader(Kind),
    /// A file, checked afterwards and deleted.
    File(PathBuf),
}

/// A transfer to measure.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) what: &'static str,
    pub(crate) pair: String,
    /// The figure that tells the points of a pair apart: the size of writes or of files.
    pub(crate) size: u64,
    pub(crate) bytes: u64,
    pub(crate) feed: Feed,
    pub(crate) drain: Drain,
    pub(crate) contenders: Vec<Contender>,
}

/// How all jobs of a run are measured.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    pub(crate) rounds: u32,
    pub(crate) timeout: Duration,
    pub(crate) tcp: TcpOptions,
    /// The mover's processor, and that of the writer and the reader.
    pub(crate) pinned: Option<(usize, usize)>,
    /// The program that relays in Go, or why there is none.
    pub(crate) go: Result<PathBuf, String>,
}

/// What one contender did at one point.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) what: &'static str,
    pub(crate) pair: String,
    pub(crate) size: u64,
    pub(crate) contender: Contender,
    pub(crate) outcomes: Vec<Outcome>,
    /// Why it has no outcomes, where it has none.
    pub(crate) failure: Option<String>,
}

/// What a contender that may fail has to move in a second. One that hangs is not waited for as
/// long as one of which a failure ends the run.
const SLOWEST: u64 = 80_000_000;

impl Job {
    /// Measures all contenders, round by round, after a round that does not count. One that may
    /// fail and does is left out of the rounds that follow.
    pub(crate) fn measure(&self, conditions: &Conditions) -> io::Result<Vec<Cell>> {
        let mut cells: Vec<Cell> = self.contenders.iter().map(|one| self.cell(*one)).collect();
        for round in 0..=conditions.rounds {
            for turn in 0..cells.len() {
                // Who begins changes from round to round.
                let at = (turn + round as usize) % cells.len();
                let cell = &mut cells[at];
                if cell.failure.is_some() {
                    continue;
                }
                match self.transfer(cell.contender, conditions) {
                    Ok(outcome) if round > 0 => cell.outcomes.push(outcome),
                    Ok(_) => {}
                    Err(cause) if cell.contender.may_fail() => {
                        cell.outcomes.clear();
                        cell.failure = Some(cause.to_string());
                    }
                    Err(cause) => {
                        let (pair, size, contender) = (&self.pair, self.size, cell.contender);
                        let message = format!("{pair}, {size}, {contender}: {cause}");
                        return Err(io::Error::other(message));
                    }
                }
            }
        }
        Ok(cells)
    }

    fn cell(&self, contender: Contender) -> Cell {
        let (what, pair, size) = (self.what, self.pair.clone(), self.size);
        Cell { what, pair, size, contender, outcomes: Vec::new(), failure: None }
    }

    /// Makes one transfer in processes of its own and returns what it cost the mover.
    fn transfer(&self, contender: Contender, conditions: &Conditions) -> io::Result<Outcome> {
        let program = program(contender, conditions)?;
        let deadline = Instant::now() + self.patience(contender, conditions);
        let others = pin(conditions.pinned.map(|(_, others)| others));
        let mut reader = None;
        let (to, sink) = match &self.drain {
            Drain::Reader(kind) => {
                let (writer_end, reader_end) = ends::connection(*kind, &conditions.tcp)?;
                reader = Some(self.reader(reader_end, &others, deadline)?);
                (*kind, writer_end)
            }
            Drain::File(path) => (Kind::File, File::create_new(path)?.into()),
        };
        let mut writer = None;
        let (from, source) = match &self.feed {
            Feed::Writer { kind, piece } => {
                let (writer_end, reader_end) = ends::connection(*kind, &conditions.tcp)?;
                writer = Some(self.writer(writer_end, *piece, &others, deadline)?);
                (*kind, reader_end)
            }
            Feed::File(path) | Feed::Files { path, .. } => (Kind::File, File::open(path)?.into()),
        };
        let mut arguments = self.mover_arguments(contender, from, to);
        arguments.extend(program);
        arguments.extend(pin(conditions.pinned.map(|(own, _)| own)));
        let ends = (Stdio::from(source), Stdio::from(sink));
        let mover = Party::start("mover", &arguments, ends, deadline)?;
        drop(writer.as_mut().and_then(Party::signal));

        let outcome: Outcome = match mover.finish() {
            Ok(outcome) => outcome,
            Err(cause) if Instant::now() < deadline => return Err(explained(cause, reader)),
            Err(cause) => return Err(cause),
        };
        writer.map_or(Ok(()), Party::finish)?;
        match &self.drain {
            Drain::Reader(_) => {}
            Drain::File(path) => {
                reader = Some(self.reader(File::open(path)?.into(), &others, deadline)?);
                std::fs::remove_file(path)?;
            }
        }
        reader.map_or(Ok(()), Party::finish)?;
        if outcome.bytes != self.bytes {
            return Err(io::Error::other(format!("{} bytes reported", outcome.bytes)));
        }
        Ok(outcome)
    }

    fn patience(&self, contender: Contender, conditions: &Conditions) -> Duration {
        let most = Duration::from_secs(4 + self.bytes / SLOWEST);
        if contender.may_fail() { most.min(conditions.timeout) } else { conditions.timeout }
    }

    fn reader(&self, end: OwnedFd, pin: &[String], deadline: Instant) -> io::Result<Party> {
        let mut arguments = vec![option("bytes", self.bytes)];
        if let Feed::Files { length, .. } = &self.feed {
            arguments.push(option("period", length));
        }
        arguments.extend_from_slice(pin);
        Party::start("reader", &arguments, (end.into(), Stdio::null()), deadline)
    }

    fn writer(
        &self,
        end: OwnedFd,
        piece: usize,
        pin: &[String],
        deadline: Instant,
    ) -> io::Result<Party> {
        let mut arguments = vec![option("bytes", self.bytes), option("piece", piece)];
        arguments.extend_from_slice(pin);
        Party::start("writer", &arguments, (Stdio::piped(), end.into()), deadline)
    }

    fn mover_arguments(&self, contender: Contender, from: Kind, to: Kind) -> Vec<String> {
        let mut arguments =
            vec![option("contender", contender), option("from", from), option("to", to)];
        if let Feed::Files { length, times, .. } = &self.feed {
            arguments.extend([option("length", length), option("times", times)]);
        }
        if let (Feed::File(from), Drain::File(to)) = (&self.feed, &self.drain) {
            arguments.push(option("from-path", from.display()));
            arguments.push(option("to-path", to.display()));
        }
        arguments
    }
}

/// The program that takes the mover's place.
fn program(contender: Contender, conditions: &Conditions) -> io::Result<Option<String>> {
    if contender != Contender::Go {
        return Ok(None);
    }
    let path = conditions.go.as_ref().map_err(|reason| io::Error::other(reason.clone()))?;
    Ok(Some(option("program", path.display())))
}

/// With what the reader says: it ends early, and the mover fails, where wrong bytes come.
fn explained(cause: io::Error, reader: Option<Party>) -> io::Error {
    match reader.map(Party::finish::<()>) {
        Some(Err(why)) => io::Error::other(format!("{cause}; {why}")),
        _ => cause,
    }
}

fn pin(cpu: Option<usize>) -> Vec<String> {
    cpu.map(|cpu| option("cpu", cpu)).into_iter().collect()
}

fn option(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}
