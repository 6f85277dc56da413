//! Why a reader ended, and how much it had not got.

use std::io;

use fdflow::{SinkEnd, TransferError};
use fdflow_tokio::ReaderEnd;
use rustix::io::Errno;

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// The stream has ended, and it has got it to its end.
    Done,
    /// It has closed its connection.
    Left,
    /// Its connection was reset, or broke.
    Reset,
    /// It fell too far behind.
    Lagged,
    /// The stream has ended, and it took nothing for too long.
    Stalled,
    /// Somebody asked for it.
    Cut,
    /// The program ended.
    Drained,
    /// It could not be served.
    Failed,
}

impl Why {
    pub(super) const ALL: [Self; 8] = [
        Self::Done,
        Self::Left,
        Self::Reset,
        Self::Lagged,
        Self::Stalled,
        Self::Cut,
        Self::Drained,
        Self::Failed,
    ];

    /// In the log and in figures.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Left => "left",
            Self::Reset => "reset",
            Self::Lagged => "lagged",
            Self::Stalled => "stalled",
            Self::Cut => "cut",
            Self::Drained => "drained",
            Self::Failed => "failed",
        }
    }
}

/// How a reader ended.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) why: Why,
    /// The system's words.
    pub(super) detail: Option<String>,
}

impl From<Why> for Ending {
    fn from(why: Why) -> Self {
        Self { why, detail: None }
    }
}

impl From<&io::Error> for Ending {
    fn from(error: &io::Error) -> Self {
        let gone = [Errno::PIPE, Errno::CONNRESET, Errno::TIMEDOUT, Errno::CONNABORTED];
        let is_gone = Errno::from_io_error(error).is_some_and(|errno| gone.contains(&errno));
        let why = if is_gone { Why::Reset } else { Why::Failed };
        Self { why, detail: Some(error.to_string()) }
    }
}

impl From<Result<ReaderEnd, TransferError>> for Ending {
    fn from(ended: Result<ReaderEnd, TransferError>) -> Self {
        match ended {
            Ok(ReaderEnd::Complete) => Why::Done.into(),
            Ok(_) => Why::Lagged.into(),
            Err(error) => error.cause().into(),
        }
    }
}

impl From<SinkEnd> for Ending {
    fn from(ended: SinkEnd) -> Self {
        match ended {
            SinkEnd::Complete => Why::Done.into(),
            SinkEnd::TooFarBehind => Why::Lagged.into(),
            SinkEnd::TooSlow => Why::Stalled.into(),
            SinkEnd::Failed(error) => error.cause().into(),
            _ => Why::Drained.into(),
        }
    }
}
