//! `fdflow copy`: arguments, the transfer, what is said of it.

mod close;
mod hint;
mod interrupt;
mod open;
mod progress;
mod tell;

use std::process::ExitCode;

use clap::ValueEnum;
use fdflow::{
    Policy, Route, Routes, Side, Sink, Source, Sparse, Stability, Transfer, TransferError,
};

use crate::endpoint::Endpoint;
use crate::{DONE, FAILED, USAGE, deny, size};
use interrupt::Interrupt;
use open::{End, Ends};

/// Copy any endpoint to any endpoint by the best route.
///
/// An endpoint is a file path, `-` (standard input or output), `fd://N` (an inherited
/// descriptor), `tcp://HOST:PORT`, `unix://PATH`, or `tcp-listen://HOST:PORT` and
/// `unix-listen://PATH`, which accept one connection.
///
/// A new file gets the source file's mode; an existing one is overwritten, or appended to with
/// --append. After a failure the destination holds exactly what the message says arrived.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the bytes come from
    #[arg(value_parser = Endpoint::parser())]
    from: Endpoint,

    /// Where the bytes go; in an existing folder, a file named like the source
    #[arg(value_parser = Endpoint::parser())]
    to: Endpoint,

    /// Copy at most so many bytes (64K, 1M, 2GiB)
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    limit: Option<u64>,

    /// Begin so many bytes into the source file
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    offset: Option<u64>,

    /// Add to the end of an existing file instead of overwriting it
    #[arg(long)]
    append: bool,

    /// Do not use this route: reflink, copy_file_range, sendfile, splice, read_write (several by
    /// comma)
    #[arg(long, value_name = "ROUTE", value_parser = deny::parse)]
    deny: Vec<Routes>,

    /// Whether writes to the source during the copy may show at the receiver
    #[arg(long, value_name = "WHICH", value_enum, default_value_t = Steady::Live)]
    stability: Steady,

    /// Holes: auto keeps them, always makes some of zeros too, never writes every block
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    sparse: When,

    /// Share blocks with the source: auto where possible, always or fail, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    reflink: When,

    /// Show a progress bar: auto if standard error is a terminal
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = When::Auto)]
    progress: When,

    /// Print which routes were taken, and why better ones were not
    #[arg(long)]
    explain: bool,

    /// Print the same as one JSON object (on standard error if TO is standard output)
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Steady {
    /// They may: page references travel where the kernel can do that
    Live,
    /// They may not: only routes that copy
    Snapshot,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    let interrupt = Interrupt::watch();
    match open::open(args, &interrupt).and_then(|ends| transfer(args, &ends, &interrupt)) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("fdflow: copy: {message}");
            ExitCode::from(USAGE)
        }
    }
}

/// Moves the bytes and tells how it went; the error is what kept it from beginning.
fn transfer(args: &Args, ends: &Ends, interrupt: &Interrupt) -> Result<u8, String> {
    let Ends { from, to, length } = ends;
    let bar = progress::bar(args, *length);
    let mut transfer = Transfer::new(from.descriptor(), to.descriptor()).policy(policy(args));
    if let Some(offset) = args.offset {
        transfer = transfer.source_offset(offset);
    }
    if let Some(bar) = &bar {
        transfer = transfer.observe(progress::observer(bar));
    }
    transfer.prepare().map_err(|error| hint::unfit(args, &error))?;
    // Sharing blocks is done at once or not at all: until it is done, the old content stays.
    let cut_first = args.reflink != When::Always;
    if cut_first {
        open::cut(args, to, 0)?;
    }
    // Without a descriptor to spare it works all the same, but for the clean interrupt.
    if let Ok(cancel) = transfer.cancel_handle() {
        interrupt.moving(cancel);
    }
    let result = transfer.run();
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if let Err(error) = &result {
        keep_staged(&mut transfer, to, error);
    }
    let report = transfer.report();
    if !cut_first && (result.is_ok() || report.bytes() > 0) {
        open::cut(args, to, report.bytes())?;
    }
    let message = match &result {
        Ok(_) => close::close(to).err(),
        Err(error) => Some(hint::explain(args, error, report.bytes())),
    };
    tell::outcome(args, to, report, message.as_deref());
    Ok(if message.is_none() { DONE } else { FAILED })
}

/// What was taken from the source when a copy ended early belongs in the destination, if that is
/// a file and can take it.
fn keep_staged<S: Source, D: Sink>(transfer: &mut Transfer<S, D>, to: &End, error: &TransferError) {
    if error.staged() == 0 || error.side() == Some(Side::Sink) || !to.is_file() {
        return;
    }
    // With a limit of what was taken, another run has only the rest to deliver. Whether it could
    // is in the report, which is what is told.
    transfer.set_limit(transfer.ledger().taken());
    let _delivered = transfer.run().is_ok();
}

fn policy(args: &Args) -> Policy {
    let denied = args.deny.iter().copied().fold(Routes::none(), Routes::union);
    let default = Policy::default();
    let mut routes = default.routes.difference(denied);
    match args.reflink {
        When::Auto => {}
        When::Always => routes = Routes::only(Route::Reflink).difference(denied),
        // copy_file_range shares blocks too, where the filesystem can.
        When::Never => routes = routes.without(Route::Reflink).without(Route::CopyFileRange),
    }
    Policy {
        routes,
        limit: args.limit,
        stability: match args.stability {
            Steady::Live => Stability::Live,
            Steady::Snapshot => Stability::Snapshot,
        },
        sparse: match args.sparse {
            When::Auto => Sparse::Auto,
            When::Always => Sparse::Always,
            When::Never => Sparse::Never,
        },
        ..default
    }
}
