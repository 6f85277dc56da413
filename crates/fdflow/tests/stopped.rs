//! Sinks of a fan-out that are other processes: stopped, continued, killed. The other sinks do not
//! feel it beyond their policies.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "support/fanned.rs"]
mod fanned;
mod support;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command};
use std::thread::spawn;
use std::time::Duration;

use fanned::fanned;
use fdflow::{Fanout, FanoutReport, Lag, SinkEnd, SinkReport};
use rustix::process::{Pid, Signal, kill_process};
use support::rig::{Sort, catch, stream};
use support::{Room, pattern, watch};

const MIB: usize = 1 << 20;
const FIRST: usize = 50_000;
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(600);

/// A process that reads a stream into a file.
struct Reader {
    child: Child,
    file: File,
}

impl Reader {
    /// It, and the end to write to.
    fn start(sort: Sort) -> (Self, File) {
        let (from, to) = stream(sort);
        let file = tempfile::tempfile().unwrap();
        let out = OwnedFd::from(file.try_clone().unwrap());
        let child = Command::new("cat").stdin(from).stdout(out).spawn().unwrap();
        (Self { child, file }, to)
    }

    fn len(&self) -> usize {
        usize::try_from(self.file.metadata().unwrap().len()).unwrap()
    }

    /// Sends a signal and waits until the process is in one of these states.
    fn signal(&self, signal: Signal, states: &str) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let path = format!("/proc/{}/stat", self.child.id());
        watch::until("the signal has arrived", || {
            let stat = std::fs::read_to_string(&path).unwrap();
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            state.is_some_and(|state| states.contains(state))
        });
    }

    /// What it has read, when it has come to the end.
    fn bytes(mut self) -> Vec<u8> {
        self.child.wait().unwrap();
        let mut bytes = vec![0; self.len()];
        let n = rustix::io::pread(self.file.as_fd(), &mut bytes[..], 0).unwrap();
        bytes.truncate(n);
        bytes
    }
}

/// What a sink must hold: the source's bytes without its gaps.
fn but_for_gaps(bytes: &[u8], sink: &SinkReport) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut at = 0;
    for gap in &sink.gaps {
        let from = usize::try_from(gap.at).unwrap();
        kept.extend_from_slice(&bytes[at..from]);
        at = from + usize::try_from(gap.bytes).unwrap();
    }
    kept.extend_from_slice(&bytes[at..]);
    kept.truncate(usize::try_from(sink.bytes).unwrap());
    kept
}

/// What a fan-out came to whose first sink's process was stopped midway, and whose second sink's
/// was killed; with what each of the three readers got.
struct Outcome {
    report: FanoutReport,
    stopped: Vec<u8>,
    killed: Vec<u8>,
    quick: Vec<u8>,
}

/// `None` where the environment denies the routes. `waits`: the fan-out is held up by the process
/// that is stopped, and only ends when that goes on.
fn stop_and_kill(sort: Sort, lag: Lag, bytes: &[u8], waits: bool) -> Option<Outcome> {
    // From a pipe: pieces of a page each, so that the pipes of sinks are full in time.
    let (source, mut far) = stream(Sort::Pipe);
    let ((stopped, to_stopped), (killed, to_killed)) = (Reader::start(sort), Reader::start(sort));
    let quick = catch(Sort::File);
    let quick_fd = quick.fd.try_clone().unwrap();
    let fanning = spawn(move || {
        let fanout = Fanout::new(source).sink(to_stopped, lag).sink(to_killed, Lag::Block);
        fanned(fanout.sink(quick_fd, Lag::Block).linger(SHORT))
    });
    far.write_all(&bytes[..FIRST]).unwrap();
    let (at_stopped, at_killed) = (|| stopped.len() == FIRST, || killed.len() == FIRST);
    watch::until("both have the first bytes", || {
        fanning.is_finished() || at_stopped() && at_killed()
    });
    stopped.signal(Signal::STOP, "T");
    killed.signal(Signal::KILL, "Z");
    let rest = bytes[FIRST..].to_vec();
    let writing = spawn(move || drop(far.write_all(&rest)));
    let report = if waits {
        // Held up, while what can be had without it has gone on.
        let far_is_full = || !writing.is_finished() && quick_len(&quick.fd) > FIRST;
        watch::until("it is held up", || fanning.is_finished() || far_is_full());
        assert!(fanning.is_finished() || stopped.len() == FIRST);
        stopped.signal(Signal::CONT, "RSDZ");
        fanning.join().unwrap()
    } else {
        // To the end, while the process is still stopped.
        let report = fanning.join().unwrap();
        assert!(report.is_none() || stopped.len() == FIRST);
        stopped.signal(Signal::CONT, "RSDZ");
        report
    };
    writing.join().unwrap();
    let (stopped, killed, quick) = (stopped.bytes(), killed.bytes(), quick.bytes());
    report.map(|report| Outcome { report, stopped, killed, quick })
}

fn quick_len(file: &OwnedFd) -> usize {
    usize::try_from(rustix::fs::fstat(file).unwrap().st_size).unwrap()
}

/// What holds whatever the policy: the quick one has everything, the killed one's failure is told.
fn check(outcome: &Outcome, bytes: &[u8], case: &str) {
    let Outcome { report, stopped, killed, quick } = outcome;
    assert!(quick == bytes, "{case}: {report}");
    assert_eq!(report.relayed, bytes.len() as u64);
    let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    let failed = &report.sinks[1];
    assert!(matches!(&failed.end, SinkEnd::Failed(e) if kinds.contains(&e.kind())), "{report}");
    assert!(killed == &bytes[..killed.len()] && killed.len() >= FIRST, "{case}");
    let slow = &report.sinks[0];
    assert_eq!(stopped.len() as u64, slow.bytes, "{case}: {report}");
    assert!(stopped == &but_for_gaps(bytes, slow), "{case}: {report}");
}

const STREAMS: [Sort; 3] = [Sort::Pipe, Sort::Tcp, Sort::Unix];

#[test]
fn a_stopped_process_that_is_waited_for_gets_everything_when_it_goes_on() {
    let _room = Room::enter();
    let bytes = pattern(12 * MIB, 60);
    for sort in STREAMS {
        for lag in [Lag::Block, Lag::DetachAfter(LONG)] {
            let Some(outcome) = stop_and_kill(sort, lag, &bytes, true) else { continue };
            check(&outcome, &bytes, &format!("{sort:?} {lag:?}"));
            assert!(outcome.stopped == bytes);
            assert!(matches!(outcome.report.sinks[0].end, SinkEnd::Complete));
        }
    }
}

#[test]
fn a_stopped_process_is_detached_and_nobody_else_feels_it() {
    let _room = Room::enter();
    let bytes = pattern(12 * MIB, 61);
    for sort in STREAMS {
        for lag in [Lag::DetachAfter(SHORT), Lag::DetachBeyond(MIB)] {
            let Some(outcome) = stop_and_kill(sort, lag, &bytes, false) else { continue };
            check(&outcome, &bytes, &format!("{sort:?} {lag:?}"));
            let slow = &outcome.report.sinks[0];
            assert!(matches!(slow.end, SinkEnd::TooSlow | SinkEnd::TooFarBehind), "{slow:?}");
            assert!(slow.unsent > 0 && slow.missed == 0 && slow.bytes < bytes.len() as u64);
        }
    }
}

#[test]
fn a_stopped_process_whose_bytes_are_dropped_has_exact_gaps() {
    let _room = Room::enter();
    let bytes = pattern(12 * MIB, 62);
    for sort in STREAMS {
        let lag = Lag::DropBeyond(300_000);
        let Some(outcome) = stop_and_kill(sort, lag, &bytes, false) else { continue };
        check(&outcome, &bytes, &format!("{sort:?}"));
        let slow = &outcome.report.sinks[0];
        let all = slow.bytes + slow.unsent + slow.missed;
        assert!(slow.missed > 0 && all == bytes.len() as u64, "{}", outcome.report);
    }
}
