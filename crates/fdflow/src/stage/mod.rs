//! Where bytes rest between source and sink: a buffer and a pipe, and nowhere else.

mod buffer;
mod pipe;
pub(crate) mod pool;

pub(crate) use buffer::Buffer;
pub(crate) use pipe::{NARROW, PipeStage, WIDE};

use crate::sys::Kernel;

/// The bytes taken and not yet given. Those in the buffer come before those in the pipe.
///
/// Both are made when first needed. Only what is empty is filled, so that order needs no more
/// bookkeeping than this: a route that is left hands its pipe over, full or not, and the bytes
/// leave through the buffer.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) buffer: Buffer,
    pub(crate) pipe: Option<PipeStage>,
}

impl Stage {
    #[inline]
    pub(crate) fn in_pipe(&self) -> u64 {
        self.pipe.as_ref().map_or(0, PipeStage::len)
    }

    /// Takes all bytes out, in order, and leaves the stage empty.
    pub(crate) fn take<K: Kernel>(&mut self, kernel: &K) -> Vec<u8> {
        let mut bytes = self.buffer.bytes().to_vec();
        self.buffer.consume(bytes.len());
        if let Some(pipe) = self.pipe.take() {
            pipe.take_into(kernel, &mut bytes);
        }
        bytes
    }

    /// Gives up what is empty.
    #[inline]
    pub(crate) fn rest(&mut self) {
        self.detach_pipe();
        self.buffer.rest();
    }

    /// Gives an empty pipe back to the pool.
    #[inline]
    pub(crate) fn detach_pipe(&mut self) {
        if self.in_pipe() == 0 {
            self.pipe = None;
        }
    }
}
