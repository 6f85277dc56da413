//! A search over pieces, of which none need have the whole of what is looked for.

use memchr::memmem::Finder;

/// Looks for a needle in bytes that come piece by piece.
#[derive(Debug)]
pub(super) struct Across<'a> {
    finder: Finder<'a>,
    /// The last bytes of the pieces before: one less than the needle has.
    tail: Vec<u8>,
    /// Where the next piece begins.
    at: u64,
}

impl<'a> Across<'a> {
    pub(super) fn new(needle: &'a [u8]) -> Self {
        Self { finder: Finder::new(needle), tail: Vec::new(), at: 0 }
    }

    /// Where the needle first is, if this piece has the end of it.
    pub(super) fn look(&mut self, piece: &[u8]) -> Option<u64> {
        let most = self.finder.needle().len() - 1;
        let before = self.at - self.tail.len() as u64;
        self.tail.extend_from_slice(&piece[..piece.len().min(most)]);
        if let Some(at) = self.finder.find(&self.tail) {
            return Some(before + at as u64);
        }
        if let Some(at) = self.finder.find(piece) {
            return Some(self.at + at as u64);
        }
        if piece.len() >= most {
            self.tail.clear();
            self.tail.extend_from_slice(&piece[piece.len() - most..]);
        } else {
            self.tail.drain(..self.tail.len().saturating_sub(most));
        }
        self.at += piece.len() as u64;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wherever_the_pieces_are_cut_the_first_is_found() {
        let bytes = b"an ant, a needle, and one more needle";
        for size in 1..bytes.len() {
            let mut across = Across::new(b"needle");
            let found = bytes.chunks(size).find_map(|piece| across.look(piece));
            assert_eq!(found, Some(10), "{size}");
            let mut across = Across::new(b"needles");
            assert_eq!(bytes.chunks(size).find_map(|piece| across.look(piece)), None, "{size}");
        }
    }
}
