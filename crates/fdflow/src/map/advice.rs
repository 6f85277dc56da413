//! What a program tells the kernel about its mappings, and the parts of them that it names.

use std::io;
use std::ops::{Bound, RangeBounds};

use rustix::io::Errno;

use super::error::MapError;
use super::kernel;

/// How a mapping will be used. None of it changes what is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing is known.
    Normal,
    /// In order: read ahead further.
    Sequential,
    /// All over: do not read ahead.
    Random,
    /// Soon: begin to read it, without waiting.
    WillNeed,
    /// In huge pages, where the filesystem and the kernel have them; elsewhere nothing happens,
    /// or the kernel says that it knows no such advice.
    HugePages,
    /// Now: read all of it and enter it into the page tables, so that no load waits for a disk.
    ///
    /// Waits, and fails where a page cannot be had: because the file was cut (`EFAULT`) or its
    /// disk cannot read it. A page that the file loses later still raises SIGBUS. Before Linux
    /// 5.14, and elsewhere, as [`WillNeed`](Self::WillNeed).
    Populate,
}

/// Gives an advice by `call`.
pub(super) fn advise(
    advice: Advice,
    call: impl Fn(memmap2::Advice) -> io::Result<()>,
) -> Result<(), MapError> {
    let (said, instead) = kernel::said(advice);
    let Some(said) = said else { return Ok(()) };
    let unknown = |error: &io::Error| error.raw_os_error() == Some(Errno::INVAL.raw_os_error());
    let answer = match (call(said), instead) {
        (Err(error), Some(instead)) if unknown(&error) => call(instead),
        (answer, _) => answer,
    };
    answer.map_err(|cause| MapError::system("madvise", cause))
}

/// A range of a mapping as its start and its length.
pub(super) fn part(
    range: impl RangeBounds<usize>,
    length: usize,
) -> Result<(usize, usize), MapError> {
    let start = match range.start_bound() {
        Bound::Included(at) => *at,
        Bound::Excluded(at) => at.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(at) => at.saturating_add(1),
        Bound::Excluded(at) => *at,
        Bound::Unbounded => length,
    };
    match end.checked_sub(start) {
        Some(n) if end <= length => Ok((start, n)),
        _ => Err(MapError::Outside { start, end, length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_inside() {
        assert_eq!(part(.., 10).unwrap(), (0, 10));
        assert_eq!(part(3..7, 10).unwrap(), (3, 4));
        assert_eq!(part(3..=9, 10).unwrap(), (3, 7));
        assert_eq!(part(10.., 10).unwrap(), (10, 0));
    }

    #[test]
    fn a_part_outside_is_an_error() {
        for range in [3..11, 11..11] {
            assert!(matches!(part(range, 10), Err(MapError::Outside { length: 10, .. })));
        }
        #[allow(clippy::reversed_empty_ranges, reason = "that is what is tested")]
        let backwards = 7..3;
        assert!(part(backwards, 10).is_err());
        assert!(part(..=usize::MAX, 10).is_err());
    }
}
