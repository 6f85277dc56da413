//! Every pair of real descriptors, against what a naive copy would have done.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test binary: panics are its failures")]

#[path = "support/kinds.rs"]
mod kinds;
#[path = "support/observed.rs"]
mod observed;
mod support;

use std::thread;

use fdflow::{Report, Transfer};
use kinds::{Catch, Feed, Input, Output, SINKS, SOURCES, SinkKind, SourceKind};
use observed::{Case, State, same};
use support::{Room, descriptors, moved, pattern};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const SIZES: [usize; 7] = [0, 1, 4095, 64 * KIB - 1, 64 * KIB + 1, MIB - 1, MIB + 1];

/// How a transfer is limited, compared with what its source gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    None,
    Exact,
    Half,
    Beyond,
}

impl Limit {
    const ALL: [Self; 4] = [Self::None, Self::Exact, Self::Half, Self::Beyond];

    fn of(self, gives: usize) -> Option<u64> {
        let limit = match self {
            Self::None => return None,
            Self::Exact => gives,
            Self::Half => gives / 2,
            Self::Beyond => gives + 1000,
        };
        Some(limit as u64)
    }

    /// Whether it ends a transfer from a source that has no end of its own.
    fn ends(self) -> bool {
        matches!(self, Self::Exact | Self::Half)
    }
}

#[test]
fn from_files() {
    each_pair_of(&["file", "tmpfs", "memfd"]);
}

#[test]
fn from_wrapped_files_and_memory() {
    each_pair_of(&["buffered", "take", "memory"]);
}

#[test]
fn from_pipes() {
    each_pair_of(&["pipe", "pipe-nb"]);
}

#[test]
fn from_tcp() {
    each_pair_of(&["tcp", "tcp6", "tcp-nb"]);
}

#[test]
fn from_unix_sockets() {
    each_pair_of(&["unix", "unix-nb"]);
}

#[test]
fn from_terminals_and_devices() {
    each_pair_of(&["tty", "tty-nb", "/dev/zero"]);
}

#[test]
fn from_procfs() {
    each_pair_of(&["/proc/version", "/proc/self/limits"]);
}

#[test]
fn every_source_kind_is_in_one_of_the_tests_above() {
    let here = include_str!("pairs.rs");
    for source in SOURCES {
        assert!(here.contains(&format!("\"{}\"", source.name)), "{}", source.name);
    }
}

fn each_pair_of(names: &[&str]) {
    let _room = Room::enter();
    let input = pattern(MIB + 1, 1);
    for name in names {
        let source = SOURCES.iter().find(|source| source.name == *name).unwrap();
        let sizes = if source.any_bytes { &SIZES[..] } else { &SIZES[..1] };
        let limits = Limit::ALL.into_iter().filter(|limit| source.ends || limit.ends());
        for sink in SINKS {
            let case = Case(format!("{name} -> {}", sink.name));
            fdflow::clear_pool();
            let before = descriptors().len();
            for (size, limit) in sizes.iter().flat_map(|n| limits.clone().map(move |l| (*n, l))) {
                let _case = Case(format!("{}, {size} bytes, limit {limit:?}", case.0));
                check(source, sink, &input[..size], limit);
            }
            fdflow::clear_pool();
            assert_eq!(descriptors().len(), before, "descriptors left: {:?}", descriptors());
        }
    }
}

/// One transfer, and everything that can be known of it afterwards.
fn check(source: &SourceKind, sink: &SinkKind, input: &[u8], limit: Limit) {
    thread::scope(|scope| {
        let Feed { mut input, bytes, gives, start, feeder } = (source.open)(input);
        let Catch { mut output, head, collector } = (sink.open)();
        let feeder = feeder.map(|feed| scope.spawn(feed));
        let collector = collector.map(|collect| scope.spawn(collect));
        let limit = limit.of(gives);
        let (was, to_was) = (State::of(input.descriptor()), State::of(output.descriptor()));
        let Ran { report, undelivered, whole } = transfer(&mut *input, &mut *output, limit);

        let given = usize::try_from(report.bytes()).unwrap();
        let taken = given + undelivered.len();
        let expected = limit.map_or(gives, |limit| gives.min(usize::try_from(limit).unwrap()));
        if whole {
            assert_eq!((given, taken), (expected, expected), "{report}");
        }
        // What the source has read ahead is behind its position already.
        was.check("source", input.descriptor(), |was| was.max(start + taken as u64));
        // An appending one stands where it stood until it is written to.
        let idle = to_was.appends() && given == 0;
        let end = (head.len() + given) as u64;
        to_was.check("sink", output.descriptor(), |was| if idle { was } else { end });
        if let Some(left) = input.limit() {
            assert_eq!(left, (gives - taken) as u64, "the source's own limit");
        }
        same("undelivered", &undelivered, &bytes[given..taken]);
        same("the source's rest", &input.rest(bytes.len() - taken), &bytes[taken..]);
        let contents = output.contents();
        drop((input, output));
        let arrived = collector.map(|thread| thread.join().unwrap()).or(contents);
        feeder.into_iter().for_each(|thread| thread.join().unwrap());
        match arrived {
            Some(arrived) => same("the sink", &arrived, &[head, &bytes[..given]].concat()),
            None => assert!(!sink.keeps),
        }
    });
}

/// What came of a transfer; `whole` unless the environment has denied every route there is.
struct Ran {
    report: Report,
    undelivered: Vec<u8>,
    whole: bool,
}

/// Through `copy` where there is no limit, else through a `Transfer`.
fn transfer(input: &mut dyn Input, output: &mut dyn Output, limit: Option<u64>) -> Ran {
    let (result, undelivered) = match limit {
        None => (fdflow::copy(input, output), Vec::new()),
        Some(limit) => {
            let mut transfer = Transfer::new(input, output).limit(limit);
            let result = transfer.run();
            let ledger = transfer.ledger();
            let parts = transfer.into_parts();
            assert_eq!(parts.report.bytes(), ledger.given());
            assert_eq!(parts.undelivered.len() as u64, ledger.staged());
            (result, parts.undelivered)
        }
    };
    let (report, in_error) = match &result {
        Ok(report) => (report.clone(), &[][..]),
        Err(error) => (error.report().clone(), error.undelivered()),
    };
    let undelivered = [&undelivered, in_error].concat();
    let legs = report.legs().iter().map(|leg| leg.bytes).sum::<u64>();
    assert_eq!(legs, report.bytes(), "{report}");
    Ran { report, undelivered, whole: moved(result).is_some() }
}
