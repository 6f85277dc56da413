//! Looking for bytes and patterns.

use std::os::fd::AsFd;

use memchr::memmem::Finder;

use super::error::MapError;
use super::read_only::Map;
use super::windows::Windows;

/// What is looked for.
#[derive(Debug)]
enum Pattern<'a> {
    Nothing,
    Byte(u8),
    Bytes(Box<Finder<'a>>),
}

impl<'a> Pattern<'a> {
    fn new(pattern: &'a [u8]) -> Self {
        match pattern {
            [] => Self::Nothing,
            [byte] => Self::Byte(*byte),
            _ => Self::Bytes(Box::new(Finder::new(pattern))),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Byte(_) => 1,
            Self::Bytes(finder) => finder.needle().len(),
        }
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::Byte(byte) => memchr::memchr(*byte, bytes),
            Self::Bytes(finder) => finder.find(bytes),
        }
    }
}

impl Map {
    /// Where `pattern` first lies, counted from the start of the mapping. An empty pattern lies
    /// nowhere.
    #[must_use]
    pub fn find(&self, pattern: &[u8]) -> Option<usize> {
        Pattern::new(pattern).find(self)
    }

    /// Where `byte` first lies, counted from the start of the mapping.
    #[must_use]
    pub fn find_byte(&self, byte: u8) -> Option<usize> {
        memchr::memchr(byte, self)
    }

    /// Where `pattern` lies, counted from the start of the mapping; matches do not overlap.
    #[must_use]
    pub fn matches<'a>(&'a self, pattern: &'a [u8]) -> MapMatches<'a> {
        MapMatches { bytes: self, pattern: Pattern::new(pattern), from: 0 }
    }
}

/// The matches of a pattern in a [`Map`]; see [`Map::matches`].
#[derive(Debug)]
pub struct MapMatches<'a> {
    bytes: &'a [u8],
    pattern: Pattern<'a>,
    from: usize,
}

impl Iterator for MapMatches<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.from + self.pattern.find(&self.bytes[self.from..])?;
        self.from = at + self.pattern.len();
        Some(at)
    }
}

/// The matches of a pattern in a file, by [`Windows::matches`]. Ends after an error.
#[derive(Debug)]
pub struct Matches<'a, F> {
    windows: &'a mut Windows<F>,
    pattern: Pattern<'a>,
    /// The end of the last match.
    from: u64,
    ended: bool,
}

impl<'a, F: AsFd> Matches<'a, F> {
    pub(super) fn new(windows: &'a mut Windows<F>, pattern: &'a [u8]) -> Self {
        let pattern = Pattern::new(pattern);
        let ended = pattern.len() == 0;
        Self { windows, pattern, from: 0, ended }
    }

    /// The next match within the window that is shown.
    fn find(&mut self) -> Option<u64> {
        let (offset, bytes) = self.windows.shown();
        let skip = usize::try_from(self.from.saturating_sub(offset)).ok()?;
        let at = self.pattern.find(bytes.get(skip..)?)?;
        let at = offset + (skip + at) as u64;
        self.from = at + self.pattern.len() as u64;
        Some(at)
    }
}

impl<F: AsFd> Iterator for Matches<'_, F> {
    type Item = Result<u64, MapError>;

    fn next(&mut self) -> Option<Self::Item> {
        // A match that crosses a border lies whole in the next window; one that does not, cannot.
        let overlap = self.pattern.len().saturating_sub(1);
        while !self.ended {
            if let Some(at) = self.find() {
                return Some(Ok(at));
            }
            match self.windows.advance(overlap) {
                Ok(Some(_)) => {}
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
