//! The access log: a line for each request that has ended.

use std::path::Path;

use super::log_line;
use super::record::{Outcome, Record};
use super::values::LogFormat;
use crate::daemon::lines::Lines;

/// The access log of the program.
#[derive(Debug)]
pub(super) struct AccessLog {
    format: LogFormat,
    lines: Lines,
}

impl AccessLog {
    /// `-` is standard output.
    pub(super) fn open(path: &Path, format: LogFormat) -> Result<Self, String> {
        Ok(Self { format, lines: Lines::open(path, "access log", "--access-log")? })
    }

    /// Puts a line in the queue.
    pub(super) fn write(&self, record: &Record, outcome: &Outcome) {
        self.lines.write(match self.format {
            LogFormat::Combined => log_line::combined(record, outcome),
            LogFormat::Json => log_line::json(record, outcome),
        });
    }

    /// Opens the file anew, after what is in the queue.
    pub(super) fn reopen(&self) {
        self.lines.reopen();
    }

    /// Waits until all is written.
    pub(super) fn end(&self) {
        self.lines.end();
    }
}
