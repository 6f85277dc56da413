//! What writers write and readers expect: bytes of which every position is known.

use std::io::{self, Read, Write};

/// After so many bytes the stream repeats. A prime, so that a lost or repeated page, segment or
/// buffer moves what follows it to where it does not belong.
const PERIOD: usize = 1_048_583;
/// The longest piece that lies in memory in one part, wherever it begins.
pub(crate) const PIECE: usize = 1 << 20;

/// An endless stream of known bytes.
#[derive(Debug)]
pub(crate) struct Pattern {
    memory: Vec<u8>,
    period: usize,
}

impl Pattern {
    /// The stream that all transfers carry.
    pub(crate) fn new() -> Self {
        Self::repeating(PERIOD)
    }

    /// The first `period` bytes of the stream, over and over: one file sent many times.
    pub(crate) fn repeating(period: usize) -> Self {
        let period = period.clamp(1, PERIOD);
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut memory = Vec::with_capacity(period + PIECE + 8);
        while memory.len() < period {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            memory.extend_from_slice(&state.to_le_bytes());
        }
        memory.truncate(period);
        while memory.len() < period + PIECE {
            let more = period.min(period + PIECE - memory.len());
            memory.extend_from_within(..more);
        }
        Self { memory, period }
    }

    /// The bytes at `at`, at most `most` of them and at most [`PIECE`].
    pub(crate) fn at(&self, at: u64, most: usize) -> &[u8] {
        let start = usize::try_from(at % self.period as u64).unwrap_or(0);
        &self.memory[start..start + most.min(PIECE)]
    }

    /// Writes the first `bytes` bytes in writes of `piece`.
    pub(crate) fn write(&self, to: &mut impl Write, bytes: u64, piece: usize) -> io::Result<()> {
        let mut done = 0;
        while done < bytes {
            let most = usize::try_from(bytes - done).unwrap_or(piece).min(piece);
            let part = self.at(done, most);
            to.write_all(part)?;
            done += part.len() as u64;
        }
        Ok(())
    }

    /// Reads `from` to its end, which must come after `bytes` bytes, all of them the right ones.
    pub(crate) fn check(&self, from: &mut impl Read, bytes: u64) -> io::Result<()> {
        let mut block = vec![0; PIECE / 4];
        let mut done = 0;
        loop {
            let n = match from.read(&mut block) {
                Ok(0) => break,
                Ok(n) => n,
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
                Err(cause) => return Err(cause),
            };
            if block[..n] != *self.at(done, n) {
                return Err(wrong(format!("wrong bytes between {done} and {}", done + n as u64)));
            }
            done += n as u64;
        }
        if done == bytes { Ok(()) } else { Err(wrong(format!("{done} bytes came, not {bytes}"))) }
    }
}

fn wrong(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: u64, piece: usize) -> Vec<u8> {
        let mut all = Vec::new();
        Pattern::new().write(&mut all, bytes, piece).unwrap();
        all
    }

    #[test]
    fn what_was_written_in_any_pieces_is_what_is_expected() {
        for piece in [1000, 4096, PIECE] {
            let all = written(3_000_000, piece);
            Pattern::new().check(&mut &all[..], 3_000_000).unwrap();
        }
    }

    #[test]
    fn a_lost_a_repeated_and_a_missing_page_are_seen() {
        let all = written(2_500_000, PIECE);
        let check = |bytes: Vec<u8>| Pattern::new().check(&mut &bytes[..], 2_500_000);
        assert!(check([&all[..4096], &all[8192..]].concat()).is_err());
        assert!(check([&all[..8192], &all[4096..]].concat()).is_err());
        assert!(check(all[..2_000_000].to_vec()).is_err());
    }

    #[test]
    fn a_file_sent_twice_is_a_pattern_of_its_length() {
        let file = Pattern::repeating(1024).at(0, 1024).to_vec();
        Pattern::repeating(1024).check(&mut &[&file[..], &file[..]].concat()[..], 2048).unwrap();
    }
}
