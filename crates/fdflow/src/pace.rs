//! Whether a flow between sockets is a stream or a row of small messages. Pure.
//!
//! A splice costs by the call and by the piece, a copy by the byte. From TCP, which joins what is
//! written in small pieces, splicing wins as soon as calls bring some KiB. A Unix socket keeps
//! each write apart, and a call that brings 64 KiB may bring them in 64 pieces, so that there the
//! pieces have to be looked at: a *trial* fills a pipe of few slots and sees how much that is.
//! The figures that the numbers below rest on are in `bench/record/`.

use crate::kind::Kind;

/// The slots of a pipe for a trial: those of a pipe that nobody has resized.
pub(crate) const TRIAL_SLOTS: u64 = 16;
/// Calls that bring this much on average make a stream.
const TO_STREAM: u32 = 6 << 10;
/// Calls that bring less than this on average end it.
const TO_MESSAGES: u32 = 2 << 10;
/// So many calls weigh in the average.
const WEIGHT: u64 = 8;
/// A trial that has not decided after so many fills is given up.
const FILLS: u8 = 16;
/// After a trial that found small pieces so many bytes go by before the next, twice as many after
/// each further one.
const PAUSE: u32 = 16 << 20;
const LONGEST_PAUSE: u32 = 1 << 30;
/// From a Unix socket splicing pays with pieces of this size.
const LEAST_PIECE: u16 = 3 << 10;

/// What a flow looks like at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Messages,
    Trial { fills: u8 },
    Stream,
}

/// The pace of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    mood: Mood,
    /// Bytes a call, averaged.
    mean: u32,
    /// Bytes since a trial found small pieces.
    since: u32,
    /// So many of them are to go by before the next trial.
    pause: u32,
    /// The pieces with which splicing pays; 0 where it does with any.
    least_piece: u16,
}

impl Default for Pace {
    fn default() -> Self {
        Self { mood: Mood::Messages, mean: 0, since: 0, pause: 0, least_piece: 0 }
    }
}

impl Pace {
    /// The pace of a flow out of `source`, before anything has come.
    pub(crate) fn of(source: Kind) -> Self {
        let least_piece = if source == Kind::Unix { LEAST_PIECE } else { 0 };
        Self { least_piece, ..Self::default() }
    }

    /// Whether to splice.
    #[inline]
    pub(crate) fn splices(self) -> bool {
        self.mood != Mood::Messages
    }

    /// Whether to splice through a pipe of [`TRIAL_SLOTS`], and to say what came of it.
    #[inline]
    pub(crate) fn is_trial(self) -> bool {
        matches!(self.mood, Mood::Trial { .. })
    }

    /// `n` bytes came in one call.
    #[inline]
    pub(crate) fn saw(&mut self, n: u64) {
        let mean = (u64::from(self.mean) * (WEIGHT - 1) + n) / WEIGHT;
        self.mean = u32::try_from(mean).unwrap_or(u32::MAX);
        self.since = self.since.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        self.mood = match self.mood {
            Mood::Messages if self.mean < TO_STREAM || self.since < self.pause => Mood::Messages,
            Mood::Messages if self.least_piece > 0 => Mood::Trial { fills: 0 },
            Mood::Messages => Mood::Stream,
            _ if self.mean < TO_MESSAGES => Mood::Messages,
            mood => mood,
        };
    }

    /// A trial's fill brought `n` bytes; `full` says whether they took every slot.
    pub(crate) fn tried(&mut self, n: u64, full: bool) {
        let Mood::Trial { fills } = self.mood else { return };
        self.mood = if n >= u64::from(self.least_piece) * TRIAL_SLOTS {
            Mood::Stream
        } else if full || fills + 1 >= FILLS {
            self.since = 0;
            self.pause = (self.pause * 2).clamp(PAUSE, LONGEST_PAUSE);
            Mood::Messages
        } else {
            Mood::Trial { fills: fills + 1 }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(source: Kind, sizes: impl IntoIterator<Item = u64>) -> Pace {
        let mut pace = Pace::of(source);
        sizes.into_iter().for_each(|n| pace.saw(n));
        pace
    }

    #[test]
    fn messages_stay_messages_and_large_calls_make_a_stream() {
        assert!(!after(Kind::Tcp, [64; 1000]).splices());
        assert!(!after(Kind::Tcp, [4096; 1000]).splices());
        assert!(after(Kind::Tcp, [65_536]).splices());
        assert!(after(Kind::Tcp, [8192; 12]).splices());
    }

    #[test]
    fn a_stream_survives_small_pieces_between_large_ones_and_ends_with_small_ones_alone() {
        let stream = || [65_536; 4].into_iter();
        assert!(after(Kind::Tcp, stream().chain([1; 10])).splices());
        let mixed = (0..1000).map(|i| if i % 8 == 0 { 65_536 } else { 1024 });
        assert!(after(Kind::Tcp, stream().chain(mixed)).splices());
        assert!(!after(Kind::Tcp, stream().chain([64; 40])).splices());
    }

    #[test]
    fn from_a_unix_socket_the_pieces_decide() {
        let mut pace = after(Kind::Unix, [65_536; 2]);
        assert!(pace.is_trial());
        pace.tried(64 << 10, true);
        assert!(pace.splices() && !pace.is_trial(), "4 KiB a slot");

        let mut pace = after(Kind::Unix, [65_536; 2]);
        pace.tried(16 << 10, true);
        assert!(!pace.splices(), "1 KiB a slot");
        (0..255).for_each(|_| pace.saw(65_536));
        assert!(!pace.splices(), "not before some MiB have gone by");
        pace.saw(65_536);
        assert!(pace.is_trial());
    }

    #[test]
    fn a_trial_of_a_source_that_runs_dry_goes_on_for_a_while() {
        let mut pace = after(Kind::Unix, [65_536; 2]);
        for _ in 0..FILLS {
            assert!(pace.is_trial());
            pace.tried(16 << 10, false);
        }
        assert!(!pace.splices());
    }
}
