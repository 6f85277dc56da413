//! What the descriptors of [`plumbing`](super::plumbing) refer to.

use std::collections::VecDeque;

use crate::kind::Kind;

/// A pipe, or a sink that is none: a socket or a device.
#[derive(Debug)]
pub(super) struct Vessel {
    pub(super) kind: Kind,
    pub(super) fds: [i32; 2],
    pub(super) slots: usize,
    pub(super) held: VecDeque<Vec<u8>>,
    /// What its writer, if that is not the caller, has still to put in, piece by piece.
    pub(super) coming: Option<VecDeque<Vec<u8>>>,
    /// What its reader, if that is not the caller, has got; it goes away after so many.
    pub(super) got: Option<Vec<u8>>,
    pub(super) leaves_after: usize,
}

impl Vessel {
    pub(super) fn len(&self) -> usize {
        self.held.iter().map(Vec::len).sum()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.got.as_ref().is_some_and(|got| got.len() >= self.leaves_after)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.held.is_empty() && self.coming.as_ref().is_some_and(VecDeque::is_empty)
    }

    pub(super) fn has_room(&self) -> bool {
        self.kind == Kind::Device || self.held.len() < self.slots || self.is_broken()
    }

    pub(super) fn free(&self) -> usize {
        if self.kind == Kind::Device {
            usize::MAX
        } else {
            self.slots.saturating_sub(self.held.len())
        }
    }

    /// The first `n` bytes as they lie in slots, at most `slots` of them.
    pub(super) fn head(&self, n: usize, slots: usize) -> Vec<Vec<u8>> {
        let (mut pieces, mut left) = (Vec::new(), n);
        for piece in self.held.iter().take(slots) {
            let piece = &piece[..piece.len().min(left)];
            if piece.is_empty() {
                break;
            }
            left -= piece.len();
            pieces.push(piece.to_vec());
        }
        pieces
    }

    pub(super) fn take(&mut self, mut n: usize) {
        while n > 0
            && let Some(front) = self.held.front_mut()
        {
            let part = n.min(front.len());
            front.drain(..part);
            n -= part;
            if front.is_empty() {
                self.held.pop_front();
            }
        }
    }

    /// Time passes at its far ends. Whether anything has changed.
    pub(super) fn progress(&mut self, share: usize) -> bool {
        let mut changed = false;
        if self.held.len() < self.slots
            && let Some(piece) = self.coming.as_mut().and_then(VecDeque::pop_front)
        {
            self.held.push_back(piece);
            changed = true;
        }
        let n = (self.len() / share.max(1)).max(1).min(self.len());
        let head = self.head(n, usize::MAX).concat();
        if let Some(got) = &mut self.got
            && got.len() < self.leaves_after
        {
            let n = head.len().min(self.leaves_after - got.len());
            got.extend_from_slice(&head[..n]);
            self.take(n);
            changed |= n > 0;
        }
        changed
    }
}
