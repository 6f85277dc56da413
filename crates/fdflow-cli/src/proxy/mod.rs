//! `fdflow proxy`: connections, passed on.

mod accept;
mod admin;
mod check;
mod config;
mod connect;
mod door;
mod ending;
mod figures;
mod flags;
mod flow;
mod gate;
mod greeting;
mod line;
mod list;
mod metrics;
mod pool;
mod program;
mod relay;
mod resolve;
mod run;
mod serve;
mod service;
mod srv;
mod sweep;
mod tap;
mod target;
mod upstream;
mod values;
mod worker;

use std::process::ExitCode;

use crate::USAGE;

/// Pass TCP and Unix connections on, spliced inside the kernel, with failover and half-closes as
/// they came.
///
/// One service is told by flags, several by a file (--config), whose keys are the flags' names
/// with `_`, in a [[service]] table for each. Sizes are written 4096, 64K, 1M or 2GiB, durations
/// 500ms, 5s or 1m.
///
/// SIGTERM and SIGINT let flows end (see --drain-timeout); a second signal does not. SIGHUP reads
/// the configuration again without touching a flow; --threads, --admin and --max-connections stay
/// as they were. A second process may take over the addresses: start it, then end the first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    service: flags::ServiceFlags,
    #[command(flatten)]
    program: flags::ProgramFlags,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match run::run(&args.program, &args.service) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("fdflow: proxy: {message}");
            ExitCode::from(USAGE)
        }
    }
}
