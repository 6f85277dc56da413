//! The heads of a connection's requests as they came, for what the parser does not tell.
//!
//! Where a request begins follows from where the one before it ended: nothing of a body is ever
//! taken for a head, nor of a head for a body, however the bytes came in packets.

/// So much of a request's head is kept for a second look.
const MOST: usize = 64 << 10;

/// What was read of heads that have not been looked at.
#[derive(Debug, Default)]
pub(super) struct Heads {
    bytes: Vec<u8>,
    /// Where they are among all bytes of the connection: the next request begins there.
    at: u64,
    /// More came at once than is kept: where requests begin is not known any more.
    lost: bool,
}

impl Heads {
    /// These bytes came, of which the first is at `from`.
    pub(super) fn took(&mut self, from: u64, bytes: &[u8]) {
        let next = self.at.saturating_add(self.bytes.len() as u64);
        // Behind a gap nothing is kept, until a body is known to reach over it.
        let Some(skipped) = next.checked_sub(from) else { return };
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let Some(bytes) = bytes.get(skipped..) else { return };
        let room = MOST.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Hands the first head to `look`, or `None` where it was not kept, and forgets it. `body` is
    /// how many bytes follow it until the next.
    pub(super) fn next<T>(&mut self, body: u64, look: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let end = if self.lost { None } else { end_of_head(&self.bytes) };
        let Some(end) = end else {
            self.lost = true;
            self.clear();
            self.at = u64::MAX;
            return look(None);
        };
        let answer = look(Some(&self.bytes[..end]));
        let known = self.at.saturating_add(self.bytes.len() as u64);
        self.at = self.at.saturating_add(end as u64).saturating_add(body);
        match known.checked_sub(self.at) {
            Some(ahead) => {
                let ahead = usize::try_from(ahead).unwrap_or(usize::MAX).min(self.bytes.len());
                self.bytes.drain(..self.bytes.len() - ahead);
            }
            None => self.clear(),
        }
        answer
    }

    /// What is there of the first.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives back what memory it can.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// Lines end with LF, with a CR before it or without; empty ones before a request count for
/// nothing.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut line = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    for end in memchr::memchr_iter(b'\n', bytes) {
        if matches!(bytes.get(line..end), Some(b"" | b"\r")) {
            return Some(end + 1);
        }
        line = line.max(end + 1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"GET /1 HTTP/1.1\r\nA: b\r\n\r\n";
    const TWO: &[u8] = b"\r\n\nGET /2 HTTP/1.1\nC: d\n\n";

    #[test]
    fn heads_are_found_however_the_bytes_are_cut_and_bodies_are_not_heads() {
        // The body looks like a request, and is none.
        let stream = [ONE, ONE, TWO, ONE].concat();
        let bodies = [ONE.len() as u64, 0, 0];
        for piece in 1..stream.len() {
            let (mut heads, mut read, mut found) = (Heads::default(), 0, Vec::new());
            for bytes in stream.chunks(piece) {
                heads.took(read, bytes);
                read += bytes.len() as u64;
                while found.len() < 3 && end_of_head(heads.unread()).is_some() {
                    let body = bodies[found.len()];
                    found.push(heads.next(body, |head| head.map(<[u8]>::to_vec)));
                }
            }
            let expected = [ONE, TWO, ONE].map(|head| Some(head.to_vec()));
            assert_eq!(found, expected, "in pieces of {piece}");
            assert!(heads.unread().is_empty());
        }
    }

    #[test]
    fn what_was_not_kept_is_lost_unless_it_was_a_body() {
        let many = [ONE, &vec![b'x'; 2 * MOST]].concat();
        for (body, lost) in [(2 * MOST as u64, false), (2 * MOST as u64 + 5, false), (5, true)] {
            let mut heads = Heads::default();
            heads.took(0, &many);
            let read = many.len() as u64;
            assert!(heads.next(body, |head| head == Some(ONE)));
            let missing = usize::try_from(body).unwrap().saturating_sub(2 * MOST);
            let rest = [&vec![b'x'; missing], ONE].concat();
            heads.took(read, &rest);
            let seen = heads.next(0, |head| head == Some(ONE));
            assert_eq!(seen, !lost, "a body of {body}");
        }
    }
}
