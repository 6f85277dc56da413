//! Moves bytes between descriptors - files, TCP, Unix sockets, pipes - inside the kernel where
//! the kernel can, through user space where it cannot, byte-exact either way, and says which of
//! the two happened and why.
//!
//! ```
//! use std::{fs::File, net::{TcpListener, TcpStream}};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("film.mp4");
//! # std::fs::write(&path, vec![7; 100_000])?;
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let mut client = TcpStream::connect(listener.local_addr()?)?;
//! let (mut server, _) = listener.accept()?;
//! # let reader = std::thread::spawn(move || std::io::copy(&mut client, &mut std::io::sink()));
//!
//! let report = fdflow::copy(&mut File::open(path)?, &mut server)?;
//! println!("{report}"); // 100000 bytes in 0.000 s, and by which routes
//! # drop(server);
//! # assert_eq!(report.bytes(), 100_000);
//! # assert_eq!(reader.join().unwrap()?, 100_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`copy`] is the short way, [`Transfer`] the one with options. What can be a [`Source`] or a
//! [`Sink`] is listed there; [`Plain`] makes one of any `Read` or `Write`. A [`Report`] tells the
//! routes taken and why better ones were not; a [`TransferError`] also what became of the bytes.
//! [`share`] has memory that is filled once and then read by many, and passes descriptors.

mod cancel;
mod copy;
mod endpoint;
mod ends;
mod engine;
mod error;
mod fanout;
mod few;
mod fit;
mod kind;
mod ledger;
pub mod map;
mod operation;
mod pace;
mod pipe;
mod plan;
mod policy;
mod progress;
pub mod reader;
mod report;
mod route;
mod run;
#[cfg(target_os = "linux")]
pub mod share;
mod source;
mod stage;
#[doc(hidden)]
pub mod sys;
mod tee;
mod transfer;
mod wrap;

pub use cancel::Cancel;
pub use copy::copy;
pub use error::{Cancelled, TransferError};
#[doc(hidden)]
pub use fanout::{Account, Hub, HubStep, Joins, Linger};
pub use fanout::{
    Fanout, FanoutError, FanoutParts, FanoutReport, Gap, Lag, SinkEnd, SinkParts, SinkReport,
};
pub use ledger::{Imbalance, Ledger};
pub use operation::{Operation, Side};
pub use pipe::{Pipe, ReadEnd, WriteEnd};
pub use policy::{DEFAULT_CHUNK, Policy, Sparse, Stability, denied_by_environment};
pub use progress::Progress;
pub use reader::reader;
pub use report::{Leg, Reason, Refusal, Report};
pub use route::{Route, Routes, UnknownRoute};
pub use rustix::io::Errno;
pub use source::{Buffered, Sink, Source};
pub use stage::pool::clear as clear_pool;
pub use stage::pool::{Pipes, pipes};
pub use tee::{Detached, Teed};
#[doc(hidden)]
pub use transfer::Sockets;
pub use transfer::{Needs, Parts, Step, Transfer};
pub use wrap::{Count, Counted, Plain};

/// The README's example, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
