//! Which way a file is read. Pure.

use std::fmt;

use crate::kind::Kind;

/// Up to here one read into memory is faster than a mapping. Measured: 16 against 27 µs for 16 KiB
/// read 1000 times, 31 against 48 µs for 256 KiB; beyond, a program that reads one file alone pays
/// more for fresh memory than a mapping costs.
pub(super) const SMALL: u64 = 256 << 10;
/// Up to here one read into memory is faster than a `pread` for each of as many reads as the file
/// has pages. Measured: 1.5 against 2.3 ms for 16 MiB, 21 against 5 ms for 32 MiB.
pub(super) const WHOLE: u64 = 16 << 20;
/// From here on a mapping is the cheaper way in order too, where it may be had. Measured: 0.3 against
/// 0.5 ms for 4 MiB, 31 against 62 ms for 512 MiB.
pub(super) const LARGE: u64 = 4 << 20;
/// Beyond this windows cost no more than a mapping of all, and keep less resident.
pub(super) const WINDOWED: u64 = 64 << 20;
/// The most that is mapped at once: half of the addresses.
const ADDRESSES: u64 = (usize::MAX / 4) as u64;

/// How a program goes about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Access {
    /// From the start to the end.
    #[default]
    Sequential,
    /// All over, again and again: more often than the file has pages of 4 KiB.
    Random,
    /// Here and there, a few times for the size of the file.
    Few,
}

/// A way to read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// `read` or `pread`, into a buffer of at most 128 KiB.
    Buffered,
    /// Once, into memory, when the first byte is asked for. What is written to the file later does
    /// not show.
    Whole,
    /// All of it mapped.
    Map,
    /// Mapped by windows.
    Windows,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Buffered => "buffered reading",
            Self::Whole => "one read into memory",
            Self::Map => "a mapping",
            Self::Windows => "mapped windows",
        })
    }
}

/// Why a file is read in some way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// In order, no way that it allows is faster.
    InOrder,
    /// It is read in order and does not change: not even one copy is needed.
    NoCopy,
    /// A few reads are not worth more.
    FewReads,
    /// It is a pipe, a terminal, a device.
    Stream,
    /// It does not tell its length, as files of procfs.
    NoLength,
    /// It is small, and read again and again.
    Small,
    /// It may be cut or written to meanwhile, which rules a mapping out, and is too large to be
    /// kept in memory.
    MayChange,
    /// It is read again and again and does not change.
    ReadAgain,
    /// As [`ReadAgain`](Self::ReadAgain), and it is longer than half of the addresses.
    TooLong,
    /// The caller has chosen.
    Asked,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InOrder => "it is read in order",
            Self::NoCopy => "it is read in order and does not change, which needs no copy",
            Self::FewReads => "a few reads are not worth more",
            Self::Stream => "it is a stream or a device",
            Self::NoLength => "it does not tell its length",
            Self::Small => "it is small, and read again and again",
            Self::MayChange => "it is large, and may be cut or written to meanwhile",
            Self::ReadAgain => "it is read again and again and does not change",
            Self::TooLong => "it does not change, and is too long to be mapped at once",
            Self::Asked => "the caller has chosen",
        })
    }
}

/// How a file is read, and why so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Choice {
    pub(super) way: Way,
    pub(super) why: Why,
}

impl Choice {
    /// How.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Why.
    #[must_use]
    pub fn why(&self) -> Why {
        self.why
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.way, self.why)
    }
}

/// Chooses for a file of this kind and length; `steady` tells, if it matters, whether the file
/// keeps as it is.
pub(super) fn choose(kind: Kind, length: u64, access: Access, steady: impl Fn() -> bool) -> Choice {
    let choice = |way, why| Choice { way, why };
    if kind != Kind::File {
        return choice(Way::Buffered, Why::Stream);
    }
    if length == 0 {
        return choice(Way::Buffered, Why::NoLength);
    }
    match access {
        Access::Sequential if length < LARGE || !steady() => choice(Way::Buffered, Why::InOrder),
        Access::Sequential if length <= WINDOWED => choice(Way::Map, Why::NoCopy),
        Access::Sequential => choice(Way::Windows, Why::NoCopy),
        Access::Few => choice(Way::Buffered, Why::FewReads),
        Access::Random if length <= SMALL => choice(Way::Whole, Why::Small),
        Access::Random => match steady() {
            true if length <= ADDRESSES => choice(Way::Map, Why::ReadAgain),
            true => choice(Way::Windows, Why::TooLong),
            false if length <= WHOLE => choice(Way::Whole, Why::Small),
            false => choice(Way::Buffered, Why::MayChange),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(kind: Kind, length: u64, access: Access, steady: bool) -> (Way, Why) {
        let Choice { way, why } = choose(kind, length, access, || steady);
        (way, why)
    }

    #[test]
    fn for_a_few_reads_nothing_is_mapped() {
        for length in [1, SMALL, WHOLE, 1 << 40] {
            for steady in [false, true] {
                let way = chosen(Kind::File, length, Access::Few, steady);
                assert_eq!(way, (Way::Buffered, Why::FewReads));
            }
        }
    }

    #[test]
    fn in_order_large_files_that_do_not_change_are_mapped() {
        let way = |length, steady| chosen(Kind::File, length, Access::Sequential, steady);
        assert_eq!(way(LARGE - 1, true), (Way::Buffered, Why::InOrder));
        assert_eq!(way(1 << 40, false), (Way::Buffered, Why::InOrder));
        assert_eq!(way(LARGE, true), (Way::Map, Why::NoCopy));
        assert_eq!(way(WINDOWED, true), (Way::Map, Why::NoCopy));
        assert_eq!(way(WINDOWED + 1, true), (Way::Windows, Why::NoCopy));
    }

    #[test]
    fn what_is_read_all_over_is_kept_in_memory_or_mapped() {
        let way = |length, steady| chosen(Kind::File, length, Access::Random, steady);
        assert_eq!(way(SMALL, false), (Way::Whole, Why::Small));
        assert_eq!(way(SMALL, true), (Way::Whole, Why::Small));
        assert_eq!(way(SMALL + 1, true), (Way::Map, Why::ReadAgain));
        assert_eq!(way(WHOLE, false), (Way::Whole, Why::Small));
        assert_eq!(way(WHOLE + 1, false), (Way::Buffered, Why::MayChange));
        assert_eq!(way(u64::MAX, true), (Way::Windows, Why::TooLong));
    }

    #[test]
    fn what_has_no_length_is_buffered() {
        let way = |kind| chosen(kind, 0, Access::Random, true);
        assert_eq!(way(Kind::Pipe), (Way::Buffered, Why::Stream));
        assert_eq!(way(Kind::Block), (Way::Buffered, Why::Stream));
        assert_eq!(way(Kind::File), (Way::Buffered, Why::NoLength));
    }
}
