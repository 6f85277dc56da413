//! Whether a flow between sockets is a stream or a row of small messages. Pure.
//!
//! A splice costs two calls and a page reference per piece, a copy costs by the byte: small
//! messages are cheaper copied, streams are cheaper spliced, and only the flow tells which it is.

/// A read of at least this much counts as part of a stream.
pub(crate) const LARGE: u64 = 32 << 10;
/// So many large reads in a row make a stream.
const TO_STREAM: u8 = 2;
/// A splice that takes less than this counts against the stream.
pub(crate) const SMALL: u64 = 8 << 10;
/// So many small splices in a row end it.
const TO_MESSAGES: u8 = 8;

/// What a flow looks like at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pace {
    stream: bool,
    in_a_row: u8,
}

impl Pace {
    /// Whether it pays to splice.
    pub(crate) fn is_stream(self) -> bool {
        self.stream
    }

    /// `n` bytes came in one call.
    pub(crate) fn saw(&mut self, n: u64) {
        let (against, needed) =
            if self.stream { (n < SMALL, TO_MESSAGES) } else { (n >= LARGE, TO_STREAM) };
        self.in_a_row = if against { self.in_a_row + 1 } else { 0 };
        if self.in_a_row == needed {
            *self = Self { stream: !self.stream, in_a_row: 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sizes: impl IntoIterator<Item = u64>) -> Pace {
        let mut pace = Pace::default();
        sizes.into_iter().for_each(|n| pace.saw(n));
        pace
    }

    #[test]
    fn two_large_reads_in_a_row_make_a_stream() {
        assert!(!after([LARGE]).is_stream());
        assert!(!after([LARGE, 1, LARGE]).is_stream());
        assert!(after([1, LARGE, LARGE]).is_stream());
    }

    #[test]
    fn a_stream_survives_a_few_small_pieces_and_ends_with_many() {
        let stream = [LARGE, LARGE];
        assert!(after(stream.into_iter().chain([1; 7])).is_stream());
        assert!(after(stream.into_iter().chain([1; 7]).chain([SMALL]).chain([1; 7])).is_stream());
        assert!(!after(stream.into_iter().chain([1; 8])).is_stream());
    }
}
