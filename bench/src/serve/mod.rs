//! `fdflow serve` beside nginx: small files, a large one whole and in ranges, an upload, and
//! connections that are slow or quiet. Each figure stands beside its target.

mod client;
mod crowd;
mod large;
mod nginx;
mod put;
mod server;
mod site;
mod small;
mod wrk;

use std::error::Error;
use std::io;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::Common;
use crate::account;
use crate::facts::Facts;
use crate::figures::{self, Figures};
use crate::job::Conditions;
use crate::sizes::Size;
use server::{Programs, Server};
use site::Site;

const INTRO: &str = "\
# `fdflow serve` beside nginx\n\nEach server has one thread that serves. Medians, with \
the lowest and the highest in brackets. The servers take turns, and who begins changes \
from round to round. A ratio is one of medians. Processor time is that of all threads of \
all processes of a server, those that have ended too (the kernel's clock of the process, \
in ns). nginx has one worker, sendfile, tcp_nopush and open_file_cache on, access_log \
off; keep-alive of any number of requests, so that it need not close what ours keeps \
open.\n";

/// Whose figures are compared.
const PAIR: (Server, Server) = (Server::Fdflow, Server::Nginx);

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Files of 1 KiB to 1 MiB over 32 connections: processor time of a request
    Small,
    /// One download of a large file: its processor time
    Large,
    /// The same file by 16 range requests at a time
    Ranged,
    /// One upload of a large file
    Put,
    /// Readers of a large file that stop reading: memory of each
    Slow,
    /// Keep-alive connections that are quiet: memory of each
    Idle,
}

/// What to measure, and who takes part.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// Parts; default: all
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Seconds that a round of small files lasts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// The large file's size
    #[arg(long, default_value = "1g")]
    bytes: Size,
    /// Slow readers at a time
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    readers: u32,
    /// Quiet connections at a time
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=15_000))]
    connections: u32,
    /// The program whose `serve` is measured; default: `fdflow` beside this program
    #[arg(long)]
    fdflow: Option<PathBuf>,
    /// nginx; a name is searched on the PATH and in sbin
    #[arg(long, default_value = "nginx")]
    nginx: PathBuf,
    /// wrk, the client for small files
    #[arg(long, default_value = "wrk")]
    wrk: PathBuf,
    /// Where the served files are; default: beside this program
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// What all parts work with.
#[derive(Debug)]
struct Setup {
    site: Site,
    programs: Programs,
    conditions: Conditions,
    seconds: u32,
    readers: usize,
    connections: usize,
}

/// Measures the parts, prints them and keeps the record.
pub(crate) fn run(select: &Select, common: &Common) -> Result<(), Box<dyn Error>> {
    let beside = std::env::current_exe()?.with_file_name("");
    let directory = select.directory.clone().unwrap_or_else(|| beside.clone());
    let fdflow = select.fdflow.clone().unwrap_or_else(|| beside.join("fdflow"));
    let conditions = common.conditions();
    account::allow_descriptors()?;
    let setup = Setup {
        site: Site::create(&directory, select.bytes.0)?,
        programs: Programs::find(&fdflow, &select.nginx, &select.wrk),
        seconds: select.seconds,
        readers: select.readers as usize,
        connections: select.connections as usize,
        conditions,
    };
    let parts = if select.parts.is_empty() { Part::value_variants() } else { &select.parts };
    let mut figures = Figures::default();
    for part in parts {
        part.measure(&setup, &mut figures)?;
    }
    let mut facts = Facts::collect(&directory, &setup.conditions);
    for (name, version) in setup.programs.versions() {
        facts.add(name, version);
    }
    facts.add("descriptors allowed", account::descriptors_allowed());
    let parts: Vec<_> = parts.iter().map(|part| part.says()).collect();
    Ok(figures::record("serve", INTRO, &parts, &figures, &facts, common)?)
}

impl Part {
    fn measure(self, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
        match self {
            Self::Small => small::measure(setup, figures),
            Self::Large => large::measure(large::WHOLE, setup, figures),
            Self::Ranged => large::measure(large::RANGED, setup, figures),
            Self::Put => put::measure(setup, figures),
            Self::Slow => crowd::measure(crowd::Kind::Slow, setup, figures),
            Self::Idle => crowd::measure(crowd::Kind::Idle, setup, figures),
        }
    }

    /// Its name, and what is to be known about it.
    fn says(self) -> (&'static str, &'static str) {
        match self {
            Self::Small => (small::PART, small::SAYS),
            Self::Large => (large::WHOLE.part, large::SAYS),
            Self::Ranged => (large::RANGED.part, large::SAYS),
            Self::Put => (put::PART, put::SAYS),
            Self::Slow => (crowd::Kind::Slow.part(), crowd::SAYS),
            Self::Idle => (crowd::Kind::Idle.part(), crowd::SAYS),
        }
    }
}
