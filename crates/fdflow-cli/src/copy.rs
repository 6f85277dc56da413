//! `fdflow copy`.

use std::process::ExitCode;

/// Copy any endpoint to any endpoint by the best route.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> ExitCode {
    ExitCode::SUCCESS
}
