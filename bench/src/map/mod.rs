//! Files as memory, and memory that many share: beside mapping and reading by hand, and beside pipes
//! and sockets. Each figure stands beside its target.

mod consume;
mod copying;
mod haul;
mod peruse;
mod pieces;
mod reading;
mod share;
mod site;
mod ways;

use std::error::Error;
use std::io;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use rustix::time::{ClockId, clock_gettime};

use crate::Common;
use crate::facts::Facts;
use crate::figures::{self, Figures};
use crate::job::Conditions;
use crate::sizes::Size;
use site::Cached;

const INTRO: &str = "\
# Files as memory, and memory that is shared\n\nMedians, with the lowest and the highest in \
brackets. Contenders take turns, each in a process of its own, and who begins changes from \
round to round. A ratio is one of medians. Files are in the page cache.\n";

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// A large file: 4 KiB here and there, a scan, a search
    Read,
    /// A large file to another and to a socket: what mapping it would gain
    Copy,
    /// Memory to three processes
    Share,
}

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// Parts; default: all
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// The length of the file that is read
    #[arg(long, default_value = "4g")]
    file: Size,
    /// How the file that is read came into the page cache
    #[arg(long, value_delimiter = ',', default_values = ["written", "read"])]
    cached: Vec<Cached>,
    /// Random reads of a pass
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..))]
    reads: u32,
    /// Bytes that are copied and sent
    #[arg(long, default_value = "1g")]
    copied: Size,
    /// Bytes that are shared
    #[arg(long, default_value = "1g")]
    shared: Size,
    /// Where the files are, in a folder that is deleted again; default: beside this program
    #[arg(long)]
    directory: Option<PathBuf>,
}

/// The work of one child of this measurement.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Reads a file in one way and measures that.
    #[command(hide = true)]
    Peruse(peruse::Options),
    /// Moves the file at standard input to standard output and measures that.
    #[command(hide = true)]
    Haul(haul::Options),
    /// Takes what is shared from standard input.
    #[command(hide = true)]
    Consume(consume::Options),
}

/// Does a child's work and reports it.
pub(crate) fn act(role: &Role) -> io::Result<()> {
    match role {
        Role::Peruse(options) => crate::roles::report(&peruse::peruse(options)?),
        Role::Haul(options) => crate::roles::report(&haul::haul(options)?),
        Role::Consume(options) => crate::roles::report(&consume::consume(options)?),
    }
}

/// What all parts work with.
#[derive(Debug)]
struct Setup {
    /// The files; deleted when dropped.
    home: tempfile::TempDir,
    conditions: Conditions,
}

/// Measures the parts, prints them and keeps the record.
pub(crate) fn run(select: &Select, common: &Common) -> Result<(), Box<dyn Error>> {
    let beside = std::env::current_exe()?.with_file_name("");
    let directory = select.directory.clone().unwrap_or(beside);
    let home = tempfile::Builder::new().prefix("fdflow-bench-map.").tempdir_in(&directory)?;
    let setup = Setup { home, conditions: common.conditions() };
    let parts = if select.parts.is_empty() { Part::value_variants() } else { &select.parts };
    let mut figures = Figures::default();
    for part in parts {
        part.measure(select, &setup, &mut figures)?;
    }
    let mut facts = Facts::collect(&directory, &setup.conditions);
    facts.add("memmap2", crate::facts::locked("memmap2"));
    let parts: Vec<_> = parts.iter().map(|part| part.says()).collect();
    Ok(figures::record("map", INTRO, &parts, &figures, &facts, common)?)
}

impl Part {
    fn measure(self, select: &Select, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
        match self {
            Self::Read => reading::measure(select, setup, figures),
            Self::Copy => copying::measure(select.copied.0, setup, figures),
            Self::Share => share::measure(select.shared.0, setup, figures),
        }
    }

    /// Its name, and what is to be known about it.
    fn says(self) -> (&'static str, &'static str) {
        match self {
            Self::Read => (reading::PART, reading::SAYS),
            Self::Copy => (copying::PART, copying::SAYS),
            Self::Share => (share::PART, share::SAYS),
        }
    }
}

/// Seconds on the clock that all processes of a machine have in common.
fn monotonic() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}
