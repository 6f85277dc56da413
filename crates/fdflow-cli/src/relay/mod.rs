//! `fdflow relay`: one producer, a recording, many readers.

mod accept;
mod admin;
mod ending;
mod feed;
mod figures;
mod flags;
mod http;
mod line;
mod list;
mod listeners;
mod metrics;
mod origin;
mod reader;
mod recorded;
mod run;
mod serve;
mod stream;
mod supply;
mod values;
mod worker;

use std::process::ExitCode;

use crate::USAGE;

/// Relay what one producer sends to any number of readers, none of whom can hurt another, and record
/// it.
///
/// With --record the bytes go from the producer into a file, and from the file to each reader at its
/// own pace: a slow one costs the others nothing, and loses nothing that is kept. Without it the
/// stream is fanned out as it comes, and --lag says what becomes of readers that fall behind by
/// more than --max-lag.
///
/// Sizes are written 4096, 64K, 1M or 2GiB, durations 500ms, 5s or 1m.
///
/// An existing recording is gone on with. Beside FILE is FILE.index, which says when which byte came.
///
/// HTTP has the stream at / (and at the name of the recording): from --start on, or from ?start=10m-back.
/// With a recording, Range asks for bytes of the stream, counted from the first that was ever recorded.
/// A body that lacks something ends without its last chunk, in HTTP/1.0 with a reset. Pages of other
/// sites cannot read it unless --cors lets them.
///
/// When the producer ends, readers get what there is and the program ends; with --reconnect it waits
/// for the producer instead. SIGTERM and SIGINT end the stream in the same way; a second signal does
/// not wait for readers.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: flags::Flags,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> ExitCode {
    match run::run(&args.flags) {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("fdflow: relay: {message}");
            ExitCode::from(USAGE)
        }
    }
}
