//! From records to the message in them.

use std::borrow::Cow;

use super::error::{HelloError, HelloFault};
use super::{MAX_HELLO, MAX_LENGTH};
use crate::Parsed;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

/// Type, version and length of a record.
const RECORD_HEAD: usize = 5;

/// Type and length of a message.
const MESSAGE_HEAD: usize = 4;

/// The longest payload of a record that is not encrypted.
const MAX_RECORD: u16 = 1 << 14;

/// The first message, with its head, out of as many records as it is in.
///
/// Nothing is copied before it is whole: until then only heads are looked at. Checks are made in
/// the order of the bytes that they are about, so that what is wrong does not depend on how much
/// of it is there.
pub(super) fn gather(bytes: &[u8]) -> Result<Parsed<Cow<'_, [u8]>>, HelloError> {
    let mut progress = Progress::default();
    let mut at = 0;
    loop {
        if at + RECORD_HEAD >= MAX_LENGTH {
            return Err(HelloError::TooLong);
        }
        let Some(length) = record_length(&bytes[at..], at == 0)? else { return Ok(Parsed::More) };
        let start = at + RECORD_HEAD;
        let end = start + length;
        if end > MAX_LENGTH {
            return Err(HelloError::TooLong);
        }
        progress.add(&bytes[start..end.min(bytes.len())], length)?;
        if bytes.len() < end {
            return Ok(Parsed::More);
        }
        at = end;
        if progress.whole() {
            return Ok(Parsed::Done { value: message(&bytes[..at]), length: at });
        }
    }
}

/// The payload's length of the record that begins here, if its head is there.
fn record_length(bytes: &[u8], first: bool) -> Result<Option<usize>, HelloError> {
    let wrong = |fault| if first { HelloError::NotTls } else { HelloError::Malformed(fault) };
    match *bytes {
        [kind, ..] if kind != HANDSHAKE => Err(wrong(HelloFault::RecordType(kind))),
        [_, major, ..] if major != 3 => Err(wrong(HelloFault::RecordVersion(major))),
        [_, _, _, high, low, ..] => match u16::from_be_bytes([high, low]) {
            length @ 1..=MAX_RECORD => Ok(Some(usize::from(length))),
            length => Err(HelloError::Malformed(HelloFault::RecordLength(length))),
        },
        _ => Ok(None),
    }
}

/// How much of the message the records so far have.
#[derive(Default)]
struct Progress {
    head: [u8; MESSAGE_HEAD],
    held: usize,
}

impl Progress {
    /// One more record of `length` bytes, of which `payload` is there.
    fn add(&mut self, payload: &[u8], length: usize) -> Result<(), HelloError> {
        let room = self.head.iter_mut().skip(self.held);
        for (place, byte) in room.zip(payload) {
            *place = *byte;
        }
        let there = self.held + payload.len();
        self.held += length;
        if there > 0 && self.head[0] != CLIENT_HELLO {
            return Err(HelloError::Malformed(HelloFault::Message(self.head[0])));
        }
        if there < MESSAGE_HEAD {
            return Ok(());
        }
        if self.total() > MAX_HELLO {
            return Err(HelloError::TooLong);
        }
        // A hello ends with a record (RFC 8446, 5.1): nothing can be said before its answer.
        if self.held > self.total() {
            return Err(HelloError::Malformed(HelloFault::Trailing));
        }
        Ok(())
    }

    /// The message's length, once its head is there.
    fn total(&self) -> usize {
        let [_, high, middle, low] = self.head.map(usize::from);
        MESSAGE_HEAD + (high << 16 | middle << 8 | low)
    }

    fn whole(&self) -> bool {
        self.held >= MESSAGE_HEAD && self.held == self.total()
    }
}

/// The payloads of whole records. Nearly always there is one.
fn message(records: &[u8]) -> Cow<'_, [u8]> {
    let mut payloads = Payloads(records);
    let first = payloads.next().unwrap_or_default();
    if payloads.0.is_empty() {
        return Cow::Borrowed(first);
    }
    Cow::Owned(Payloads(records).flatten().copied().collect())
}

struct Payloads<'a>(&'a [u8]);

impl<'a> Iterator for Payloads<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let &[_, _, _, high, low, ref rest @ ..] = self.0 else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (payload, after) = rest.split_at_checked(length)?;
        self.0 = after;
        Some(payload)
    }
}
