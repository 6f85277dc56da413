//! What is said of a copy, for people and for machines.

use std::io::Write;

use fdflow::Report;
use serde::Serialize;

use super::Args;
use super::open::End;

/// The JSON object: the report, what arrived in the end, and the error if there was one.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Says why a copy failed, if it did, and what was done, if that was asked for.
pub(crate) fn outcome(args: &Args, to: &End, report: &Report, error: Option<&str>) {
    if let Some(message) = error {
        eprintln!("fdflow: copy: {message}");
    }
    if args.json {
        if let Ok(text) = serde_json::to_string(&Told { report, error }) {
            print(to, &text);
        }
    } else if args.explain {
        print(to, &report.to_string());
    }
}

/// On standard output, or on standard error if that is where the bytes go. A reader that has
/// gone is no reason to fail.
fn print(to: &End, text: &str) {
    let _told = if is_standard_output(to) {
        writeln!(std::io::stderr(), "{text}").is_ok()
    } else {
        writeln!(std::io::stdout(), "{text}").is_ok()
    };
}

/// Whether an end is standard output, by whatever name: `-`, `fd://1`, `/dev/stdout`.
fn is_standard_output(to: &End) -> bool {
    let (to, stdout) = (rustix::fs::fstat(to.descriptor()), rustix::fs::fstat(std::io::stdout()));
    matches!((to, stdout), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}
