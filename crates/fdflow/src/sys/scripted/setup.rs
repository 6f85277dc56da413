//! What a simulation begins with.

use std::collections::VecDeque;
use std::ops::Range;

use super::objects::{Demand, Supply};
use crate::kind::Kind;

/// The kernel's own bound for one call.
const CALL_MAX: u64 = 0x7fff_f000;

/// What a file's `stat` says of its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Told {
    /// The truth.
    #[default]
    Truth,
    /// Nothing, as for the files of procfs.
    Zero,
    /// So much more than there is, as for the files of sysfs.
    More(u64),
}

/// The two ends of a simulation, and what is between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// What the source is.
    pub source: Kind,
    /// What the sink is.
    pub sink: Kind,
    /// Whether the source has `O_NONBLOCK`.
    pub source_nonblocking: bool,
    /// Whether the sink has `O_NONBLOCK`.
    pub sink_nonblocking: bool,
    /// All bytes of the source, those before a file's position included.
    pub size: u64,
    /// The pieces in which bytes arrive at a stream, again and again.
    pub segments: Vec<u64>,
    /// The position of a source file's descriptor.
    pub position: u64,
    /// The explicit offset that the transfer is given.
    pub source_offset: Option<u64>,
    /// The explicit offset that the transfer is given.
    pub sink_offset: Option<u64>,
    /// So many bytes before a file's position, or at a stream's beginning, have been read ahead.
    pub head: u64,
    /// Bytes that a sink file has.
    pub sink_length: u64,
    /// The position of a sink file's descriptor.
    pub sink_position: u64,
    /// Whether the sink has `O_APPEND`.
    pub append: bool,
    /// The send buffer of a sink that is a socket or a terminal.
    pub window: u64,
    /// The slots of a sink that is a pipe.
    pub slots: usize,
    /// The slots of the pipes that are asked for.
    pub stage_slots: usize,
    /// The source file's holes.
    pub holes: Vec<Range<u64>>,
    /// Zeros in the source besides.
    pub zeros: Vec<Range<u64>>,
    /// What the source file's length is said to be.
    pub told: Told,
    /// The source file grows by so much before it is first read at its end.
    pub grows: u64,
    /// Whether the filesystem can share blocks.
    pub reflinks: bool,
    /// Whether the source never ends: it goes silent.
    pub open: bool,
    /// The most that a call may be asked to move.
    pub most: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            source: Kind::File,
            sink: Kind::File,
            source_nonblocking: false,
            sink_nonblocking: false,
            size: 0,
            segments: vec![1448],
            position: 0,
            source_offset: None,
            sink_offset: None,
            head: 0,
            sink_length: 0,
            sink_position: 0,
            append: false,
            window: 64 << 10,
            slots: 16,
            stage_slots: 16,
            holes: vec![],
            zeros: vec![],
            told: Told::Truth,
            grows: 0,
            reflinks: false,
            open: false,
            most: CALL_MAX,
        }
    }
}

impl Setup {
    /// The place in the source of the transfer's first byte.
    pub(super) fn first(&self) -> u64 {
        if self.source.is_seekable() {
            self.source_offset.unwrap_or(self.position.saturating_sub(self.head))
        } else {
            0
        }
    }

    /// The offset in a sink file of the transfer's first byte.
    pub(super) fn sink_start(&self) -> u64 {
        if self.append { self.sink_length } else { self.sink_offset.unwrap_or(self.sink_position) }
    }

    pub(super) fn supply(&self) -> Supply {
        if self.source.is_seekable() {
            let (holes, grows) = (self.holes.clone(), self.grows);
            return Supply::File { length: self.size, position: self.position, holes, grows };
        }
        let (mut coming, mut left) = (VecDeque::new(), self.size.saturating_sub(self.head));
        let mut segments = self.segments.iter().copied().cycle();
        while left > 0 {
            let segment = segments.next().unwrap_or(left).clamp(1, left);
            coming.push_back(segment);
            left -= segment;
        }
        Supply::Queue { next: self.head, here: VecDeque::new(), coming, open: self.open }
    }

    pub(super) fn demand(&self) -> Demand {
        match self.sink {
            Kind::File | Kind::Block => Demand::File {
                length: self.sink_length,
                position: self.sink_position,
                append: self.append,
            },
            Kind::Pipe => Demand::Slots { held: VecDeque::new(), slots: self.slots.max(1) },
            _ => Demand::Window { room: self.window.max(1), size: self.window.max(1) },
        }
    }

    /// What `stat` says of a source file that has `length` bytes.
    pub(super) fn told(&self, length: u64) -> u64 {
        match self.told {
            Told::Truth => length,
            Told::Zero => 0,
            Told::More(n) => length + n,
        }
    }
}
