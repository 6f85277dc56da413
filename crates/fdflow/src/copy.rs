//! The blocking front door.

use crate::error::TransferError;
use crate::report::Report;
use crate::source::{Sink, Source};
use crate::transfer::Transfer;

/// Moves everything from `source` to `sink` by the best route, and tells how it went.
///
/// Blocks until the source ends. Descriptors' positions are used and advanced, as by `read(2)`
/// and `write(2)`; nothing is flushed to disk and nothing is shut down at the end. It allocates
/// at most one buffer (of 256 KiB), and that only where bytes pass through user space, besides a
/// few hundred bytes for the report where the route changes more than once. For limits, offsets,
/// progress and cancelling see [`Transfer`].
///
/// ```
/// use std::fs::File;
/// # let dir = tempfile::tempdir()?;
/// # let (from, to) = (dir.path().join("from"), dir.path().join("to"));
/// # std::fs::write(&from, "some bytes")?;
/// let report = fdflow::copy(&mut File::open(&from)?, &mut File::create(&to)?)?;
/// assert_eq!(report.bytes(), 10);
/// println!("{report}");
/// # assert_eq!(std::fs::read(to)?, b"some bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The first failure of either end. [`TransferError::report`] tells what the sink was given,
/// [`TransferError::undelivered`] holds the bytes that were taken from the source but not given.
pub fn copy<S, D>(source: &mut S, sink: &mut D) -> Result<Report, TransferError>
where
    S: Source + ?Sized,
    D: Sink + ?Sized,
{
    let mut transfer = Transfer::new(source, sink);
    transfer.run().map_err(|error| {
        let undelivered = transfer.take_undelivered();
        error.with_undelivered(undelivered)
    })
}
