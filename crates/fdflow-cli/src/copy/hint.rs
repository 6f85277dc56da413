//! Failures in a line: what, on which endpoint, why, what to do.

use std::io;

use fdflow::{Errno, Side, TransferError};

use super::Args;
use crate::endpoint::Endpoint;

/// An endpoint that could not be opened.
pub(crate) fn opening(verb: &str, endpoint: &Endpoint, error: &io::Error) -> String {
    let advice = match Errno::from_io_error(error) {
        Some(Errno::NOENT) => "check the path",
        Some(Errno::ACCESS | Errno::PERM) => {
            "check the permissions, and that the file is neither immutable nor append-only"
        }
        Some(Errno::CONNREFUSED) => "start what should listen there, or check the address",
        Some(Errno::ADDRINUSE) => "something else is there: choose another address or remove it",
        Some(Errno::ISDIR) => "name a file",
        Some(Errno::BADF) => "no such descriptor was handed to the program",
        Some(Errno::TXTBSY) => "the file is a running program or a swap file",
        Some(Errno::ROFS) => "choose a place that is not mounted read-only",
        Some(Errno::MFILE | Errno::NFILE) => "raise the limit of open files (ulimit -n)",
        _ if error.kind() == io::ErrorKind::InvalidInput => "choose another destination",
        _ => "",
    };
    let stop = if advice.is_empty() { "" } else { ": " };
    format!("cannot {verb} {endpoint}: {}{stop}{advice}", cause(error))
}

/// Two ends between which nothing can be moved.
pub(crate) fn unfit(args: &Args, error: &TransferError) -> String {
    let advice = match error.kind() {
        io::ErrorKind::Unsupported => ": allow one more route",
        _ => "",
    };
    format!("{} to {}: {}{advice}", args.from, args.to, cause(error.cause()))
}

/// A copy that ended early, after `arrived` bytes.
pub(crate) fn explain(args: &Args, error: &TransferError, arrived: u64) -> String {
    let what = match error.side() {
        _ if error.is_cancelled() => "interrupted".to_owned(),
        Some(Side::Source) => format!("cannot read {}: {}", args.from, cause(error.cause())),
        Some(Side::Sink) => format!("cannot write to {}: {}", args.to, cause(error.cause())),
        None => format!("{} to {}: {}", args.from, args.to, cause(error.cause())),
    };
    let mut line = format!("{what}; {arrived} bytes arrived");
    let advice = match Errno::from_io_error(error.cause()) {
        Some(Errno::NOSPC | Errno::DQUOT) => "make room",
        Some(Errno::FBIG) => "the file may not grow further: see ulimit -f",
        Some(Errno::PERM | Errno::TXTBSY) => "the file is immutable, append-only or swapped to",
        Some(Errno::PIPE | Errno::CONNRESET) => "the other side has gone",
        _ => "",
    };
    if !advice.is_empty() {
        line.push_str(": ");
        line.push_str(advice);
    }
    if let Some(again) = resume(args, arrived) {
        line.push_str("; to go on: ");
        line.push_str(&again);
    }
    line
}

/// The flags that copy the rest, where both ends keep what they have.
fn resume(args: &Args, arrived: u64) -> Option<String> {
    let files = matches!(args.from, Endpoint::Path(_)) && matches!(args.to, Endpoint::Path(_));
    if !files || arrived == 0 {
        return None;
    }
    let offset = args.offset.unwrap_or(0) + arrived;
    let limit = args.limit.map(|limit| format!(" --limit {}", limit.saturating_sub(arrived)));
    Some(format!("--append --offset {offset}{}", limit.unwrap_or_default()))
}

/// The cause without the number that `io::Error` adds.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
