//! Reminding the allocator of what it holds.
//!
//! It gives pages back to the system some time after they are free, but looks only when it is called
//! for much; in a thread where nothing goes on it never would.

/// After so many connections have given memory back it is reminded.
const MANY: usize = 32;
/// At so many looks.
const TIMES: u8 = 8;

/// Counts what a thread's connections have given back.
#[derive(Debug, Default)]
pub(crate) struct Reminder {
    given_back: usize,
    left: u8,
}

impl Reminder {
    /// Whether it has to remind at a look to come.
    pub(crate) fn is_due(&self) -> bool {
        self.left > 0
    }

    /// A look found that so many connections give memory back.
    pub(crate) fn looked(&mut self, given_back: usize) {
        self.given_back += given_back;
        if self.given_back >= MANY {
            (self.given_back, self.left) = (0, TIMES);
        } else if self.is_due() {
            self.left -= 1;
            drop(std::hint::black_box(Vec::<u8>::with_capacity(8 << 20)));
        }
    }
}
