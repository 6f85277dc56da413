//! What the schedules of mirrors and fan-outs are made of.

/// Bytes of a schedule, and zeros after them.
pub(crate) struct Picks<'a>(pub(crate) &'a [u8]);

impl Picks<'_> {
    /// One of these; the first where the bytes have run out.
    pub(crate) fn of<T: Copy>(&mut self, from: &[T]) -> T {
        let Some((first, rest)) = self.0.split_first() else { return from[0] };
        self.0 = rest;
        from[usize::from(*first) % from.len()]
    }
}

/// `n` bytes without a period that a lost or repeated piece could hide in.
pub(crate) fn noise(n: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    std::iter::repeat_with(next).take(n).collect()
}
