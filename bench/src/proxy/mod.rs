//! `fdflow proxy` beside HAProxy and nginx: streams, messages, short connections, quiet ones, a
//! recording and sizes of writes. Each figure stands beside its target.

mod connect;
mod contestant;
mod idle;
mod peers;
mod pingpong;
mod running;
mod stream;
mod streams;
mod sweep;
mod tap;

use std::error::Error;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::Common;
use crate::account;
use crate::facts::Facts;
use crate::figures::{self, Figures};
use crate::job::Conditions;
use crate::sizes::Size;
use peers::Programs;

const INTRO: &str = "\
# `fdflow proxy` beside HAProxy and nginx\n\nEach proxy has one thread that relays, and \
passes TCP connections on the loopback device on to this program, which is both far ends, \
with TCP_NODELAY. Medians, with the lowest and the highest in brackets. The proxies take \
turns, and who begins changes from round to round. A ratio is one of medians. Processor \
time is that of all threads of all processes of a proxy, those that have ended too (the \
kernel's clock of the process, in ns). HAProxy is in TCP mode with nbthread 1 and \
`option splice-auto`, with `option splice-request` and `option splice-response` where it \
always splices, or with none of them; nginx relays by its stream module, with one \
worker. None of them writes a log.\n";

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One to 256 streams at a time: processor time of a GB
    Stream,
    /// Messages of 64 B and 4 KiB to and fro: processor time of a round trip
    Pingpong,
    /// A connection, one byte, close: processor time of a connection
    Connect,
    /// Quiet connections: memory and descriptors of each
    Idle,
    /// One stream that is recorded beside one that is not
    Tap,
    /// One stream in writes of 64 B to 1 MiB: where splicing begins to pay
    Sweep,
}

/// What to measure, and who takes part.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// Parts; default: all
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Streams at a time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256], value_parser = clap::value_parser!(u32).range(1..=1000))]
    streams: Vec<u32>,
    /// Bytes of a round of streams, over all of them
    #[arg(long, default_value = "512m")]
    bytes: Size,
    /// Round trips of a round of ping-pong
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    round_trips: u32,
    /// Connections of a round of short ones
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    connects: u32,
    /// Quiet connections at a time
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(16..=4900))]
    connections: u32,
    /// Bytes of a round with a recording
    #[arg(long, default_value = "256m")]
    tap_bytes: Size,
    /// The most bytes of a round of the sweep
    #[arg(long, default_value = "256m")]
    sweep_bytes: Size,
    /// The program whose `proxy` is measured; default: `fdflow` beside this program
    #[arg(long)]
    fdflow: Option<PathBuf>,
    /// HAProxy; a name is searched on the PATH and in sbin
    #[arg(long, default_value = "haproxy")]
    haproxy: PathBuf,
    /// nginx; a name is searched on the PATH and in sbin
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// Where the recordings are; default: beside this program
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// What all parts work with.
#[derive(Debug)]
struct Setup {
    /// Configurations, what the proxies say, and recordings; deleted when dropped.
    home: TempDir,
    programs: Programs,
    conditions: Conditions,
}

/// Measures the parts, prints them and keeps the record.
pub(crate) fn run(select: &Select, common: &Common) -> Result<(), Box<dyn Error>> {
    let beside = std::env::current_exe()?.with_file_name("");
    let directory = select.directory.clone().unwrap_or_else(|| beside.clone());
    let fdflow = select.fdflow.clone().unwrap_or_else(|| beside.join("fdflow"));
    account::allow_descriptors()?;
    let setup = Setup {
        home: tempfile::Builder::new().prefix("fdflow-bench-proxy.").tempdir_in(&directory)?,
        programs: Programs::find(&fdflow, &select.haproxy, &select.nginx),
        conditions: common.conditions(),
    };
    let parts = if select.parts.is_empty() { Part::value_variants() } else { &select.parts };
    let mut figures = Figures::default();
    for part in parts {
        part.measure(select, &setup, &mut figures)?;
    }
    let mut facts = Facts::collect(&directory, &setup.conditions);
    for (name, version) in setup.programs.versions() {
        facts.add(name, version);
    }
    facts.add("descriptors allowed", account::descriptors_allowed());
    let parts: Vec<_> = parts.iter().map(|part| part.says()).collect();
    Ok(figures::record("proxy", INTRO, &parts, &figures, &facts, common)?)
}

impl Part {
    fn measure(self, select: &Select, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
        match self {
            Self::Stream => stream::measure(&select.streams, select.bytes.0, setup, figures),
            Self::Pingpong => pingpong::measure(select.round_trips, setup, figures),
            Self::Connect => connect::measure(select.connects, setup, figures),
            Self::Idle => idle::measure(select.connections as usize, setup, figures),
            Self::Tap => tap::measure(select.tap_bytes.0, setup, figures),
            Self::Sweep => sweep::measure(select.sweep_bytes.0, setup, figures),
        }
    }

    /// Its name, and what is to be known about it.
    fn says(self) -> (&'static str, &'static str) {
        match self {
            Self::Stream => (stream::PART, stream::SAYS),
            Self::Pingpong => (pingpong::PART, pingpong::SAYS),
            Self::Connect => (connect::PART, connect::SAYS),
            Self::Idle => (idle::PART, idle::SAYS),
            Self::Tap => (tap::PART, tap::SAYS),
            Self::Sweep => (sweep::PART, sweep::SAYS),
        }
    }
}
