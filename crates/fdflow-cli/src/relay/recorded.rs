//! What is seen of the recording: how far it is, what it lacks, and what happens to it.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fdflow::TransferError;
use fdflow_tokio::{Look, Recording, RecordingEvent};
use tokio::time::Instant;

/// What lasts is told again after so long.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// A recording, and what is known of it besides.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) path: PathBuf,
    pub(super) recording: Recording,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: u64,
    is_failing: bool,
    /// What is missing between the first byte that is kept and the end.
    missing: VecDeque<Range<u64>>,
    counts: Counts,
    growing: Option<Growing>,
    trouble: Option<(String, Instant)>,
}

/// What has happened since the program began.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) lost: u64,
    pub(super) gaps: u64,
    pub(super) rotated: u64,
    pub(super) removed: u64,
    pub(super) troubles: u64,
}

/// A gap that may go on.
#[derive(Debug)]
struct Growing {
    gap: Range<u64>,
    /// Up to where it was told of, and when.
    told: u64,
    at: Instant,
}

/// How a recording is at one time.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) start: u64,
    pub(super) end: u64,
    /// Bytes that are there between these.
    pub(super) kept: u64,
    pub(super) files: u64,
    pub(super) is_failing: bool,
    pub(super) counts: Counts,
}

impl Recorded {
    /// Looks through what there is. Makes blocking calls.
    pub(super) fn new(path: &Path, recording: Recording) -> Self {
        let mut state = State::default();
        let mut at = recording.start();
        loop {
            at = match recording.look(at) {
                Look::Bytes { offset, length, .. } => {
                    state.files += u64::from(offset == 0);
                    at + length
                }
                Look::Missing { until } => {
                    state.missing.push_back(at..until);
                    until
                }
                _ => break,
            };
        }
        // The one that is written to, before its first byte.
        let is_empty = std::fs::metadata(path).is_ok_and(|facts| facts.len() == 0);
        state.files += u64::from(is_empty);
        Self { path: path.to_owned(), recording, state: Mutex::new(state) }
    }

    /// Counts what happens, and tells what somebody has to know.
    pub(super) fn happened(&self, event: &RecordingEvent) {
        let mut state = self.locked();
        match event {
            RecordingEvent::Failing { at, error } => {
                state.is_failing = true;
                let cause = cause(error);
                tell(&format!("{cause}; bytes from {at} on are kept in memory"));
            }
            RecordingEvent::Lost { at, bytes } => state.lose(*at..*at + *bytes),
            RecordingEvent::Resumed { at, missing } => {
                state.is_failing = false;
                state.end_gap();
                tell(&format!("it goes on, and has come up to byte {at}; {missing} are missing"));
            }
            RecordingEvent::Rotated { .. } => {
                state.counts.rotated += 1;
                state.files += 1;
            }
            RecordingEvent::Removed { .. } => {
                state.counts.removed += 1;
                state.files = state.files.saturating_sub(1);
            }
            RecordingEvent::Trouble { what, error } => {
                state.trouble(format!("cannot {what}: {error}"));
            }
            _ => {}
        }
    }

    /// It is written to no longer.
    pub(super) fn over(&self) {
        self.locked().end_gap();
    }

    pub(super) fn look(&self) -> Seen {
        let mut state = self.locked();
        let (start, end) = (self.recording.start(), self.recording.end());
        while state.missing.front().is_some_and(|gap| gap.end <= start) {
            state.missing.pop_front();
        }
        let within = |gap: &Range<u64>| gap.end.min(end).saturating_sub(gap.start.max(start));
        let missing: u64 = state.missing.iter().map(within).sum();
        Seen {
            start,
            end,
            kept: (end - start).saturating_sub(missing),
            files: state.files,
            is_failing: state.is_failing,
            counts: state.counts,
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// These bytes are missing: more of the last gap, or another one.
    fn lose(&mut self, lost: Range<u64>) {
        if lost.is_empty() {
            return;
        }
        self.counts.lost += lost.end - lost.start;
        let last = self.missing.back_mut().filter(|last| last.end == lost.start);
        match (last, &mut self.growing) {
            (Some(last), Some(growing)) => {
                last.end = lost.end;
                growing.gap.end = lost.end;
                if growing.at.elapsed() >= TELL_EVERY {
                    growing.tell();
                }
            }
            _ => {
                self.end_gap();
                self.counts.gaps += 1;
                self.missing.push_back(lost.clone());
                let mut growing = Growing { told: lost.start, gap: lost, at: Instant::now() };
                growing.tell();
                self.growing = Some(growing);
            }
        }
    }

    /// It grows no more.
    fn end_gap(&mut self) {
        if let Some(mut growing) = self.growing.take().filter(|last| last.told < last.gap.end) {
            growing.tell();
        }
    }

    fn trouble(&mut self, text: String) {
        self.counts.troubles += 1;
        let is_known = self
            .trouble
            .as_ref()
            .is_some_and(|(known, at)| *known == text && at.elapsed() < TELL_EVERY);
        if !is_known {
            tell(&text);
            self.trouble = Some((text, Instant::now()));
        }
    }
}

impl Growing {
    fn tell(&mut self) {
        let (first, last) = (self.gap.start, self.gap.end - 1);
        let bytes = self.gap.end - self.gap.start;
        tell(&format!("bytes {first} to {last} are missing, {bytes} in all: the memory was full"));
        (self.told, self.at) = (self.gap.end, Instant::now());
    }
}

/// What the disk said. How far a transfer came is no news here.
fn cause(error: &io::Error) -> String {
    let transfer = error.get_ref().and_then(|error| error.downcast_ref::<TransferError>());
    transfer.map_or_else(|| error.to_string(), |error| error.cause().to_string())
}

fn tell(what: &str) {
    eprintln!("fdflow: relay: the recording: {what}");
}
