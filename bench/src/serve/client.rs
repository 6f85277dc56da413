//! A client that asks for a file and throws away, or checks, what comes.

use std::io::{self, Cursor, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::pattern::{PIECE, Pattern};

/// What is read at a time of a large answer.
const LARGE: usize = 256 << 10;
/// Heads of answers are shorter.
const MOST_HEAD: usize = 16 << 10;

/// An answer whose head has been read.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) length: u64,
    /// What came with the head.
    early: Vec<u8>,
}

impl Answer {
    /// Reads a head from `stream`, in pieces of at most `piece`.
    pub(super) fn read(stream: &mut impl Read, piece: usize) -> io::Result<Self> {
        let mut head = Vec::new();
        let mut block = vec![0; piece];
        loop {
            let n = stream.read(&mut block)?;
            head.extend_from_slice(&block[..n]);
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                let early = head.split_off(end + 4);
                return Self::parse(&head, early);
            }
            if n == 0 || head.len() > MOST_HEAD {
                return Err(io::Error::other("the answer has no whole head"));
            }
        }
    }

    fn parse(head: &[u8], early: Vec<u8>) -> io::Result<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no answer: {first}")))?;
        let length = lines.find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        });
        Ok(Self { status, length: length.unwrap_or(0), early })
    }

    /// An error where this is not the answer that was wanted.
    pub(super) fn expect(self, status: u16, length: u64) -> io::Result<Self> {
        if (self.status, self.length) == (status, length) {
            return Ok(self);
        }
        let Self { status: is, length: of, .. } = self;
        let message = format!("answered {is} with {of} bytes, not {status} with {length}");
        Err(io::Error::other(message))
    }

    /// The whole body.
    fn body(self, stream: impl Read) -> impl Read {
        Cursor::new(self.early).chain(stream).take(self.length)
    }

    /// Reads the body and throws it away.
    pub(super) fn discard(self, stream: impl Read) -> io::Result<()> {
        let length = self.length;
        let mut body = self.body(stream);
        let mut block = vec![0; LARGE.min(usize::try_from(length).unwrap_or(LARGE)).max(1)];
        let mut done = 0;
        while done < length {
            match body.read(&mut block)? {
                0 => return Err(short(done, length)),
                n => done += n as u64,
            }
        }
        Ok(())
    }

    /// Reads the body, which must be the pattern from `offset` on.
    pub(super) fn check(self, stream: impl Read, offset: u64) -> io::Result<()> {
        let length = self.length;
        let mut body = self.body(stream);
        let pattern = Pattern::new();
        let mut block = vec![0; LARGE];
        let mut done = 0;
        while done < length {
            let n = body.read(&mut block)?;
            if n == 0 {
                return Err(short(done, length));
            }
            if block[..n] != *pattern.at(offset + done, n) {
                return Err(io::Error::other(format!("wrong bytes from {done} on")));
            }
            done += n as u64;
        }
        Ok(())
    }
}

fn short(done: u64, length: u64) -> io::Error {
    io::Error::other(format!("{done} of {length} bytes came"))
}

/// A connection that fails rather than hangs.
pub(super) fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Asks for a file, or for these bytes of it: the first and the last.
pub(super) fn ask(
    stream: &mut impl Write,
    name: &str,
    range: Option<(u64, u64)>,
) -> io::Result<()> {
    let range =
        range.map_or_else(String::new, |(from, to)| format!("Range: bytes={from}-{to}\r\n"));
    let head = format!("GET /{name} HTTP/1.1\r\nHost: localhost\r\n{range}\r\n");
    stream.write_all(head.as_bytes())
}

/// Sends the first bytes of the pattern as a file and waits until that is acknowledged.
pub(super) fn put(stream: &mut TcpStream, name: &str, bytes: u64) -> io::Result<()> {
    let head =
        format!("PUT /{name} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let sent = Pattern::new().write(stream, bytes, PIECE);
    // Who refuses an upload says why before it closes.
    match Answer::read(stream, LARGE) {
        Ok(Answer { status: 200 | 201 | 204, .. }) => sent,
        Ok(Answer { status, .. }) => {
            Err(io::Error::other(format!("PUT is answered with {status}")))
        }
        Err(cause) => sent.and(Err(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(length: u64, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 206 Partial Content\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    #[test]
    fn a_body_is_checked_from_its_offset_in_whatever_pieces_it_comes() {
        let pattern = Pattern::new();
        let good = answer(100_000, pattern.at(700, 100_000));
        for piece in [1, 7, 4096, 1 << 20] {
            let mut stream = &good[..];
            let answer = Answer::read(&mut stream, piece).unwrap().expect(206, 100_000).unwrap();
            answer.check(stream, 700).unwrap();
            let mut stream = &good[..];
            let answer = Answer::read(&mut stream, piece).unwrap();
            assert!(answer.check(stream, 701).is_err());
        }
    }

    #[test]
    fn a_body_that_ends_early_and_another_answer_are_errors() {
        let cut = answer(10, b"123456789");
        let mut stream = &cut[..];
        let error = Answer::read(&mut stream, 4096).unwrap().discard(stream).unwrap_err();
        assert_eq!(error.to_string(), "9 of 10 bytes came");
        let error = Answer::read(&mut &cut[..], 4096).unwrap().expect(200, 10).unwrap_err();
        assert_eq!(error.to_string(), "answered 206 with 10 bytes, not 200 with 10");
        assert!(Answer::read(&mut &cut[..20], 4096).is_err());
    }
}
