//! Where every byte is: still in the source, staged, or given to the sink.

use std::fmt;

/// The one counter of a transfer.
///
/// `taken == staged + given` holds at all times: each entry below moves bytes from one column to
/// the next and refuses to move what is not there. Positions, limits, reports and end-of-file
/// decisions are derived from it and kept nowhere else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ledger {
    staged: u64,
    given: u64,
}

/// An entry that would make bytes appear or vanish: an end reported more than it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imbalance {
    /// Bytes that the entry claimed.
    pub claimed: u64,
    /// Bytes that could have moved.
    pub possible: u64,
}

impl fmt::Display for Imbalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { claimed, possible } = self;
        write!(f, "a call claims to have moved {claimed} bytes where {possible} were possible")
    }
}

impl std::error::Error for Imbalance {}

impl Ledger {
    /// Bytes taken from the source so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.staged + self.given
    }

    /// Bytes taken but not yet given.
    #[must_use]
    pub fn staged(&self) -> u64 {
        self.staged
    }

    /// Bytes given to the sink.
    #[must_use]
    pub fn given(&self) -> u64 {
        self.given
    }

    /// `n` bytes came out of the source into the stage; `asked` was the most that could.
    pub(crate) fn fill(&mut self, n: u64, asked: u64) -> Result<(), Imbalance> {
        check(n, asked)?;
        self.staged += n;
        Ok(())
    }

    /// `n` bytes went from the stage into the sink.
    pub(crate) fn drain(&mut self, n: u64) -> Result<(), Imbalance> {
        check(n, self.staged)?;
        self.staged -= n;
        self.given += n;
        Ok(())
    }

    /// `n` bytes went from the source into the sink at once; `asked` was the most that could.
    pub(crate) fn pass(&mut self, n: u64, asked: u64) -> Result<(), Imbalance> {
        check(n, asked)?;
        self.given += n;
        Ok(())
    }
}

fn check(claimed: u64, possible: u64) -> Result<(), Imbalance> {
    if claimed <= possible { Ok(()) } else { Err(Imbalance { claimed, possible }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_is_staged_plus_given_after_every_entry() {
        let mut ledger = Ledger::default();
        ledger.fill(10, 16).unwrap();
        assert_eq!((ledger.taken(), ledger.staged(), ledger.given()), (10, 10, 0));
        ledger.drain(4).unwrap();
        assert_eq!((ledger.taken(), ledger.staged(), ledger.given()), (10, 6, 4));
        ledger.pass(5, 5).unwrap();
        assert_eq!((ledger.taken(), ledger.staged(), ledger.given()), (15, 6, 9));
    }

    #[test]
    fn more_than_was_possible_is_refused_and_changes_nothing() {
        let mut ledger = Ledger::default();
        ledger.fill(3, 3).unwrap();
        let before = ledger;
        assert_eq!(ledger.drain(4), Err(Imbalance { claimed: 4, possible: 3 }));
        assert!(ledger.fill(2, 1).is_err() && ledger.pass(2, 1).is_err());
        assert_eq!(ledger, before);
    }
}
