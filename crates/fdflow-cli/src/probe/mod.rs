//! `fdflow probe`.

use std::process::ExitCode;

/// Measure what this kernel does for each pair of descriptors.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(_args: &Args) -> ExitCode {
    ExitCode::SUCCESS
}
