//! Flows between sockets that are not about bytes a second: many that are quiet, messages that
//! go to and fro, and one stream to two sinks. Each figure stands beside its target.

mod control;
mod echo;
mod epoll;
mod idle;
mod pingpong;
mod relay;
mod tee;
mod teeing;

use std::error::Error;
use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::Common;
use crate::facts::Facts;
use crate::figures::{self, Figures};
use crate::sizes::Size;

const INTRO: &str = "\
# Flows: quiet ones, messages, and a tee\n\nMedians, with the lowest and the highest in \
brackets. Contenders take turns, and who begins changes from round to round. A ratio is \
one of medians.\n";

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
    #[command(hide = true, name = "flows-relay")]
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

impl Part {
    /// Its name, and what is to be known about it.
    fn says(self) -> (&'static str, &'static str) {
        match self {
            Self::Idle => (idle::PART, idle::SAYS),
            Self::Pingpong => (pingpong::PART, pingpong::SAYS),
            Self::Tee => (tee::PART, tee::SAYS),
        }
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
    let parts: Vec<_> = parts.iter().map(|part| part.says()).collect();
    Ok(figures::record("flows", INTRO, &parts, &figures, &facts, common)?)
}
