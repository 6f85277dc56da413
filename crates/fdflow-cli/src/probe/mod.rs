//! `fdflow probe`: what this kernel does for each pair of descriptors, measured.

mod ask;
mod content;
mod ends;
mod findings;
mod flow;
mod kinds;
mod limits;
mod measure;
mod mounts;
mod streams;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use fdflow::Routes;
use findings::Findings;

/// Measure what this kernel does for each pair of descriptors.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;

pub(crate) fn run(args: &Args) -> ExitCode {
    if let Err(unknown) = std::env::var("FDFLOW_DENY").unwrap_or_default().parse::<Routes>() {
        complain(&format!("FDFLOW_DENY: {unknown}"));
        return ExitCode::from(USAGE);
    }
    let findings = measure::all();
    let printed = if args.json { print_json(&findings) } else { table::print(&findings) };
    match printed {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => {
            complain(&format!("standard output: {error}"));
            return ExitCode::from(FAILED);
        }
        Ok(()) => {}
    }
    let failures = findings.failures();
    for failure in &failures {
        complain(failure);
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

fn print_json(findings: &Findings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, findings)?;
    writeln!(out)?;
    out.flush()
}

/// One line on standard error; with that closed there is nobody left to tell.
fn complain(message: &str) {
    let _told = writeln!(anstream::stderr(), "fdflow probe: {message}").is_ok();
}
