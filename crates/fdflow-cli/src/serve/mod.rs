//! `fdflow serve`: a folder over HTTP.

mod accept;
mod access_log;
mod admin;
mod auth;
mod connection;
mod door;
mod files;
mod flags;
mod greet;
mod heads;
mod linger;
mod log_line;
mod meter;
mod metrics;
mod owing;
mod pace;
mod password;
mod protocol;
mod record;
mod reply;
mod run;
mod secure;
mod site;
mod socket;
mod sweep;
mod tls;
mod values;
mod watched;
mod worker;

use std::process::ExitCode;

use crate::USAGE;

/// Serve a folder over HTTP, files by sendfile, and take uploads.
///
/// Without flags the current folder is served at http://127.0.0.1:8080/; the addresses are
/// printed. Sizes are written 4096, 64K, 1M or 2GiB, durations 500ms, 5s or 1m.
///
/// SIGTERM and SIGINT let running transfers end (see --drain); a second signal does not. SIGHUP
/// reads the configuration and the TLS files again and opens the access log anew; addresses,
/// --threads, --admin and --max-connections stay as they were.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: flags::Flags,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> ExitCode {
    match run::run(args.flags) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("fdflow: serve: {message}");
            ExitCode::from(USAGE)
        }
    }
}
