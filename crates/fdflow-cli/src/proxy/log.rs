//! A line for each flow that has ended.

use std::path::Path;

use super::ending::Ending;
use super::flow::Flow;
use super::line::Line;
use super::values::LogFormat;
use crate::daemon::lines::Lines;

/// The log of flows.
#[derive(Debug)]
pub(super) struct Log {
    format: LogFormat,
    explain: bool,
    lines: Lines,
}

impl Log {
    /// `-` is standard output.
    pub(super) fn open(path: &Path, format: LogFormat, explain: bool) -> Result<Self, String> {
        Ok(Self { format, explain, lines: Lines::open(path, "log", "--log")? })
    }

    /// Puts a line in the queue.
    pub(super) fn write(&self, flow: &Flow, ending: &Ending) {
        let line = Line::new(flow, ending, self.explain);
        self.lines.write(match self.format {
            LogFormat::Text => line.text(),
            LogFormat::Json => line.json(),
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
