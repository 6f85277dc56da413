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
use crate::figures::{self, Case, Figures};
use crate::job::Conditions;
use crate::sizes::Size;
use server::{Programs, Server};
use site::Site;

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
    let text = text(parts, &figures, &facts);
    Ok(figures::finish("serve", &figures, &text, &facts, common)?)
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

    fn name(self) -> &'static str {
        match self {
            Self::Small => small::PART,
            Self::Large => large::WHOLE.part,
            Self::Ranged => large::RANGED.part,
            Self::Put => put::PART,
            Self::Slow => crowd::Kind::Slow.part(),
            Self::Idle => crowd::Kind::Idle.part(),
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Small => small::SAYS,
            Self::Large | Self::Ranged => large::SAYS,
            Self::Put => put::SAYS,
            Self::Slow | Self::Idle => crowd::SAYS,
        }
    }
}

/// A figure of ours as a part of nginx's: has to be at most `most`, or is only told.
fn versus<T>(
    case: &Case<'_, Server, T>,
    figures: &mut Figures,
    most: Option<f64>,
    of: impl Fn(&T) -> f64,
) {
    let (ours, theirs) = (Server::Fdflow, Server::Nginx);
    let place = (case.part, case.name);
    let says = format!("CPU of {ours} : {theirs}");
    match (case.median(&ours, &of), case.median(&theirs, &of), most) {
        (Some(ours), Some(theirs), Some(most)) => {
            figures.target(place, says, ours / theirs, most);
        }
        (Some(ours), Some(theirs), None) => figures.note(place, says, ours / theirs),
        _ => figures.unmeasured(place, says, most),
    }
}

fn text(parts: &[Part], figures: &Figures, facts: &Facts) -> String {
    let mut out = String::from(
        "# `fdflow serve` beside nginx\n\nEach server has one thread that serves. Medians, with \
         the lowest and the highest in brackets. The servers take turns, and who begins changes \
         from round to round. A ratio is one of medians. Processor time is that of all threads of \
         all processes of a server, those that have ended too (the kernel's clock of the process, \
         in ns). nginx has one worker, sendfile, tcp_nopush and open_file_cache on, access_log \
         off; keep-alive of any number of requests, so that it need not close what ours keeps \
         open.\n\n",
    );
    out.push_str(&facts.to_string());
    out.push_str("\n## Targets\n\n");
    out.push_str(&figures.targets());
    let absences = figures.absences();
    if !absences.is_empty() {
        out.push_str(&format!("\n## Absent\n\n{absences}"));
    }
    for part in parts {
        out.push_str(&format!(
            "\n## {}\n\n{}\n{}",
            part.name(),
            part.says(),
            figures.tables(part.name())
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: (&str, &str) = ("part", "case");

    #[test]
    fn a_ratio_without_one_of_them_is_not_measured() {
        let mut figures = Figures::default();
        let outcomes = [(Server::Fdflow, vec![1.0])];
        let case = Case { part: PLACE.0, name: PLACE.1, outcomes: &outcomes };
        versus(&case, &mut figures, Some(1.0), |n| *n);
        assert!(figures.targets().contains("not measured"), "{}", figures.targets());
    }

    #[test]
    fn the_ratio_is_ours_to_theirs() {
        let mut figures = Figures::default();
        let outcomes = [(Server::Nginx, vec![4.0]), (Server::Fdflow, vec![3.0])];
        let case = Case { part: PLACE.0, name: PLACE.1, outcomes: &outcomes };
        versus(&case, &mut figures, Some(0.75), |n| *n);
        let row = "| CPU of fdflow : nginx | 0.75 | ≤ 0.75 | met |";
        assert!(figures.targets().contains(row), "{}", figures.targets());
    }
}
