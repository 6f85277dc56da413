//! A stage in user space.

use std::cell::Cell;

thread_local! {
    /// The memory of a buffer that rests, for the next that is needed on this thread: a flow of
    /// small messages gives its own up after each of them, and zeroing costs more than a message.
    static SCRATCH: Cell<Box<[u8]>> = Cell::default();
}

/// A block of memory that is filled only when it is empty, and drained from its front.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    memory: Box<[u8]>,
    // No buffer is as large as 4 GiB.
    start: u32,
    end: u32,
}

impl Buffer {
    /// The bytes that wait to be given.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start as usize..self.end as usize]
    }

    /// The space to fill, at least `size` bytes; nothing while there are bytes left in it.
    ///
    /// The memory is zeroed once, when it is got, by the allocator; most of the time the kernel
    /// hands out zero pages and nothing is written.
    #[inline]
    pub(crate) fn space(&mut self, size: usize) -> &mut [u8] {
        if self.start < self.end {
            return &mut [];
        }
        if self.memory.len() < size {
            self.memory = SCRATCH.try_with(Cell::take).unwrap_or_default();
        }
        if self.memory.len() < size {
            self.memory = Box::default();
            self.memory = vec![0; size].into_boxed_slice();
        }
        (self.start, self.end) = (0, 0);
        &mut self.memory
    }

    /// Leaves the memory to the next buffer on this thread, if no bytes wait in it.
    #[inline]
    pub(crate) fn rest(&mut self) {
        if self.start < self.end || self.memory.is_empty() {
            return;
        }
        let memory = std::mem::take(&mut self.memory);
        // A thread that is ending keeps nothing.
        let _kept = SCRATCH.try_with(|scratch| {
            let other = scratch.take();
            scratch.set(if other.len() > memory.len() { other } else { memory });
        });
        (self.start, self.end) = (0, 0);
    }

    /// The first `n` bytes of the space have been filled.
    #[inline]
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = saturated(n.min(self.memory.len()));
    }

    /// The first `n` of the waiting bytes have been given.
    #[inline]
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = self.start.saturating_add(saturated(n)).min(self.end);
    }
}

fn saturated(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_filled_only_when_empty_and_drained_from_its_front() {
        let mut buffer = Buffer::default();
        buffer.space(8)[..3].copy_from_slice(b"abc");
        buffer.filled(3);
        assert!(buffer.space(8).is_empty());
        buffer.consume(1);
        assert_eq!(buffer.bytes(), b"bc");
        buffer.consume(2);
        assert_eq!(buffer.space(8).len(), 8);
        assert_eq!(buffer.space(16).len(), 16);
    }

    #[test]
    fn one_that_rests_leaves_its_memory_to_the_next_and_never_its_bytes() {
        let mut buffer = Buffer::default();
        buffer.space(8)[..3].copy_from_slice(b"abc");
        buffer.filled(3);
        buffer.rest();
        assert_eq!(buffer.bytes(), b"abc");
        buffer.consume(3);
        let at = buffer.memory.as_ptr();
        buffer.rest();
        assert!(buffer.memory.is_empty() && buffer.bytes().is_empty());
        let mut next = Buffer::default();
        assert_eq!((next.space(8).as_ptr(), next.bytes()), (at, &b""[..]));
    }
}
