//! What happens to a recording besides growing.

use std::io;
use std::path::PathBuf;

/// Something that whoever keeps the recording wants to know:
/// [`RecordingWriter::observe`](super::RecordingWriter::observe).
#[derive(Debug)]
#[non_exhaustive]
pub enum RecordingEvent {
    /// The disk takes nothing; from this byte of the stream on they are kept in memory.
    Failing {
        /// The first byte that is not in a file.
        at: u64,
        /// Why.
        error: io::Error,
    },
    /// Bytes of the stream are lost to the recording, and to followers that had not got them yet:
    /// the memory for them was full. At the end of a recording it is told of what is in memory and
    /// cannot be written; that is lost to the recording alone.
    Lost {
        /// The first of them.
        at: u64,
        /// How many.
        bytes: u64,
    },
    /// The disk takes bytes again, and all that were in memory are written.
    Resumed {
        /// How far the recording has come.
        at: u64,
        /// How many bytes are missing since it failed.
        missing: u64,
    },
    /// Another file was begun.
    Rotated {
        /// What the one before is called now.
        path: PathBuf,
    },
    /// A file was removed: it is older than what is kept.
    Removed {
        /// What it was called.
        path: PathBuf,
    },
    /// Something beside the bytes went wrong: the index, syncing, rotating or removing. It is tried
    /// again, but for removing, which is left to the next who opens the recording.
    Trouble {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        error: io::Error,
    },
}
