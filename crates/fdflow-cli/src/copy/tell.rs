//! What is said of a copy, for people and for machines.

use std::io::Write;

use fdflow::Report;
use serde::Serialize;

use super::Args;
use crate::endpoint::Endpoint;

/// The JSON object: the report, what arrived in the end, and the error if there was one.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Says why a copy failed, if it did, and what was done, if that was asked for.
pub(crate) fn outcome(args: &Args, report: &Report, error: Option<&str>) {
    if let Some(message) = error {
        eprintln!("fdflow: copy: {message}");
    }
    if args.json {
        if let Ok(text) = serde_json::to_string(&Told { report, error }) {
            print(args, &text);
        }
    } else if args.explain {
        print(args, &report.to_string());
    }
}

/// On standard output, or on standard error if that is where the bytes go. A reader that has
/// gone is no reason to fail.
fn print(args: &Args, text: &str) {
    let _told = if args.to == Endpoint::Standard {
        writeln!(std::io::stderr(), "{text}").is_ok()
    } else {
        writeln!(std::io::stdout(), "{text}").is_ok()
    };
}
