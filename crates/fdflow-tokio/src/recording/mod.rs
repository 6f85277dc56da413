//! A recording of a stream, and those who follow it.

mod buffering;
mod chores;
mod event;
mod following;
mod index;
mod keeping;
mod kept;
mod lock;
mod memory;
mod names;
mod options;
mod piece;
mod pouring;
mod reader;
mod rotation;
mod segment;
mod shared;
mod timeline;
mod writer;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

pub use event::RecordingEvent;
pub use following::Following;
pub use options::RecordingOptions;
pub use reader::{Reader, ReaderEnd};
pub use writer::RecordingWriter;

use following::Stay;
use shared::Shared;
use timeline::Found;

/// A recording of a stream: one writes it, and any number follow it, each from where it likes and
/// at its own pace.
///
/// The bytes go from the source into a file by the best route (from sockets and pipes by splice), and
/// from the file to each follower by sendfile. A follower that is slow, or stands still, costs the
/// others nothing and misses nothing as long as the recording keeps its bytes.
///
/// * **Places** are counted in bytes of the stream, from the first that was ever recorded, also
///   over restarts: an existing recording is gone on with, never written over.
/// * **Files.** `cam.ts` is written to, and locked; with rotation, older ones are `cam.000001.ts` and
///   on, which are open only while somebody reads them. Beside each is an index, `cam.ts.index`,
///   which says when which byte came; see the next section.
/// * **A disk that is full or fails** stops nobody: bytes are kept in memory, within a bound, and
///   written when the disk takes them again. What the bound does not hold is missing, for followers
///   too that had not got it: a gap, which [`RecordingEvent`] tells and the index shows.
/// * **A disk that hangs** holds up whoever polls [`RecordingWriter::record`]: give it a thread.
/// * **Runtime.** One with I/O and time.
///
/// # The index
///
/// Text in lines of 67 bytes. The first says what it is; each other one has a time (UTC), the number
/// of the byte of the stream that came then, and its place in the file:
///
/// ```text
/// fdflow recording index 1: time, stream byte, file byte
/// 2026-11-22T21:02:31.123Z 00000000000000000000 00000000000000000000
/// 2026-11-22T21:02:32.124Z 00000000000000262144 00000000000000262144
/// ```
///
/// There is a line for the first byte of the file, and one for each second in which bytes came. Where
/// bytes of the stream are missing in the file, there is one for the first byte behind the gap, and
/// the two numbers differ by more than before. Lines are only added, and those for a first byte before
/// the byte is: after a crash there may be a last line that is torn or about bytes that are not in
/// the file, which does not count. Times never go back, even if the clock does. Without an index all
/// bytes of the file are taken for the ones behind those of the file before.
///
/// # Example
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use fdflow_tokio::{Recording, Start};
/// use tokio::{io::{AsyncReadExt, AsyncWriteExt}, net::UnixStream};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("cam.ts");
/// let (recording, mut writer) = Recording::open(&path)?;
/// let (mut camera, source) = UnixStream::pair()?;
/// let (sink, mut viewer) = UnixStream::pair()?;
/// let mut reader = recording.reader(Start::Beginning, sink)?;
///
/// camera.write_all(b"a film").await?;
/// drop(camera);
/// writer.record(&source).await?;
/// writer.finish().await?;
/// reader.run().await?;
/// drop(reader);
/// let mut film = String::new();
/// viewer.read_to_string(&mut film).await?;
/// assert_eq!((film.as_str(), &*std::fs::read_to_string(path)?), ("a film", "a film"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Recording {
    shared: Arc<Shared>,
}

/// Where a follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With what comes from now on.
    Live,
    /// With the first byte that is kept.
    Beginning,
    /// With this byte of the stream; a later one where it is not kept, and at most the end.
    At(u64),
    /// So many bytes before the end, or as many as are kept.
    Back(u64),
    /// With what came at this time, up to a second before, or with the first byte that is kept.
    Since(SystemTime),
}

/// What a recording has at some place.
#[derive(Debug)]
#[non_exhaustive]
pub enum Look {
    /// So many bytes, in this file from this offset on. They may be removed at any time, which the
    /// file does not show while it is open.
    Bytes {
        /// The file: shared. Read at offsets; never write.
        file: Arc<File>,
        /// Where in it the bytes begin.
        offset: u64,
        /// How many there are.
        length: u64,
    },
    /// Nothing up to that place.
    Missing {
        /// The next that is kept, or the end.
        until: u64,
    },
    /// Nothing yet.
    NotYet,
    /// Nothing ever.
    Over,
    /// The file that has it cannot be opened.
    Failed(io::Error),
}

impl Recording {
    /// Opens a recording that is kept in one file for ever. Makes blocking calls.
    ///
    /// # Errors
    ///
    /// Those of [`RecordingOptions::open`].
    pub fn open(path: impl Into<PathBuf>) -> io::Result<(Self, RecordingWriter)> {
        Self::options().open(path)
    }

    /// For recordings that are rotated, and other wishes.
    #[must_use]
    pub fn options() -> RecordingOptions {
        RecordingOptions::default()
    }

    /// Follows the recording from `start` on, into `sink`.
    ///
    /// # Errors
    ///
    /// The index cannot be read, for a start at some time.
    pub fn reader<D: crate::AsyncSink>(&self, start: Start, sink: D) -> io::Result<Reader<D>> {
        Ok(Reader::new(Stay::begin(&self.shared, start)?, sink))
    }

    /// Follows the recording from `start` on without a sink: for those who send it in ways of their
    /// own, with [`look`](Self::look), and tell by [`Following::counters`] what they have sent. A
    /// recording that [waits](RecordingOptions::waits) for followers waits for this one too, as long
    /// as it, or a clone of it, is there.
    ///
    /// # Errors
    ///
    /// The index cannot be read, for a start at some time.
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use fdflow::Route;
    /// use fdflow_tokio::{Recording, Start};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let path = dir.path().join("cam.ts");
    /// # std::fs::write(&path, [0; 100])?;
    /// let (recording, _writer) = Recording::open(path)?;
    /// let following = recording.follow(Start::Beginning)?;
    /// following.counters().add(Route::Sendfile, 60);
    /// following.skip(30);
    /// assert_eq!((following.at(), recording.end()), (90, 100));
    /// # Ok(())
    /// # }
    /// ```
    pub fn follow(&self, start: Start) -> io::Result<Following> {
        Ok(Following::alone(Stay::begin(&self.shared, start)?))
    }

    /// How far the stream has come.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.shared.end()
    }

    /// The first byte that is kept.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.shared.start()
    }

    /// Whether no byte will come any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.shared.is_over()
    }

    /// The byte that a follower with this start would begin with.
    ///
    /// # Errors
    ///
    /// The index cannot be read, for a start at some time.
    pub fn resolve(&self, start: Start) -> io::Result<u64> {
        self.shared.locate(start)
    }

    /// What there is at this byte of the stream: for those who send it in ways of their own.
    #[must_use]
    pub fn look(&self, at: u64) -> Look {
        loop {
            let (piece, offset, length) = match self.shared.find(at) {
                (Found::Bytes { file, offset, length }, _) => (file, offset, length),
                (Found::Missing { until }, _) => return Look::Missing { until },
                (Found::End, true) => return Look::Over,
                (Found::End, false) => return Look::NotYet,
            };
            match piece.file() {
                Ok(file) => return Look::Bytes { file, offset, length },
                // It was removed meanwhile: there is something else to be found.
                Err(_) if piece.is_withdrawn() => {}
                Err(error) => return Look::Failed(error),
            }
        }
    }

    /// Waits until there is something else than [`Look::NotYet`] at `at`.
    pub async fn grown(&self, at: u64) {
        self.shared.grown(at).await;
    }
}
