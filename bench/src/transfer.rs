//! Streams between sockets: each pair of kinds, at sizes of writes from 1 KiB to 1 MiB.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use crate::contenders::Contender;
use crate::ends::Kind;
use crate::facts::Facts;
use crate::golang;
use crate::job::{Cell, Drain, Feed, Job};
use crate::plot::{self, Chart};
use crate::sizes::Size;
use crate::tables::{self, Figure};
use crate::targets;

/// From a kind of socket to a kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair(Kind, Kind);

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kind = |name| match name {
            "tcp" => Ok(Kind::Tcp),
            "unix" => Ok(Kind::Unix),
            _ => Err(format!("`{text}` is no pair; a pair is tcp-unix, for example")),
        };
        let (from, to) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self(kind(from)?, kind(to)?))
    }
}

/// Which part of the grid to measure.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// Pairs of sockets
    #[arg(long, value_delimiter = ',', default_value = "tcp-tcp,tcp-unix,unix-tcp,unix-unix")]
    pairs: Vec<Pair>,
    /// Sizes of the writer's writes, at most 1m; default: the eleven powers of two from 1k
    #[arg(long, value_delimiter = ',', value_parser = write_size)]
    sizes: Vec<Size>,
    /// Bytes of a transfer; default: 384m, less for small writes
    #[arg(long)]
    bytes: Option<Size>,
    /// Who takes part
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "fdflow,fdflow-tokio,raw-splice,raw-rw-32k,raw-rw-64k,std-io-copy,\
                         tokio-io-copy,tokio-splice2,go-io-copy"
    )]
    contenders: Vec<Contender>,
}

fn write_size(text: &str) -> Result<Size, String> {
    let size: Size = text.parse()?;
    if size.0 > 1 << 20 { Err("writes have at most 1m".to_owned()) } else { Ok(size) }
}

impl Select {
    /// The grid's points, pair by pair.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        let all: Vec<Size> = (10..=20).map(|shift| Size(1 << shift)).collect();
        let sizes = if self.sizes.is_empty() { &all } else { &self.sizes };
        let points = self.pairs.iter().flat_map(|pair| sizes.iter().map(move |size| (pair, size)));
        points.map(|(pair, size)| self.job(*pair, *size)).collect()
    }

    fn job(&self, Pair(from, to): Pair, Size(size): Size) -> Job {
        let bytes = self.bytes.map_or_else(|| enough(size), |bytes| bytes.0);
        Job {
            what: "transfer",
            pair: format!("{from}-{to}"),
            size,
            bytes,
            feed: Feed::Writer { kind: from, piece: usize::try_from(size).unwrap_or(usize::MAX) },
            drain: Drain::Reader(to),
            contenders: self.contenders.clone(),
        }
    }

    /// The program that relays in Go, where it takes part.
    pub(crate) fn go(&self) -> Result<golang::Program, String> {
        if self.contenders.contains(&Contender::Go) {
            golang::Program::build()
        } else {
            Err("it takes no part".to_owned())
        }
    }

    /// Where the facts look for a filesystem; no file takes part.
    pub(crate) fn directory(&self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }
}

/// So many bytes that a transfer takes some tenths of a second.
fn enough(write: u64) -> u64 {
    (write << 15).clamp(128 << 20, 384 << 20)
}

/// The record's text.
pub(crate) fn text(cells: &[Cell], facts: &Facts) -> String {
    let mut out = String::from("# Streams between sockets\n\n");
    out.push_str(
        "A process writes into one connection, another moves the bytes to a second connection, a \
         third reads and checks them. All of them wait until the first byte is there; then the time of \
         the moving process is taken until the transfer has returned. Before that, the tasks' \
         sockets are with tokio's runtime of one thread, and Go's with its own of as many threads \
         as it likes; the start of either is not measured. Medians, with the lowest and the highest in brackets. \
         Ratios are how many times worse fdflow is: below 1 it is better.\n\n",
    );
    // Writing to a String cannot fail, here and below.
    let _written = write!(out, "{facts}\n{}", targets::text(cells)).is_ok();
    let failures = tables::failures(cells);
    if !failures.is_empty() {
        let _written = write!(
            out,
            "\n## What is missing\n\nA contender that is absent, or fails once at a point, is left out there.\n\n\
             {failures}"
        )
        .is_ok();
    }
    for figure in [Figure::Cpu, Figure::Speed] {
        let _written = writeln!(out, "\n## {}\n", figure.name()).is_ok();
        out.push_str(&tables::ratios(cells, figure));
        for pair in tables::pairs(cells) {
            let table = tables::by_size(cells, pair, "writes of", figure);
            let _written = write!(out, "\n### {pair}\n\n{table}").is_ok();
        }
    }
    let pieces = tables::pieces(cells, "writes of");
    let _written = write!(
        out,
        "\n## What one call took from the source\n\nMean bytes, and the powers of two at or below \
         which so many of the calls lay.\n\n{pieces}"
    )
    .is_ok();
    out
}

/// The record's plots.
pub(crate) fn plots(cells: &[Cell]) -> Vec<(&'static str, String)> {
    let chart = |title, figure| Chart { title, x: "bytes per write", figure };
    let cpu = chart("Processor seconds of the mover per GB (less is better)", Figure::Cpu);
    let speed = chart("MB per second (more is better)", Figure::Speed);
    vec![("", plot::lines(cells, &cpu)), ("-speed", plot::lines(cells, &speed))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        select: Select,
    }

    #[test]
    fn the_whole_grid_has_forty_four_points() {
        let jobs = Cli::parse_from(["bench"]).select.jobs();
        assert_eq!(jobs.len(), 44);
        assert_eq!((jobs[0].size, jobs[43].size), (1 << 10, 1 << 20));
        assert!(jobs.iter().all(|job| job.contenders.len() == 9));
    }

    #[test]
    fn a_part_of_the_grid_can_be_chosen() {
        let flags = ["bench", "--pairs", "tcp-unix", "--sizes", "1024,64k", "--bytes", "8m"];
        let jobs = Cli::parse_from(flags).select.jobs();
        assert_eq!(jobs.len(), 2);
        assert_eq!(
            (jobs[1].pair.as_str(), jobs[1].size, jobs[1].bytes),
            ("tcp-unix", 65536, 8 << 20)
        );
        assert!(Cli::try_parse_from(["bench", "--pairs", "tcp-file"]).is_err());
        assert!(Cli::try_parse_from(["bench", "--sizes", "2m"]).is_err());
    }
}
