//! The log of what has ended: a line each, for people or for programs.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use super::lines::Lines;
use super::values::read_from_text;

read_from_text! { LogFormat }

/// The form of the log's lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LogFormat {
    /// Words and `key=value`.
    #[default]
    Text,
    /// A JSON object.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{text}` is none of text and json")),
        }
    }
}

/// What the log says of one thing; an object as JSON.
pub(crate) trait LogLine: Serialize {
    /// Writes it as `key=value`.
    fn write(&self, text: &mut String) -> fmt::Result;

    /// As `key=value`.
    fn text(&self) -> String {
        let mut text = String::with_capacity(384);
        // Writing to a string cannot fail.
        let _infallible = self.write(&mut text).is_ok();
        text.push('\n');
        text
    }

    /// As a JSON object.
    fn json(&self) -> String {
        let text = serde_json::to_string(self);
        text.unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")) + "\n"
    }
}

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    format: LogFormat,
    lines: Lines,
}

impl Log {
    /// By default, and for `-`, on standard output; `none` is no log.
    pub(crate) fn open(
        path: Option<&Path>,
        format: Option<LogFormat>,
    ) -> Result<Option<Self>, String> {
        let path = path.unwrap_or(Path::new("-"));
        if path.as_os_str() == "none" {
            return Ok(None);
        }
        let lines = Lines::open(path, "log", "--log")?;
        Ok(Some(Self { format: format.unwrap_or_default(), lines }))
    }

    /// Puts a line in the queue.
    pub(crate) fn write(&self, line: &impl LogLine) {
        self.lines.write(match self.format {
            LogFormat::Text => line.text(),
            LogFormat::Json => line.json(),
        });
    }

    /// Opens the file anew, after what is in the queue.
    pub(crate) fn reopen(&self) {
        self.lines.reopen();
    }

    /// Waits until all is written.
    pub(crate) fn end(&self) {
        self.lines.end();
    }
}
