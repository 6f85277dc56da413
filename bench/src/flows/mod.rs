//! Flows between sockets that are not about bytes a second: many that are quiet, messages that
//! go to and fro, and one stream to two sinks. Each figure stands beside its target.

mod control;
mod echo;
mod epoll;
mod figures;
mod idle;
mod pingpong;
mod relay;
mod tee;
mod teeing;

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::Common;
use crate::facts::Facts;
use crate::sizes::Size;
use figures::{Figures, Row};

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Quiet flows: memory and descriptors of each
    Idle,
    /// 64 bytes to and fro through a relay: processor time of a round trip
    Pingpong,
    /// One socket and a file beside it: processor time of a GB
    Tee,
}

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// Parts; default: all
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Quiet flows at a time
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=8000))]
    flows: u32,
    /// Round trips of a round of ping-pong
    #[arg(long, default_value_t = 40_000, value_parser = clap::value_parser!(u32).range(100..))]
    round_trips: u32,
    /// Bytes of a transfer with a tee
    #[arg(long, default_value = "256m")]
    bytes: Size,
    /// Where the tee's file goes; default: beside this program
    #[arg(long)]
    directory: Option<PathBuf>,
}

impl Select {
    fn directory(&self) -> io::Result<PathBuf> {
        if let Some(directory) = &self.directory {
            return Ok(directory.clone());
        }
        let program = std::env::current_exe()?;
        program.parent().map(PathBuf::from).ok_or_else(|| io::Error::other("no directory"))
    }
}

/// The work of one child of this measurement.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Relays each connection to the listener at standard input to an address.
    #[command(hide = true)]
    Relay(relay::Options),
    /// Sends back what comes on connections to the listener at standard input.
    #[command(hide = true)]
    Echo(echo::EchoOptions),
    /// Sends messages and waits for each to come back.
    #[command(hide = true)]
    Ping(echo::PingOptions),
    /// Moves standard input to standard output and to a file.
    #[command(hide = true)]
    Tee(teeing::Options),
}

/// Does a child's work and reports it.
pub(crate) fn act(role: &Role) -> io::Result<()> {
    match role {
        Role::Relay(options) => relay::run(options).and_then(|()| crate::roles::report(&())),
        Role::Echo(options) => echo::echo(options).and_then(|()| crate::roles::report(&())),
        Role::Ping(options) => crate::roles::report(&echo::ping(options)?),
        Role::Tee(options) => crate::roles::report(&teeing::run(options)?),
    }
}

/// Measures the parts, prints them and keeps the record.
pub(crate) fn run(select: &Select, common: &Common) -> Result<(), Box<dyn Error>> {
    let conditions = common.conditions();
    let directory = select.directory()?;
    let parts = if select.parts.is_empty() { Part::value_variants() } else { &select.parts };
    let mut figures = Figures::default();
    for part in parts {
        match part {
            Part::Idle => idle::measure(select.flows, &conditions, &mut figures)?,
            Part::Pingpong => pingpong::measure(select.round_trips, &conditions, &mut figures)?,
            Part::Tee => tee::measure(select.bytes.0, &directory, &conditions, &mut figures)?,
        }
    }
    let facts = Facts::collect(&directory, &conditions);
    let text = text(parts, &figures, &facts);
    write!(io::stdout(), "{text}")?;
    if !common.no_record {
        std::fs::create_dir_all(&common.record)?;
        for (suffix, content) in [("csv", figures.csv()), ("md", text)] {
            let path = common.record.join(format!("{}-flows.{suffix}", facts.date));
            std::fs::write(&path, content)?;
            writeln!(io::stderr(), "wrote {}", path.display())?;
        }
    }
    Ok(())
}

fn text(parts: &[Part], figures: &Figures, facts: &Facts) -> String {
    let mut out = String::from(
        "# Flows: quiet ones, messages, and a tee\n\nMedians, with the lowest and the highest in \
         brackets. Contenders take turns, and who begins changes from round to round. A ratio is \
         one of medians.\n\n",
    );
    out.push_str(&facts.to_string());
    out.push_str("\n## Targets\n\n");
    out.push_str(&figures.targets());
    for part in parts {
        let (name, says) = match part {
            Part::Idle => (idle::PART, idle::SAYS),
            Part::Pingpong => (pingpong::PART, pingpong::SAYS),
            Part::Tee => (tee::PART, tee::SAYS),
        };
        out.push_str(&format!("\n## {name}\n\n{says}\n{}", figures.tables(name)));
    }
    out
}

/// Measures contenders in turns, after a round that does not count, and tells how each went.
fn in_turns<C: Copy + Display, T>(
    contenders: &[C],
    rounds: u32,
    case: &str,
    mut measure: impl FnMut(C) -> io::Result<T>,
) -> io::Result<Vec<(C, Vec<T>)>> {
    let mut all: Vec<(C, Vec<T>)> = contenders.iter().map(|one| (*one, Vec::new())).collect();
    for round in 0..=rounds {
        for turn in 0..all.len() {
            let at = (turn + round as usize) % all.len();
            let (contender, outcomes) = &mut all[at];
            let outcome = measure(*contender)
                .map_err(|cause| io::Error::other(format!("{case}, {contender}: {cause}")))?;
            if round > 0 {
                outcomes.push(outcome);
            }
        }
    }
    Ok(all)
}

/// One line about a case, for the one who waits.
fn tell(rows: &[Row]) -> io::Result<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let mut line = format!("{} {}:", first.part, first.case);
    for row in rows.iter().filter(|row| row.what == first.what) {
        line.push_str(&format!("  {} {:.*}", row.contender, row.digits, row.spread.median));
    }
    writeln!(io::stderr(), "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_contender_begins_a_round_and_the_first_round_does_not_count() {
        let mut order = Vec::new();
        let all = in_turns(&['a', 'b'], 2, "", |one| {
            order.push(one);
            Ok(order.len())
        });
        assert_eq!(order, ['a', 'b', 'b', 'a', 'a', 'b']);
        assert_eq!(all.unwrap(), [('a', vec![4, 5]), ('b', vec![3, 6])]);
    }
}
