//! What the processes of a transfer do: the writer, the mover, the reader.
//!
//! Each is this program again with a hidden subcommand. Data comes in at standard input and
//! leaves at standard output; reports and errors go to standard error. Each says [`READY`] first.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use rustix::event::{PollFd, PollFlags};
use rustix::thread::CpuSet;
use serde::Serialize;

use crate::contenders::{Contender, Prepared, Work};
use crate::ends::{Kind, SinkEnd, SourceEnd};
use crate::measure::{Outcome, cpu_time, forget_peak, resident};
use crate::pattern::Pattern;

/// The line with which a child says that it has started.
pub(crate) const READY: &str = "ready";

/// The work of one child.
#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// Writes the pattern to standard output once standard input is closed.
    #[command(hide = true)]
    Writer(WriterArgs),
    /// Reads standard input to its end and checks it.
    #[command(hide = true)]
    Reader(ReaderArgs),
    /// Moves standard input to standard output and measures that.
    #[command(hide = true)]
    Mover(MoverArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WriterArgs {
    #[arg(long)]
    bytes: u64,
    #[arg(long)]
    piece: usize,
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct ReaderArgs {
    #[arg(long)]
    bytes: u64,
    /// The stream begins anew after so many bytes.
    #[arg(long)]
    period: Option<usize>,
    #[arg(long)]
    cpu: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct MoverArgs {
    #[arg(long)]
    contender: Contender,
    #[arg(long)]
    from: Kind,
    #[arg(long)]
    to: Kind,
    /// Send the first so many bytes of a file ...
    #[arg(long, requires = "times")]
    length: Option<usize>,
    /// ... so many times.
    #[arg(long)]
    times: Option<u64>,
    #[arg(long, requires = "to_path")]
    from_path: Option<PathBuf>,
    #[arg(long)]
    to_path: Option<PathBuf>,
    /// Become this program, which moves and reports in the same way.
    #[arg(long)]
    program: Option<PathBuf>,
    #[arg(long)]
    cpu: Option<usize>,
}

/// Does a child's work and reports it.
pub(crate) fn run(role: &Role) -> io::Result<()> {
    match role {
        Role::Writer(args) => write(args).and_then(|()| report(&())),
        Role::Reader(args) => read(args).and_then(|()| report(&())),
        Role::Mover(args) => report(&move_bytes(args)?),
    }
}

pub(crate) fn report(result: &impl Serialize) -> io::Result<()> {
    say(&serde_json::to_string(result)?)
}

pub(crate) fn say(line: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{line}")
}

pub(crate) fn stdin() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

pub(crate) fn stdout() -> io::Result<OwnedFd> {
    io::stdout().as_fd().try_clone_to_owned()
}

fn write(args: &WriterArgs) -> io::Result<()> {
    pin(args.cpu)?;
    let pattern = Pattern::new();
    let mut sink = File::from(stdout()?);
    say(READY)?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    pattern.write(&mut sink, args.bytes, args.piece)
}

fn read(args: &ReaderArgs) -> io::Result<()> {
    pin(args.cpu)?;
    let pattern = args.period.map_or_else(Pattern::new, Pattern::repeating);
    let mut source = File::from(stdin()?);
    say(READY)?;
    pattern.check(&mut source, args.bytes)
}

fn move_bytes(args: &MoverArgs) -> io::Result<Outcome> {
    pin(args.cpu)?;
    if let Some(program) = &args.program {
        return Err(std::process::Command::new(program).exec());
    }
    let who = args.contender.who();
    forget_peak();
    let (before, _) = resident()?;
    let transfer = prepare(args)?;
    say(READY)?;
    wait_for_data()?;

    let (used, began) = (cpu_time(who)?, Instant::now());
    let work = transfer();
    let wall = began.elapsed();
    let cpu = cpu_time(who)?.saturating_sub(used);

    let (_, peak) = resident()?;
    let Work { bytes, pieces, in_kernel } = work?;
    Ok(Outcome { bytes, cpu, wall, grown_kib: peak.saturating_sub(before), pieces, in_kernel })
}

fn prepare(args: &MoverArgs) -> io::Result<Prepared<'_>> {
    let contender = args.contender;
    let sink = SinkEnd::new(args.to, stdout()?);
    match (args.length, args.times, SourceEnd::new(args.from, stdin()?)) {
        (Some(length), Some(times), SourceEnd::File(file)) => {
            Ok(Box::new(move || contender.send(&file, &sink, length, times)))
        }
        (_, _, source) => {
            let paths = args.from_path.as_deref().zip(args.to_path.as_deref());
            contender.prepare(source, sink, paths)
        }
    }
}

/// Waits until the writer has begun, so that its start is not measured.
pub(crate) fn wait_for_data() -> io::Result<()> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
    Ok(())
}

pub(crate) fn pin(cpu: Option<usize>) -> io::Result<()> {
    let Some(cpu) = cpu else { return Ok(()) };
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}
