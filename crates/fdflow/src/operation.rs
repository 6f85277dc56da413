//! The names of what is done, and on which side.

use std::fmt;

/// The two ends of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Where the bytes come from.
    Source,
    /// Where the bytes go.
    Sink,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Sink => "sink",
        })
    }
}

/// What was being done: a system call or a step of the transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Asking a descriptor what it is, or whether the two ends fit together.
    Probe,
    /// Choosing a route: none was left.
    Plan,
    /// Reading what the source had buffered.
    Buffered,
    /// Flushing what the sink had buffered.
    Flush,
    /// `read(2)`, `pread(2)`, `recv(2)` or the source's `read`.
    Read,
    /// `write(2)`, `pwrite(2)`, `send(2)` or the sink's `write`.
    Write,
    /// `sendfile(2)`.
    Sendfile,
    /// `splice(2)`.
    Splice,
    /// `tee(2)`, or giving a mirror its bytes in another way.
    Tee,
    /// `copy_file_range(2)`.
    CopyFileRange,
    /// `ioctl(FICLONERANGE)`.
    Reflink,
    /// `pipe2(2)`: the private pipe of a splice.
    Pipe,
    /// `lseek(2)`: positions, data and holes.
    Seek,
    /// `ftruncate(2)` or `fallocate(2)`: making a hole in the sink.
    Hole,
    /// `poll(2)`: waiting for an end.
    Wait,
}

impl Operation {
    /// The operation's name, the system call's where it is one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Plan => "plan",
            Self::Buffered => "buffered",
            Self::Flush => "flush",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sendfile => "sendfile",
            Self::Splice => "splice",
            Self::Tee => "tee",
            Self::CopyFileRange => "copy_file_range",
            Self::Reflink => "ficlonerange",
            Self::Pipe => "pipe",
            Self::Seek => "seek",
            Self::Hole => "hole",
            Self::Wait => "wait",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
