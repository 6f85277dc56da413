//! Memory that cannot change any more, and descriptors passed to other processes.
//!
//! A [`Sealed`] is a memfd that was filled and then sealed: nobody, in this process or another, can
//! write, cut or grow it, ever again. So it can be read as a slice, sent to any number of sockets by
//! sendfile without a byte of it changing under way, and handed to other processes, which read the
//! same memory. [`send`] and [`receive`] pass its descriptor, or any others, over a Unix socket;
//! what comes from another process becomes a `Sealed` only after its seals were
//! [verified](Sealed#impl-TryFrom<OwnedFd>-for-Sealed).
//!
//! ```
//! use std::os::{fd::AsFd, unix::net::UnixStream};
//! use fdflow::share::{self, Sealed};
//!
//! let (here, there) = UnixStream::pair()?;
//! let frame = Sealed::from_bytes(b"filled once")?;
//! share::send(&here, b"a frame", &[frame.as_fd()])?;
//!
//! let mut message = [0; 64]; // in another process
//! let received = share::receive(&there, &mut message)?;
//! assert_eq!(&message[..received.bytes], b"a frame");
//! let same = received.into_sealed()?;
//! assert_eq!(&same[..], b"filled once");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Linux only.

mod builder;
mod pass;
mod reader;
mod sealed;
mod verify;

pub use builder::{SealError, SealedBuilder};
pub use pass::{MAX_DESCRIPTORS, PassError, Received, receive, send};
pub use reader::SealedReader;
pub use sealed::Sealed;
pub use verify::{Flaw, NotSealed};
