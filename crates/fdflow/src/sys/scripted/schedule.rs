//! A transfer on a scripted kernel, made of bytes.

use std::ops::Range;
use std::time::Duration;

use super::setup::{Setup, Told};
use crate::kind::Kind;
use crate::policy::{Policy, Sparse, Stability};
use crate::route::{Route, Routes};

/// Two ends, a policy and a script. Any bytes make one; no bytes at all make an empty file's copy
/// by a kernel in good health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The two ends.
    pub setup: Setup,
    /// What the transfer may do.
    pub policy: Policy,
    /// The limit that the source has of itself.
    pub source_limit: Option<u64>,
    /// The call at which the transfer is cancelled.
    pub cancel_at: Option<u64>,
    /// What the kernel answers.
    pub script: Vec<u8>,
}

const KINDS: [Kind; 16] = [
    Kind::File,
    Kind::Tcp,
    Kind::Pipe,
    Kind::Unix,
    Kind::User,
    Kind::Tty,
    Kind::Device,
    Kind::Block,
    Kind::Stream,
    // Those that most routes are for, more often.
    Kind::File,
    Kind::Tcp,
    Kind::Pipe,
    Kind::File,
    Kind::Tcp,
    Kind::Pipe,
    Kind::File,
];
const SIZES: [u64; 16] = [
    0, 1, 100, 4096, 5000, 9000, 12_288, 16_384, 16_385, 20_000, 33_000, 65_536, 70_001, 150_000,
    280_000, 400_000,
];
const SEGMENTS: [&[u64]; 8] = [
    &[1448],
    &[1, 1, 1, 5000],
    &[100],
    &[4096],
    &[40_000],
    &[70_000, 33_000, 3],
    &[65_536, 65_536, 1, 1, 1, 1, 1, 1, 1, 1, 1],
    &[17],
];

/// Bytes, and zeros after them.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.next()) % from.len()]
    }

    /// Something from 0 to about `most`, its borders more often than the rest.
    fn upto(&mut self, most: u64) -> u64 {
        match self.next() {
            0 => 0,
            255 => most,
            254 => most.saturating_sub(1),
            byte => (most * u64::from(byte) / 253).min(most),
        }
    }

    fn bit(flags: u8, bit: u8) -> bool {
        flags & (1 << bit) != 0
    }
}

impl Schedule {
    /// What `bytes` stand for.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let mut bytes = Bytes(bytes);
        let (mut setup, odd) = ends(&mut bytes);
        let (policy, source_limit) = policy(&mut bytes, setup.size, odd);
        setup.most = setup.most.min(policy.chunk as u64);
        let cancel_at = match bytes.next() {
            byte @ 192.. => Some(u64::from(byte - 191)),
            _ => None,
        };
        let script = bytes.0.to_vec();
        Self { setup, policy, source_limit, cancel_at, script }
    }
}

/// The two ends, and flags for the policy.
fn ends(bytes: &mut Bytes<'_>) -> (Setup, u8) {
    let (source, sink) = (bytes.pick(&KINDS), bytes.pick(&KINDS));
    let size = bytes.pick(&SIZES);
    let (flags, odd) = (bytes.next(), bytes.next());
    let set = |bit| Bytes::bit(flags, bit);
    let mut setup = Setup {
        source,
        sink,
        size,
        source_nonblocking: set(0),
        sink_nonblocking: set(1),
        reflinks: set(2),
        segments: bytes.pick(&SEGMENTS).to_vec(),
        window: bytes.pick(&[64 << 10, 1, 9, 1000, 5000, 20_000, 1 << 20]),
        slots: bytes.pick(&[16, 1, 2, 256]),
        stage_slots: bytes.pick(&[16, 1, 2, 256]),
        ..Setup::default()
    };
    if set(3) {
        setup.head = bytes.upto(size);
    }
    match source {
        Kind::File | Kind::Block => source_file(&mut setup, bytes, set(4)),
        _ => setup.open = set(5) && set(4),
    }
    if matches!(sink, Kind::File | Kind::Block) {
        sink_file(&mut setup, bytes, set(6), set(7) && sink == Kind::File);
    }
    zeros(&mut setup, bytes);
    // So many calls with a byte each would take long and show nothing new.
    let smallest = size / 150 + 1;
    setup.window = setup.window.max(smallest);
    setup.segments.iter_mut().for_each(|segment| *segment = (*segment).max(smallest));
    (setup, odd)
}

fn source_file(setup: &mut Setup, bytes: &mut Bytes<'_>, offset: bool) {
    setup.position = setup.head.max(bytes.upto(setup.size));
    if offset {
        setup.source_offset = Some(bytes.upto(setup.size + 10));
    }
    match bytes.next() {
        200.. => setup.told = Told::Zero,
        180..200 => setup.told = Told::More(4096),
        150..180 => setup.grows = 1000,
        _ => {}
    }
}

fn sink_file(setup: &mut Setup, bytes: &mut Bytes<'_>, offset: bool, append: bool) {
    setup.sink_length = bytes.upto(setup.size.min(20_000));
    setup.sink_position = bytes.upto(setup.sink_length + 5000);
    if bytes.next() & 1 == 0 {
        setup.sink_position &= !4095;
    }
    setup.append = append;
    // Where an appended file's bytes go is not for offsets to say.
    if offset && !append {
        setup.sink_offset = Some(bytes.upto(30_000));
    }
}

/// Holes and zeros, in blocks.
fn zeros(setup: &mut Setup, bytes: &mut Bytes<'_>) {
    let pattern = bytes.next();
    let range = |from: u64, to: u64| -> Range<u64> { from * 4096..to * 4096 };
    let ranges: &[Range<u64>] = match pattern % 8 {
        0..=3 => &[],
        4 => &[range(0, 1)],
        5 => &[range(1, 2), range(3, 6)],
        6 => &[range(2, 100)],
        _ => &[range(0, 2), range(5, 6), range(8, 30)],
    };
    let whole = ranges.iter().map(|range| range.start..range.end.min(setup.size));
    let ranges = whole.filter(|range| range.start < range.end).collect();
    if pattern & 8 != 0 && setup.source == Kind::File {
        setup.holes = ranges;
    } else {
        setup.zeros = ranges;
    }
}

/// The policy, and the source's own limit.
fn policy(bytes: &mut Bytes<'_>, size: u64, flags: u8) -> (Policy, Option<u64>) {
    let set = |bit| Bytes::bit(flags, bit);
    let mut policy = Policy { routes: Routes::all(), ..Policy::default() };
    let denied = bytes.next();
    if denied >= 128 {
        let named = Route::ALL.into_iter().enumerate().filter(|(i, _)| denied & (1 << i) != 0);
        policy.routes = named.fold(Routes::all(), |routes, (_, route)| routes.without(route));
    }
    let chunk = bytes.pick(&[8 << 20, 1000, 4096, 64 << 10, 1, usize::MAX, 10_000]);
    policy.chunk = chunk.max(usize::try_from(size / 100).unwrap_or(0));
    if set(0) {
        policy.limit = Some(bytes.upto(size + 1));
    }
    if set(1) {
        // Never reached: it is there so that blocking ends are polled.
        policy.idle_timeout = Some(Duration::from_secs(1 << 20));
    }
    if set(2) && set(3) {
        policy.stability = Stability::Snapshot;
    }
    policy.sparse = match (set(4), set(5)) {
        (true, true) => Sparse::Always,
        (true, false) => Sparse::Never,
        _ => Sparse::Auto,
    };
    let source_limit = (set(6) && set(7)).then(|| bytes.upto(size + 1));
    (policy, source_limit)
}
