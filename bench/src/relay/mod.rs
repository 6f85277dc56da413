//! `fdflow relay` beside a plain broadcast: what a client costs, what one that has stopped costs the
//! others, and what each needs of memory.

mod broadcast;
mod clients;
mod contestant;
mod memory;
mod running;
mod stopped;

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
pub(crate) use broadcast::{Options as BroadcastOptions, run as broadcast};

const INTRO: &str = "\
# `fdflow relay` beside a plain broadcast\n\nEach contender takes a stream from one TCP \
connection on the loopback device and gives it to a number of others; this program is all \
far ends. The broadcast has one thread, reads up to 64 KiB at a time into memory, once, \
and writes them to each client in turn, and to a file where it records. Medians, with the \
lowest and the highest in brackets. The contenders take turns, and who begins changes \
from round to round. A ratio is one of medians. Processor time is that of all threads of \
the process (the kernel's clock of it, in ns). None of them writes a log.\n";

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// One to 16 clients: processor time of a GB and client
    Clients,
    /// Four clients, one of them stopped or not: throughput of the others
    Stopped,
    /// Many clients: memory of each
    Memory,
}

/// What to measure, and who takes part.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// Parts; default: all
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Clients at a time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 4, 16], value_parser = clap::value_parser!(u32).range(1..=500))]
    clients: Vec<u32>,
    /// Bytes of a round over all clients
    #[arg(long, default_value = "2g")]
    bytes: Size,
    /// Clients of which the memory is looked at
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(16..=4000))]
    many: u32,
    /// The program whose `relay` is measured; default: `fdflow` beside this program
    #[arg(long)]
    fdflow: Option<PathBuf>,
    /// Where the recordings are; default: beside this program
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// What all parts work with.
#[derive(Debug)]
struct Setup {
    /// Recordings, and what the programs say; deleted when dropped.
    home: TempDir,
    fdflow: Result<PathBuf, String>,
    conditions: Conditions,
}

/// Measures the parts, prints them and keeps the record.
pub(crate) fn run(select: &Select, common: &Common) -> Result<(), Box<dyn Error>> {
    let beside = std::env::current_exe()?.with_file_name("");
    let directory = select.directory.clone().unwrap_or_else(|| beside.clone());
    let fdflow = select.fdflow.clone().unwrap_or_else(|| beside.join("fdflow"));
    account::allow_descriptors()?;
    let setup = Setup {
        home: tempfile::Builder::new().prefix("fdflow-bench-relay.").tempdir_in(&directory)?,
        fdflow: crate::daemon::find(&fdflow)
            .map_err(|why| format!("{why}; `cargo build --release` makes it")),
        conditions: common.conditions(),
    };
    let parts = if select.parts.is_empty() { Part::value_variants() } else { &select.parts };
    let mut figures = Figures::default();
    for part in parts {
        part.measure(select, &setup, &mut figures)?;
    }
    let mut facts = Facts::collect(&directory, &setup.conditions);
    facts.add("descriptors allowed", account::descriptors_allowed());
    let parts: Vec<_> = parts.iter().map(|part| part.says()).collect();
    Ok(figures::record("relay", INTRO, &parts, &figures, &facts, common)?)
}

impl Part {
    fn measure(self, select: &Select, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
        match self {
            Self::Clients => clients::measure(&select.clients, select.bytes.0, setup, figures),
            Self::Stopped => stopped::measure(select.bytes.0, setup, figures),
            Self::Memory => memory::measure(select.many, setup, figures),
        }
    }

    /// Its name, and what is to be known about it.
    fn says(self) -> (&'static str, &'static str) {
        match self {
            Self::Clients => (clients::PART, clients::SAYS),
            Self::Stopped => (stopped::PART, stopped::SAYS),
            Self::Memory => (memory::PART, memory::SAYS),
        }
    }
}
