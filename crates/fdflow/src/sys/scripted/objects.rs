//! What simulated descriptors refer to.
//!
//! Bytes are known by their place in the source. Inside the simulated kernel only places move, so
//! that gigabytes cost nothing; where bytes pass through user space they are made from their
//! places on the way out and compared with them on the way in.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::OnceLock;

/// What one slot of a pipe holds at most where bytes come from a file or from user space.
pub(super) const PAGE: u64 = 4096;

/// Bytes that lie side by side in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) len: u64,
}

pub(super) fn total(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.len).sum()
}

/// What the byte at each place of the source is.
#[derive(Debug, Default)]
pub(super) struct Data {
    zeros: Vec<Range<u64>>,
}

/// A prime, so that no block size hides in the period.
const PERIOD: usize = 65_521;

/// Never zero: zeros are only where they were ordered.
fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3] | 1
        };
        std::iter::repeat_with(next).take(PERIOD).collect()
    })
}

impl Data {
    pub(super) fn new(mut zeros: Vec<Range<u64>>) -> Self {
        zeros.sort_by_key(|range| range.start);
        Self { zeros }
    }

    /// The bytes from place `at` on.
    pub(super) fn copy(&self, at: u64, out: &mut [u8]) {
        let period = PERIOD as u64;
        let mut done = 0;
        while done < out.len() {
            let from = index((at + done as u64) % period);
            let n = (PERIOD - from).min(out.len() - done);
            out[done..done + n].copy_from_slice(&noise()[from..from + n]);
            done += n;
        }
        let end = at + out.len() as u64;
        for range in &self.zeros {
            let (start, end) = (range.start.max(at), range.end.min(end));
            if start < end {
                out[index(start - at)..index(end - at)].fill(0);
            }
        }
    }

    /// Whether `bytes` are those from place `at` on.
    pub(super) fn is(&self, at: u64, bytes: &[u8]) -> bool {
        let mut right = vec![0; bytes.len()];
        self.copy(at, &mut right);
        right == bytes
    }

    pub(super) fn is_zero(&self, mut range: Range<u64>) -> bool {
        for zeros in &self.zeros {
            if zeros.contains(&range.start) {
                range.start = zeros.end;
            }
        }
        range.start >= range.end
    }
}

/// `n` as an index; nothing that is indexed here is larger than memory.
pub(super) fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Where bytes come from.
#[derive(Debug)]
pub(super) enum Supply {
    File {
        length: u64,
        position: u64,
        holes: Vec<Range<u64>>,
        /// Grows by so much when its length is asked for again.
        grows: u64,
    },
    /// A socket, a pipe, a terminal: pieces that have arrived, and pieces that will.
    Queue { next: u64, here: VecDeque<u64>, coming: VecDeque<u64>, open: bool },
}

impl Supply {
    /// Whether a read would return at once, be it with 0 for the end.
    pub(super) fn ready(&self) -> bool {
        match self {
            Self::File { .. } => true,
            Self::Queue { here, coming, open, .. } => {
                !here.is_empty() || (coming.is_empty() && !open)
            }
        }
    }

    /// A file that is about to grow does so when it is read at its end.
    pub(super) fn grow(&mut self, at: Option<u64>) {
        if let Self::File { length, position, grows, .. } = self
            && at.unwrap_or(*position) >= *length
        {
            *length += std::mem::take(grows);
        }
    }

    /// Time passes: the next piece arrives. `false`: nothing more ever will.
    pub(super) fn progress(&mut self) -> bool {
        let Self::Queue { here, coming, .. } = self else { return false };
        let next = coming.pop_front();
        here.extend(next);
        next.is_some()
    }

    /// At most `n` bytes that could be taken now, in as many pieces as slots; one without slots.
    pub(super) fn peek(&self, at: Option<u64>, n: u64, slots: Option<usize>) -> Vec<Piece> {
        match self {
            Self::File { length, position, .. } => {
                let start = at.unwrap_or(*position);
                cut(start, n.min(length.saturating_sub(start)), slots)
            }
            Self::Queue { next, here, .. } => {
                let here = here.iter().take(slots.unwrap_or(usize::MAX));
                let (mut pieces, mut left) = (Vec::new(), n);
                for len in here.copied() {
                    let len = len.min(left);
                    let start = next + (n - left);
                    left -= len;
                    match pieces.last_mut() {
                        Some(Piece { len: before, .. }) if slots.is_none() => *before += len,
                        _ if len > 0 => pieces.push(Piece { start, len }),
                        _ => {}
                    }
                }
                pieces
            }
        }
    }

    /// Takes the `n` bytes that were looked at.
    pub(super) fn take(&mut self, at: Option<u64>, n: u64) {
        match self {
            Self::File { position, .. } if at.is_none() => *position += n,
            Self::File { .. } => {}
            Self::Queue { next, here, .. } => {
                *next += n;
                drop_front(here, n);
            }
        }
    }

    /// The place after the last byte that there will ever be.
    pub(super) fn end(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Queue { next, here, coming, .. } => next + here.iter().chain(coming).sum::<u64>(),
        }
    }
}

/// A file's bytes as a pipe takes them: a page a slot.
fn cut(start: u64, n: u64, slots: Option<usize>) -> Vec<Piece> {
    let Some(slots) = slots else {
        return if n > 0 { vec![Piece { start, len: n }] } else { vec![] };
    };
    let (mut pieces, mut at) = (Vec::new(), start);
    while at < start + n && pieces.len() < slots {
        let len = (PAGE - at % PAGE).min(start + n - at);
        pieces.push(Piece { start: at, len });
        at += len;
    }
    pieces
}

fn drop_front(lens: &mut VecDeque<u64>, mut n: u64) {
    while n > 0
        && let Some(front) = lens.front_mut()
    {
        let part = n.min(*front);
        *front -= part;
        n -= part;
        if *front == 0 {
            lens.pop_front();
        }
    }
}

/// Where bytes go.
#[derive(Debug)]
pub(super) enum Demand {
    File {
        length: u64,
        position: u64,
        append: bool,
    },
    /// A socket or a terminal: so many bytes fit now, `size` when its peer has read everything.
    Window {
        room: u64,
        size: u64,
    },
    /// A pipe: slots, however little is in each.
    Slots {
        held: VecDeque<u64>,
        slots: usize,
    },
}

impl Demand {
    /// Whether poll calls it writable. A socket is not for the last third of its buffer.
    pub(super) fn ready(&self) -> bool {
        match self {
            Self::File { .. } => true,
            Self::Window { room, size } => *room > 0 && *room >= size / 3,
            Self::Slots { held, slots } => held.len() < *slots,
        }
    }

    /// Time passes: the peer reads about the `share`th part of what is there.
    pub(super) fn progress(&mut self, share: u64) -> bool {
        match self {
            Self::File { .. } => false,
            Self::Window { room, size } => {
                let before = *room;
                *room = (*room + (*size / share).max(1)).min(*size);
                *room > before
            }
            Self::Slots { held, .. } => {
                let n = held.iter().sum::<u64>();
                drop_front(held, (n / share).max(1));
                n > 0
            }
        }
    }

    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Window { room, .. } => *room > 0,
            other => other.ready(),
        }
    }

    /// The slots that are free, where slots are what counts.
    pub(super) fn free_slots(&self) -> Option<usize> {
        match self {
            Self::Slots { held, slots } => Some(slots - held.len()),
            _ => None,
        }
    }

    /// How many of `n` bytes from user space, or from a pipe into what is no pipe, fit now.
    pub(super) fn fits(&self, n: u64) -> u64 {
        match self {
            Self::File { .. } => n,
            Self::Window { room, .. } => n.min(*room),
            Self::Slots { held, slots } => n.min((slots - held.len()) as u64 * PAGE),
        }
    }

    /// Bytes arrive in such pieces. Says at which offset of a file.
    pub(super) fn put(&mut self, at: Option<u64>, pieces: &[Piece]) -> Option<u64> {
        let n = total(pieces);
        match self {
            Self::File { length, position, append } => {
                let start = if *append { *length } else { at.unwrap_or(*position) };
                *length = (*length).max(start + n);
                if at.is_none() {
                    *position = start + n;
                }
                Some(start)
            }
            Self::Window { room, .. } => {
                *room -= n.min(*room);
                None
            }
            Self::Slots { held, .. } => {
                held.extend(pieces.iter().map(|piece| piece.len));
                None
            }
        }
    }
}

/// Bytes from user space as a pipe takes them.
pub(super) fn pages(start: u64, n: u64) -> Vec<Piece> {
    let starts = (0..n.div_ceil(PAGE)).map(|page| page * PAGE);
    starts.map(|at| Piece { start: start + at, len: PAGE.min(n - at) }).collect()
}

/// A pipe that the library asked for.
#[derive(Debug)]
pub(super) struct Staged {
    pub(super) reader: i32,
    pub(super) writer: i32,
    pub(super) held: VecDeque<Piece>,
    pub(super) slots: usize,
}

impl Staged {
    pub(super) fn len(&self) -> u64 {
        self.held.iter().map(|piece| piece.len).sum()
    }

    pub(super) fn peek(&self, n: u64) -> Vec<Piece> {
        let (mut pieces, mut left) = (Vec::new(), n);
        for piece in &self.held {
            let len = piece.len.min(left);
            if len == 0 {
                break;
            }
            pieces.push(Piece { len, ..*piece });
            left -= len;
        }
        pieces
    }

    pub(super) fn take(&mut self, mut n: u64) {
        while n > 0
            && let Some(front) = self.held.front_mut()
        {
            let part = n.min(front.len);
            front.start += part;
            front.len -= part;
            n -= part;
            if front.len == 0 {
                self.held.pop_front();
            }
        }
    }
}
