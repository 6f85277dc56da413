//! The program `fdflow`: arguments, work, exit code.

mod copy;
mod probe;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Move bytes between files, sockets and pipes inside the kernel where it can, and say which way
/// they went.
#[derive(Debug, Parser)]
#[command(name = "fdflow", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Copy(copy::Args),
    Probe(probe::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Copy(args) => copy::run(&args),
        Command::Probe(args) => probe::run(&args),
    }
}
