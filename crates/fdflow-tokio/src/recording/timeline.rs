//! Where which bytes of a stream are: stretches of files, in order, with gaps between them.

use std::collections::VecDeque;
use std::sync::Arc;

/// A stretch of the stream that lies in one file in one piece.
#[derive(Debug)]
struct Extent<F> {
    /// Its first byte, counted from the first of the stream.
    at: u64,
    length: u64,
    file: Arc<F>,
    /// Where that byte is in the file.
    offset: u64,
}

impl<F> Extent<F> {
    fn end(&self) -> u64 {
        self.at + self.length
    }
}

/// What is at some place of the stream.
#[derive(Debug)]
pub(super) enum Found<F> {
    /// So many bytes from there on, in this file at that offset.
    Bytes { file: Arc<F>, offset: u64, length: u64 },
    /// Nothing up to there.
    Missing { until: u64 },
    /// The end, as far as the stream has come.
    End,
}

/// All stretches that are kept.
#[derive(Debug)]
pub(super) struct Timeline<F> {
    extents: VecDeque<Extent<F>>,
    end: u64,
}

impl<F> Timeline<F> {
    /// Nothing is kept of a stream that has come to `end`.
    pub(super) fn at(end: u64) -> Self {
        Self { extents: VecDeque::new(), end }
    }

    /// How far the stream has come, kept or not.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The first byte that is kept; the end, if none is.
    pub(super) fn start(&self) -> u64 {
        self.extents.front().map_or(self.end, |extent| extent.at)
    }

    /// The stream has come so far; what was not entered is missing.
    pub(super) fn advance(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// The next bytes are at `at` and in this file; what lies between the end and `at` is missing.
    pub(super) fn append(&mut self, at: u64, length: u64, file: &Arc<F>, offset: u64) {
        if length == 0 {
            return;
        }
        self.end = at + length;
        if let Some(last) = self.extents.back_mut()
            && Arc::ptr_eq(&last.file, file)
            && last.end() == at
            && last.offset + last.length == offset
        {
            last.length += length;
            return;
        }
        self.extents.push_back(Extent { at, length, file: Arc::clone(file), offset });
    }

    pub(super) fn find(&self, at: u64) -> Found<F> {
        let next = self.extents.partition_point(|extent| extent.end() <= at);
        match self.extents.get(next) {
            Some(extent) if extent.at <= at => Found::Bytes {
                file: Arc::clone(&extent.file),
                offset: extent.offset + (at - extent.at),
                length: extent.end() - at,
            },
            Some(extent) => Found::Missing { until: extent.at },
            None if at < self.end => Found::Missing { until: self.end },
            None => Found::End,
        }
    }

    /// The first `length` bytes of the stretch that begins at `at` are in this file from now on.
    pub(super) fn move_to(&mut self, at: u64, length: u64, file: &Arc<F>, offset: u64) {
        let Ok(place) = self.extents.binary_search_by_key(&at, |extent| extent.at) else { return };
        let moved = &mut self.extents[place];
        let length = length.min(moved.length);
        moved.at += length;
        moved.offset += length;
        moved.length -= length;
        if moved.length == 0 {
            self.extents.remove(place);
        }
        let before = place.checked_sub(1).and_then(|before| self.extents.get_mut(before));
        match before {
            Some(before)
                if Arc::ptr_eq(&before.file, file)
                    && before.end() == at
                    && before.offset + before.length == offset =>
            {
                before.length += length;
            }
            _ => {
                let extent = Extent { at, length, file: Arc::clone(file), offset };
                self.extents.insert(place, extent);
            }
        }
    }

    /// What is in this file is not kept any more.
    pub(super) fn remove(&mut self, file: &Arc<F>) {
        self.extents.retain(|extent| !Arc::ptr_eq(&extent.file, file));
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
