//! A stage in user space.

/// A block of memory that is filled only when it is empty, and drained from its front.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes that wait to be given.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }

    /// The space to fill, at least `size` bytes; nothing while there are bytes left in it.
    ///
    /// The memory is zeroed once, when it is got, by the allocator; most of the time the kernel
    /// hands out zero pages and nothing is written.
    pub(crate) fn space(&mut self, size: usize) -> &mut [u8] {
        if self.start < self.end {
            return &mut [];
        }
        if self.memory.len() < size {
            self.memory = Box::default();
            self.memory = vec![0; size].into_boxed_slice();
        }
        (self.start, self.end) = (0, 0);
        &mut self.memory
    }

    /// The first `n` bytes of the space have been filled.
    pub(crate) fn filled(&mut self, n: usize) {
        self.end = n.min(self.memory.len());
    }

    /// The first `n` of the waiting bytes have been given.
    pub(crate) fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
    }
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
}
