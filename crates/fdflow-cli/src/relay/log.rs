//! A line for each reader that has ended.

use std::path::Path;

use super::ending::Ending;
use super::line::Line;
use super::reader::Reader;
use super::values::LogFormat;
use crate::daemon::lines::Lines;

/// The log of readers.
#[derive(Debug)]
pub(super) struct Log {
    format: LogFormat,
    lines: Lines,
}

impl Log {
    /// `-` is standard output.
    pub(super) fn open(path: &Path, format: LogFormat) -> Result<Self, String> {
        Ok(Self { format, lines: Lines::open(path, "log", "--log")? })
    }

    /// Puts a line in the queue.
    pub(super) fn write(&self, reader: &Reader, ending: &Ending) {
        let line = Line::new(reader, ending);
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
