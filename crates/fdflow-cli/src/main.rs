//! The program `fdflow`: arguments, work, exit code.

mod copy;
mod daemon;
mod deny;
mod endpoint;
mod probe;
mod proxy;
mod relay;
mod serve;
mod size;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The C library's keeps what thousands of connections have given back; this one does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Everything done.
const DONE: u8 = 0;
/// Begun and failed; what was moved is printed.
const FAILED: u8 = 1;
/// Not begun: a flag, an endpoint or an environment variable is wrong.
const USAGE: u8 = 2;

/// Move bytes between files, sockets and pipes - in the kernel where it can, byte-exact either
/// way - and say which way they went.
#[derive(Debug, Parser)]
#[command(
    name = "fdflow",
    version,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done, 1 failed midway (what was moved is printed), 2 not begun.\n\
                  FDFLOW_DENY=ROUTE,… forbids routes to the whole program."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Copy(copy::Args),
    Probe(probe::Args),
    Proxy(Box<proxy::Args>),
    Relay(Box<relay::Args>),
    Serve(Box<serve::Args>),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(message) = deny::check_environment() {
        eprintln!("fdflow: {message}");
        return ExitCode::from(USAGE);
    }
    match cli.command {
        Command::Copy(args) => copy::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Proxy(args) => proxy::run(&args),
        Command::Relay(args) => relay::run(&args),
        Command::Serve(args) => serve::run(*args),
    }
}
