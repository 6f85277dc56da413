//! Files and single streams: large ones at full speed, small files by the piece, memory.

use std::fmt::Write;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tempfile::TempDir;

use crate::bars;
use crate::contenders::Contender;
use crate::ends::Kind;
use crate::facts::Facts;
use crate::job::{Cell, Drain, Feed, Job};
use crate::pattern::Pattern;
use crate::plot::{self, Chart};
use crate::sizes::{Size, human};
use crate::tables::{self, Figure};

/// A part of the measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    FileTcp,
    FileFile,
    FilePipe,
    TcpFile,
    /// Files of 1 KiB to 256 KiB to TCP, one after the other
    Small,
    /// What a transfer adds to the mover's resident memory
    Memory,
}

/// Which parts to measure.
#[derive(Debug, Args)]
pub(crate) struct Select {
    /// Parts to measure; default: all
    #[arg(long, value_delimiter = ',')]
    parts: Vec<Part>,
    /// Only these of the contenders that a part has
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Contender>,
    /// Bytes of a large file or stream
    #[arg(long, default_value = "1g")]
    bytes: Size,
    /// Where files are made; default: beside this program
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl Select {
    pub(crate) fn directory(&self) -> io::Result<PathBuf> {
        match &self.dir {
            Some(directory) => Ok(directory.clone()),
            None => Ok(std::env::current_exe()?.parent().unwrap_or(Path::new(".")).to_owned()),
        }
    }
}

/// The jobs and the files that they need, deleted when dropped.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) jobs: Vec<Job>,
    directory: TempDir,
}

/// What the writer of a stream writes at a time.
const PIECE: usize = 128 << 10;
/// The short transfer of the memory part.
const SHORT: u64 = 16 << 20;
/// Sizes of small files: powers of two.
const SMALL: std::ops::RangeInclusive<u32> = 10..=18;
/// A job of small files sends so many bytes, as far as these numbers of files allow.
const SMALL_BYTES: u64 = 128 << 20;
const SMALL_FILES: (u64, u64) = (1 << 10, 1 << 16);

fn read_write(kib: usize) -> Contender {
    Contender::ReadWrite(kib << 10)
}

fn copy_range(mib: usize) -> Contender {
    Contender::CopyFileRange(mib << 20)
}

impl Work {
    /// Makes the files, in memory and on disk, and the list of what is to be measured.
    pub(crate) fn prepare(select: &Select, directory: &Path) -> io::Result<Self> {
        let directory = tempfile::Builder::new().prefix("fdflow-bench-").tempdir_in(directory)?;
        let mut work = Self { jobs: Vec::new(), directory };
        let all = Part::value_variants();
        let parts = if select.parts.is_empty() { all } else { &select.parts };
        for part in parts {
            work.add(*part, select.bytes.0)?;
        }
        for job in &mut work.jobs {
            let chosen =
                |one: &Contender| select.contenders.is_empty() || select.contenders.contains(one);
            job.contenders.retain(chosen);
        }
        work.jobs.retain(|job| !job.contenders.is_empty());
        Ok(work)
    }

    fn add(&mut self, part: Part, bytes: u64) -> io::Result<()> {
        use Contender::{Cp, Fdflow, Sendfile, StdCopy};
        let (from, to, contenders) = match part {
            Part::FileTcp => {
                (Kind::File, Kind::Tcp, vec![Fdflow, Sendfile, StdCopy, read_write(256)])
            }
            Part::FileFile => {
                let ranges = [4, 16, 1024].map(copy_range);
                let others = [vec![Fdflow, Cp], ranges.to_vec(), vec![read_write(128)]].concat();
                (Kind::File, Kind::File, others)
            }
            Part::FilePipe => {
                (Kind::File, Kind::Pipe, vec![Fdflow, Contender::SPLICE, StdCopy, read_write(64)])
            }
            Part::TcpFile => {
                let buffers = [64, 1024].map(read_write);
                (
                    Kind::Tcp,
                    Kind::File,
                    [vec![Fdflow, Contender::SPLICE, StdCopy], buffers.to_vec()].concat(),
                )
            }
            Part::Small => return self.add_small(),
            Part::Memory => return self.add_memory(bytes),
        };
        self.add_stream("copy", (from, to), bytes, contenders)
    }

    fn add_stream(
        &mut self,
        what: &'static str,
        (from, to): (Kind, Kind),
        bytes: u64,
        contenders: Vec<Contender>,
    ) -> io::Result<()> {
        let feed = match from {
            Kind::File => Feed::File(self.file("source", bytes, Pattern::new)?),
            kind => Feed::Writer { kind, piece: PIECE },
        };
        let drain = match to {
            Kind::File => Drain::File(self.directory.path().join("sink")),
            kind => Drain::Reader(kind),
        };
        let pair = format!("{from}-{to}");
        self.jobs.push(Job { what, pair, size: bytes, bytes, feed, drain, contenders });
        Ok(())
    }

    fn add_small(&mut self) -> io::Result<()> {
        for shift in SMALL {
            let (size, length) = (1_u64 << shift, 1_usize << shift);
            let path = self.file("small", size, || Pattern::repeating(length))?;
            let times = (SMALL_BYTES / size).clamp(SMALL_FILES.0, SMALL_FILES.1);
            self.jobs.push(Job {
                what: "small",
                pair: "file-tcp".to_owned(),
                size,
                bytes: size * times,
                feed: Feed::Files { path, length, times },
                drain: Drain::Reader(Kind::Tcp),
                contenders: vec![Contender::Fdflow, Contender::Sendfile, read_write(256)],
            });
        }
        Ok(())
    }

    fn add_memory(&mut self, bytes: u64) -> io::Result<()> {
        let (file, tcp) = (Kind::File, Kind::Tcp);
        for pair in [(file, tcp), (file, file), (file, Kind::Pipe), (tcp, file), (tcp, tcp)] {
            for bytes in tables::distinct([SHORT.min(bytes), bytes]) {
                self.add_stream("memory", pair, bytes, vec![Contender::Fdflow])?;
            }
        }
        Ok(())
    }

    /// A file of this size, on disk and in the page cache.
    fn file(
        &self,
        name: &str,
        size: u64,
        pattern: impl FnOnce() -> Pattern,
    ) -> io::Result<PathBuf> {
        let path = self.directory.path().join(format!("{name}-{size}"));
        if path.exists() {
            return Ok(path);
        }
        let pattern = pattern();
        let mut file = File::create_new(&path)?;
        pattern.write(&mut file, size, PIECE)?;
        file.sync_all()?;
        pattern.check(&mut File::open(&path)?, size)?;
        Ok(path)
    }
}

fn part(cells: &[Cell], what: &str) -> Vec<Cell> {
    cells.iter().filter(|cell| cell.what == what).cloned().collect()
}

/// The record's text.
pub(crate) fn text(cells: &[Cell], facts: &Facts) -> String {
    let mut out = String::from("# Files and single streams\n\n");
    out.push_str(
        "One process moves the bytes; where an end is a connection another one writes or reads \
         and checks them there. Files are in the page cache; a file that is written is checked \
         afterwards and deleted, and nothing is flushed. Medians, with the lowest and the highest \
         in brackets. Ratios are how many times worse fdflow is: below 1 it is better.\n\n",
    );
    // Writing to a String cannot fail, here and below.
    let _written = write!(out, "{facts}").is_ok();
    let large = part(cells, "copy");
    for figure in [Figure::Cpu, Figure::Speed].into_iter().filter(|_| !large.is_empty()) {
        let _written = writeln!(out, "\n## {}\n", figure.name()).is_ok();
        out.push_str(&tables::ratios(&large, figure));
        for pair in tables::pairs(&large) {
            let table = tables::by_size(&large, pair, "bytes", figure);
            let _written = write!(out, "\n### {pair}\n\n{table}").is_ok();
        }
    }
    let small = part(cells, "small");
    if !small.is_empty() {
        out.push_str(&small_text(&small));
    }
    let memory = part(cells, "memory");
    if !memory.is_empty() {
        out.push_str(&memory_text(&memory));
    }
    out
}

fn small_text(cells: &[Cell]) -> String {
    let figure = Figure::PerFile;
    let table = tables::by_size(cells, "file-tcp", "file of", figure);
    let from = crossover(cells).map_or_else(
        || "sendfile never beats pread and write.".to_owned(),
        |size| format!("sendfile beats pread and write from {} on.", human(size)),
    );
    format!("\n## Small files to TCP: {}\n\n{from}\n\n{table}", figure.name())
}

/// The size from which on sendfile costs less than reading and writing.
fn crossover(cells: &[Cell]) -> Option<u64> {
    let median = |size, raw: fn(Contender) -> bool| {
        let cell = cells.iter().find(|cell| cell.size == size && raw(cell.contender))?;
        cell.cpu().map(|spread| spread.median)
    };
    let mut sizes = tables::distinct(cells.iter().map(|cell| cell.size));
    sizes.sort_unstable();
    let better = sizes.iter().rev().take_while(|size| {
        let sendfile = median(**size, |one| one == Contender::Sendfile);
        let copying = median(**size, |one| matches!(one, Contender::ReadWrite(_)));
        sendfile.zip(copying).is_some_and(|(sendfile, copying)| sendfile < copying)
    });
    better.last().copied()
}

fn memory_text(cells: &[Cell]) -> String {
    let mut out = String::from(
        "\n## Resident memory that a transfer adds\n\nThe highest of all rounds, in KiB.\n\n\
         | pair | bytes | KiB |\n|---|--:|--:|\n",
    );
    for cell in cells {
        let (size, grown) = (human(cell.size), cell.grown_kib());
        let _written = writeln!(out, "| {} | {size} | {grown} |", cell.pair).is_ok();
    }
    out
}

/// The record's plots.
pub(crate) fn plots(cells: &[Cell]) -> Vec<(&'static str, String)> {
    let mut plots = Vec::new();
    let large = part(cells, "copy");
    if !large.is_empty() {
        plots.push(("", bars::bars(&large, Figure::Cpu)));
        plots.push(("-speed", bars::bars(&large, Figure::Speed)));
    }
    let small = part(cells, "small");
    if !small.is_empty() {
        let title = "Processor µs of the mover per file sent (less is better)";
        let chart = Chart { title, x: "bytes per file", figure: Figure::PerFile };
        plots.push(("-small", plot::lines(&small, &chart)));
    }
    plots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::cell;

    #[test]
    fn the_crossover_is_where_sendfile_stays_better() {
        let point = |size, sendfile, copying| {
            [
                cell("file-tcp", size, Contender::Sendfile, &[sendfile]),
                cell("file-tcp", size, read_write(256), &[copying]),
            ]
        };
        let cells = [point(1024, 1, 2), point(2048, 3, 2), point(4096, 2, 3), point(8192, 1, 9)];
        assert_eq!(crossover(&cells.concat()), Some(4096));
        assert_eq!(crossover(&point(1024, 3, 2)), None);
    }
}
