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

    /// How many bytes are kept.
    #[cfg(test)]
    fn kept(&self) -> u64 {
        self.extents.iter().map(|extent| extent.length).sum()
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
mod tests {
    use super::*;

    fn found(timeline: &Timeline<&'static str>, at: u64) -> String {
        match timeline.find(at) {
            Found::Bytes { file, offset, length } => format!("{file} {offset}+{length}"),
            Found::Missing { until } => format!("missing until {until}"),
            Found::End => "end".to_owned(),
        }
    }

    #[test]
    fn bytes_are_found_where_they_were_put() {
        let (a, b) = (Arc::new("a"), Arc::new("b"));
        let mut timeline = Timeline::at(0);
        assert_eq!((found(&timeline, 0).as_str(), timeline.start()), ("end", 0));
        timeline.append(0, 10, &a, 0);
        timeline.append(10, 5, &a, 10);
        timeline.append(15, 5, &b, 0);
        assert_eq!(found(&timeline, 0), "a 0+15");
        assert_eq!(found(&timeline, 14), "a 14+1");
        assert_eq!(found(&timeline, 15), "b 0+5");
        assert_eq!((found(&timeline, 20).as_str(), timeline.end()), ("end", 20));
        timeline.append(30, 5, &b, 5);
        assert_eq!(found(&timeline, 20), "missing until 30");
        assert_eq!(found(&timeline, 31), "b 6+4");
        timeline.remove(&a);
        assert_eq!((found(&timeline, 3).as_str(), timeline.start()), ("missing until 15", 15));
    }

    #[test]
    fn what_was_in_memory_is_in_a_file_later_in_one_piece_with_it() {
        let (disk, memory) = (Arc::new("disk"), Arc::new("memory"));
        let mut timeline = Timeline::at(0);
        timeline.append(0, 10, &disk, 0);
        timeline.append(10, 10, &memory, 0);
        timeline.move_to(10, 4, &disk, 10);
        assert_eq!(found(&timeline, 0), "disk 0+14");
        assert_eq!(found(&timeline, 14), "memory 4+6");
        timeline.move_to(14, 6, &disk, 14);
        assert_eq!((found(&timeline, 0).as_str(), timeline.kept()), ("disk 0+20", 20));
        timeline.append(20, 1, &memory, 0);
        timeline.remove(&memory);
        assert_eq!((timeline.end(), found(&timeline, 20).as_str()), (21, "missing until 21"));
        // What was dropped meanwhile cannot be moved.
        timeline.move_to(20, 1, &disk, 20);
        assert_eq!(timeline.kept(), 20);
    }
}
