//! `multipart/byteranges`: parts of a file between their heads, none of it in memory but the
//! heads.

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fdflow_hyper::{FileBody, OpenFile, Piece};

/// Where the bytes of an answer are.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// All of them in memory.
    Memory(Bytes),
    /// In a file.
    File(OpenFile),
}

impl Source {
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(file) => file.length(),
        }
    }

    /// A range of it, which lies within its length.
    pub(crate) fn piece(&self, range: Range<u64>) -> Piece {
        match self {
            Self::Memory(bytes) => Piece::Bytes(slice(bytes, range)),
            Self::File(file) => Piece::File(file.clone(), range),
        }
    }
}

/// A range of bytes in memory; what lies past their end is left out.
pub(crate) fn slice(bytes: &Bytes, range: Range<u64>) -> Bytes {
    let at = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(range.start)..at(range.end))
}

/// The body, and the boundary to tell in `Content-Type`. Its length is known: [`FileBody::length`].
pub(crate) fn body(source: &Source, parts: &[Range<u64>], media_type: &[u8]) -> (FileBody, String) {
    let boundary = boundary();
    let body = assemble(source, parts, media_type, &boundary);
    (body, boundary)
}

fn assemble(source: &Source, parts: &[Range<u64>], media_type: &[u8], boundary: &str) -> FileBody {
    // One allocation for all heads, of which each is a slice.
    let mut heads = Vec::with_capacity((parts.len() + 1) * (media_type.len() + 160));
    let mut ends = Vec::with_capacity(parts.len() + 1);
    for part in parts {
        // Before the first part nothing needs the empty line (RFC 2046 has it as a preamble); zsync
        // skips a line without a look, and asks again for ever where that was the boundary.
        heads.extend_from_slice(b"\r\n--");
        heads.extend_from_slice(boundary.as_bytes());
        heads.extend_from_slice(b"\r\nContent-Type: ");
        heads.extend_from_slice(media_type);
        let (first, last, whole) = (part.start, part.end - 1, source.length());
        // Writing into a vector cannot fail.
        let _fits = write!(heads, "\r\nContent-Range: bytes {first}-{last}/{whole}\r\n\r\n");
        ends.push(heads.len());
    }
    let _fits = write!(heads, "\r\n--{boundary}--\r\n");
    let heads = Bytes::from(heads);
    let mut pieces = Vec::with_capacity(2 * parts.len() + 1);
    let mut start = 0;
    for (part, end) in parts.iter().zip(ends) {
        pieces.push(Piece::Bytes(heads.slice(start..end)));
        pieces.push(source.piece(part.clone()));
        start = end;
    }
    pieces.push(Piece::Bytes(heads.slice(start..)));
    FileBody::of_pieces(pieces)
}

/// 128 bits that nobody can foresee, so that no file can be made to contain them.
fn boundary() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let random = || RandomState::new().hash_one(count);
    format!("fdflow-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
#[path = "multipart/tests.rs"]
mod tests;
