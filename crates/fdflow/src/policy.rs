//! What a transfer may do: routes, sizes, stability, holes, timeouts.

use std::sync::OnceLock;
use std::time::Duration;

use crate::route::Routes;

/// The most bytes that one system call is asked to move unless [`Policy::chunk`] says otherwise.
///
/// Large enough that the call's own cost does not show, small enough that a cancel is seen soon
/// and that ext4's `copy_file_range` stays fast: one call for a whole GiB runs at a fraction of
/// the speed of bounded ones.
pub const DEFAULT_CHUNK: usize = 8 << 20;

/// The kernel moves at most this much in one call, whatever it is asked for.
pub(crate) const CALL_MAX: usize = 0x7fff_f000;

/// Whether the receiver may see what is written to the source file after the call that moved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Stability {
    /// Later writes to the source may show at the receiver, as with every server that uses
    /// sendfile: page references travel, not copies.
    #[default]
    Live,
    /// Only routes that copy, so that what was moved stays as it was at that moment. A memfd that
    /// is sealed against writing and shrinking ([`share`](crate::share)) cannot change any more: it
    /// takes every route.
    Snapshot,
}

/// What becomes of holes in the source when source and sink are files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sparse {
    /// Holes stay holes.
    #[default]
    Auto,
    /// Runs of zeros become holes too. They have to be looked for, so this is done in user space.
    Always,
    /// Every block of the sink is written.
    Never,
}

/// What a [`Transfer`](crate::Transfer) may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// The routes that may be taken; by default all but those named in the environment variable
    /// `FDFLOW_DENY`.
    pub routes: Routes,
    /// At most so many bytes, counted over all runs of the transfer; `None`: to the source's end.
    pub limit: Option<u64>,
    /// At most so many bytes a system call; [`DEFAULT_CHUNK`] unless set.
    pub chunk: usize,
    /// Whether later writes to the source may show at the receiver.
    pub stability: Stability,
    /// What becomes of holes.
    pub sparse: Sparse,
    /// Fail with [`ErrorKind::TimedOut`](std::io::ErrorKind::TimedOut) after so long without a
    /// byte. Waits for descriptors are timed; a `read` or `write` of the caller's own is not.
    pub idle_timeout: Option<Duration>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            routes: Routes::all().difference(denied_by_environment()),
            limit: None,
            chunk: DEFAULT_CHUNK,
            stability: Stability::Live,
            sparse: Sparse::Auto,
            idle_timeout: None,
        }
    }
}

/// The routes that the environment variable `FDFLOW_DENY` names, read once.
///
/// Names are separated by commas. Unknown names deny nothing here; a program that wants to
/// complain of them parses the variable itself, as `fdflow copy` does.
#[must_use]
pub fn denied_by_environment() -> Routes {
    static DENIED: OnceLock<Routes> = OnceLock::new();
    *DENIED.get_or_init(|| {
        let names = std::env::var("FDFLOW_DENY").unwrap_or_default();
        let known = names.split(',').filter_map(|name| name.trim().parse().ok());
        known.fold(Routes::none(), Routes::with)
    })
}
