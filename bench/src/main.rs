//! Measures fdflow against its peers and against raw system calls: one run, contenders
//! interleaved, bytes checked, the moving process's processor time first.

mod account;
mod asynchronous;
mod bars;
mod contenders;
mod copy;
mod daemon;
mod ends;
mod facts;
mod figures;
mod flows;
mod golang;
mod job;
mod map;
mod measure;
mod nginx;
mod pattern;
mod plot;
mod process;
mod proxy;
mod raw;
mod record;
mod relay;
mod roles;
mod serve;
mod sizes;
mod tables;
mod targets;
mod transfer;

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::ends::TcpOptions;
use crate::facts::Facts;
use crate::job::{Cell, Conditions, Job};
use crate::record::Record;
use crate::roles::Role;

/// Measure fdflow against its peers and against raw system calls.
#[derive(Debug, Parser)]
#[command(name = "fdflow-bench", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Files and single streams: file to TCP, file to file, TCP to file, small files, memory
    Copy {
        #[command(flatten)]
        select: copy::Select,
        #[command(flatten)]
        common: Common,
    },
    /// Streams between TCP and Unix sockets, at eleven sizes of writes
    Transfer {
        #[command(flatten)]
        select: transfer::Select,
        #[command(flatten)]
        common: Common,
    },
    /// Many flows at once, ping-pong and tee, against targets
    Flows {
        #[command(flatten)]
        select: flows::Select,
        #[command(flatten)]
        common: Common,
    },
    /// `fdflow serve` beside nginx: requests, downloads, uploads, quiet connections, against targets
    Serve {
        #[command(flatten)]
        select: serve::Select,
        #[command(flatten)]
        common: Common,
    },
    /// `fdflow proxy` beside HAProxy and nginx: streams, messages, connections, against targets
    Proxy {
        #[command(flatten)]
        select: proxy::Select,
        #[command(flatten)]
        common: Common,
    },
    /// `fdflow relay` beside a plain broadcast: clients, one that has stopped, memory, against targets
    Relay {
        #[command(flatten)]
        select: relay::Select,
        #[command(flatten)]
        common: Common,
    },
    /// Reads once and writes to each client
    #[command(hide = true)]
    Broadcast(relay::BroadcastOptions),
    /// Files as memory and memory that is shared, beside memmap2, reads, pipes, against targets
    Map {
        #[command(flatten)]
        select: map::Select,
        #[command(flatten)]
        common: Common,
    },
    #[command(flatten)]
    Role(Role),
    #[command(flatten)]
    FlowRole(flows::Role),
    #[command(flatten)]
    MapRole(map::Role),
}

/// How to measure and what to keep.
#[derive(Debug, Args)]
struct Common {
    /// Rounds that count; one more comes before them
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Seconds after which a transfer has failed
    #[arg(long, default_value_t = 120)]
    timeout: u64,
    /// Set TCP_NODELAY at both senders
    #[arg(long)]
    nodelay: bool,
    /// Congestion control of both TCP senders; default: the system's
    #[arg(long)]
    congestion: Option<String>,
    /// Give the mover the last processor for itself, writer and reader the first
    #[arg(long)]
    pin: bool,
    /// Only print; write no record
    #[arg(long)]
    no_record: bool,
    /// Where records go
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/record"))]
    record: PathBuf,
}

impl Common {
    fn conditions(&self) -> Conditions {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Conditions {
            rounds: self.rounds,
            timeout: Duration::from_secs(self.timeout),
            tcp: TcpOptions { nodelay: self.nodelay, congestion: self.congestion.clone() },
            pinned: self.pin.then_some((cpus - 1, 0)),
            go: Err("its program is built for `transfer` only".to_owned()),
        }
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Copy { select, common } => copies(&select, &common),
        Command::Transfer { select, common } => transfers(&select, &common),
        Command::Flows { select, common } => flows::run(&select, &common),
        Command::Serve { select, common } => serve::run(&select, &common),
        Command::Proxy { select, common } => proxy::run(&select, &common),
        Command::Relay { select, common } => relay::run(&select, &common),
        Command::Broadcast(options) => relay::broadcast(&options).map_err(Into::into),
        Command::Map { select, common } => map::run(&select, &common),
        Command::Role(role) => roles::run(&role).map_err(Into::into),
        Command::FlowRole(role) => flows::act(&role).map_err(Into::into),
        Command::MapRole(role) => map::act(&role).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where standard error is closed nobody is there to be told.
            let _told = writeln!(io::stderr(), "fdflow-bench: {error}").is_ok();
            ExitCode::FAILURE
        }
    }
}

fn transfers(select: &transfer::Select, common: &Common) -> Result<(), Box<dyn Error>> {
    let go = select.go();
    let go = go.as_ref().map(golang::Program::path).map_err(Clone::clone);
    let conditions = Conditions { go, ..common.conditions() };
    let cells = measure(&select.jobs(), &conditions)?;
    let facts = Facts::collect(&select.directory()?, &conditions);
    let text = transfer::text(&cells, &facts);
    finish("transfer", common, &facts, &cells, &text, &transfer::plots(&cells))
}

fn copies(select: &copy::Select, common: &Common) -> Result<(), Box<dyn Error>> {
    let directory = select.directory()?;
    let work = copy::Work::prepare(select, &directory)?;
    let cells = measure(&work.jobs, &common.conditions())?;
    let facts = Facts::collect(&directory, &common.conditions());
    let text = copy::text(&cells, &facts);
    finish("copy", common, &facts, &cells, &text, &copy::plots(&cells))
}

fn measure(jobs: &[Job], conditions: &Conditions) -> io::Result<Vec<Cell>> {
    if jobs.is_empty() {
        return Err(io::Error::other("none of these contenders takes part in these parts"));
    }
    let mut all = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        let cells = job.measure(conditions)?;
        let line = tables::progress(&cells);
        writeln!(io::stderr(), "[{}/{}] {line}", i + 1, jobs.len())?;
        all.extend(cells);
    }
    Ok(all)
}

fn finish(
    what: &'static str,
    common: &Common,
    facts: &Facts,
    cells: &[Cell],
    text: &str,
    plots: &[(&'static str, String)],
) -> Result<(), Box<dyn Error>> {
    write!(io::stdout(), "{text}")?;
    if !common.no_record {
        let record = Record { what, date: facts.date.clone() };
        for path in record.write(&common.record, cells, text, plots)? {
            writeln!(io::stderr(), "wrote {}", path.display())?;
        }
    }
    Ok(())
}
