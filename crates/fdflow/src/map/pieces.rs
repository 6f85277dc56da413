//! Pieces of a file, mapped or copied, for what looks at one after the other.
#![allow(unsafe_code, reason = "a mapping of a file that may change is")]

use std::ops::Range;
use std::os::fd::BorrowedFd;

use super::error::MapError;
use super::options::MapOptions;
use super::read_only::Map;
use super::target;

/// By what right a file is mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// The caller of an unsafe function has promised that it does not change.
    Promised,
    /// The kernel keeps it from changing, and is asked each time.
    Sealed,
}

/// Maps `range` of a file that was `before` bytes long.
pub(super) fn map(
    file: BorrowedFd<'_>,
    right: Right,
    range: Range<u64>,
    before: u64,
) -> Result<Map, MapError> {
    target::still(file, range.clone(), before)?;
    let length = target::within(range.end, range.start, usize::MAX)?;
    let options = MapOptions::new().offset(range.start).length(length);
    let map = match right {
        // SAFETY: `Promised` comes from the caller of an unsafe function, who promised it.
        Right::Promised => unsafe { options.map(file) },
        Right::Sealed => options.map_sealed(file),
    }?;
    if map.len() < length {
        let now = range.start + map.len() as u64;
        return Err(MapError::Shrunk { at: now, before, now });
    }
    Ok(map)
}

/// The piece of a file that is looked at.
#[derive(Debug)]
pub(super) enum Piece {
    Mapped {
        right: Right,
        map: Option<Map>,
    },
    Copied {
        buffer: Vec<u8>,
        /// What of the file is at the front of the buffer.
        held: Range<u64>,
    },
}

impl Piece {
    pub(super) fn mapped(right: Right) -> Self {
        Self::Mapped { right, map: None }
    }

    pub(super) fn copied() -> Self {
        Self::Copied { buffer: Vec::new(), held: 0..0 }
    }

    /// The bytes that are looked at; none before the first [`show`](Self::show).
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped { map, .. } => map.as_deref().unwrap_or_default(),
            Self::Copied { buffer, held } => {
                let n = usize::try_from(held.end - held.start).unwrap_or(0);
                &buffer[..n]
            }
        }
    }

    /// Looks at `range` of a file that was `before` bytes long.
    pub(super) fn show(
        &mut self,
        file: BorrowedFd<'_>,
        range: Range<u64>,
        before: u64,
    ) -> Result<(), MapError> {
        match self {
            Self::Mapped { right, map } => {
                // Unmapped first, so that there are never two.
                *map = None;
                *map = Some(self::map(file, *right, range, before)?);
            }
            Self::Copied { buffer, held } => copy(file, buffer, held, range, before)?,
        }
        Ok(())
    }

    /// Lets go of what is looked at.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Mapped { map, .. } => *map = None,
            Self::Copied { held, .. } => *held = 0..0,
        }
    }
}

/// Reads `range` into the buffer; what of it is there already is not read again.
fn copy(
    file: BorrowedFd<'_>,
    buffer: &mut Vec<u8>,
    held: &mut Range<u64>,
    range: Range<u64>,
    before: u64,
) -> Result<(), MapError> {
    let length = target::within(range.end, range.start, usize::MAX)?;
    let mut n = 0;
    if held.contains(&range.start) {
        let skip = usize::try_from(range.start - held.start).unwrap_or(usize::MAX);
        n = usize::try_from(held.end - range.start).unwrap_or(0).min(length);
        buffer.copy_within(skip..skip + n, 0);
    }
    *held = range.start..range.start + n as u64;
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    target::read_known(file, &mut buffer[n..length], held.end, before)?;
    *held = range;
    Ok(())
}
