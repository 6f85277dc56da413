//! The tokio driver of [`fdflow`]: moves bytes between sockets, pipes and files inside the kernel
//! where the kernel can, and waits for them as a task.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tokio::net::{TcpListener, TcpStream};
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let mut client = TcpStream::connect(listener.local_addr()?).await?;
//! let (mut server, _) = listener.accept().await?;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("film.mp4");
//! # std::fs::write(&path, vec![7; 100_000])?;
//! let mut film = tokio::fs::File::open(path).await?;
//! let report = fdflow_tokio::copy(&mut film, &mut server).await?;
//! println!("{report}"); // how many bytes went, and by which routes
//! # drop(server);
//! # assert_eq!(report.bytes(), 100_000);
//! # let mut out = Vec::new();
//! # tokio::io::AsyncReadExt::read_to_end(&mut client, &mut out).await?;
//! # assert_eq!(out.len(), 100_000);
//! # Ok(())
//! # }
//! ```
//!
//! [`copy`] is the short way, [`Transfer`] the one with options, which can be dropped and gone on
//! with. What can be an end is listed at [`AsyncSource`] and [`AsyncSink`]; [`Plain`] makes an end
//! of any `AsyncRead` or `AsyncWrite`.
//!
//! [`copy_bidirectional`] and [`Bidirectional`] are for proxies: both directions at once, with
//! half-closes, resets, timeouts, rates, live [`Counters`] and a [`Mirror`] of what goes by.
//!
//! [`Fanout`] moves one source to several sinks at once, which may come and go ([`Joiner`]);
//! [`Recording`] by way of a file that each of them follows at its own pace.
//!
//! [`share`] passes descriptors over Unix sockets, and makes sources of sealed memory.
//!
//! The bytes are moved by the same lines as in blocking transfers. This crate only decides when:
//! a poll does a bounded amount of work and then lets other tasks have their turn, and a flow that
//! waits for its source with nothing on its way holds neither a pipe nor a buffer.

mod bidirectional;
mod child;
mod core_ends;
mod counters;
mod end;
mod ends;
mod fanout;
mod file;
mod flow;
mod mirror;
mod plain;
mod rate;
mod ready;
mod recording;
#[cfg(target_os = "linux")]
pub mod share;
mod timer;
mod transfer;

pub use bidirectional::{
    Bidirectional, BidirectionalError, BidirectionalParts, Both, Direction, End, copy_bidirectional,
};
pub use child::{child_stderr, child_stdin, child_stdout};
pub use counters::Counters;
pub use end::{AsyncSink, AsyncSource};
pub use fanout::{Alone, Fanout, Joined, Joiner};
pub use fdflow::{Report, TransferError};
pub use mirror::{Mirror, Mirrored};
pub use plain::Plain;
pub use rate::SharedRate;
pub use recording::{
    Following, Look, Reader, ReaderEnd, Recording, RecordingEvent, RecordingOptions,
    RecordingWriter, Start,
};
pub use transfer::{Parts, Transfer, copy};

/// Whatever a panic in another thread has left of it.
fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
