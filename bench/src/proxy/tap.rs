//! One stream with a recording beside one without.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::Setup;
use super::contestant::Contestant;
use super::running::{Running, contestants, of, start_all};
use super::stream::tabulate;
use super::streams::{Cost, Streams};
use crate::figures::{Case, Figures, contest};
use crate::sizes::human;

pub(super) const PART: &str = "tap";
pub(super) const SAYS: &str = "\
One stream in writes of 64 KiB, with `--tap` and `--tap-policy block` and without. The recording \
must hold as many bytes as the stream before the processor time is read, and is deleted after each \
round. What the kernel's own threads do to bring it to the disk later is not in the figure.\n";

/// CPU with a recording against without.
const MOST_RATIO: f64 = 1.6;
const PIECE: usize = 64 << 10;
/// The recording of a stream that has ended is there within this.
const WRITTEN: Duration = Duration::from_secs(10);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(5);

pub(super) fn measure(bytes: u64, setup: &Setup, figures: &mut Figures) -> io::Result<()> {
    let (with, without) = (Contestant::FdflowTap, Contestant::Fdflow);
    let running = start_all(PART, &[with, without], setup, figures);
    let case = format!("1 stream of {}", human(bytes));
    let streams = Streams { count: 1, each: bytes, piece: PIECE };
    let check = |one| {
        let running = of(&running, one)?;
        streams.check(running)?;
        recorded(running, bytes)?;
        clear(running)
    };
    let round = |one| {
        let running = of(&running, one)?;
        let cost = streams.measure(running, || recorded(running, bytes))?;
        clear(running)?;
        Ok(cost)
    };
    let rounds = setup.conditions.rounds;
    let able = contestants(&running);
    let outcomes = contest((PART, &case), &able, rounds, figures, check, round);
    let case = Case { part: PART, name: &case, outcomes: &outcomes };
    tabulate(&case, figures)?;
    case.versus(figures, "CPU", (with, without), Some(MOST_RATIO), Cost::cpu_per_gb);
    Ok(())
}

/// Waits until the recording has so many bytes, where there is to be one.
fn recorded(running: &Running, bytes: u64) -> io::Result<()> {
    if running.contestant != Contestant::FdflowTap {
        return Ok(());
    }
    let deadline = Instant::now() + WRITTEN.min(running.timeout());
    loop {
        let there = length(running.home())?;
        if there >= bytes {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(io::Error::other(format!("recorded {there} of {bytes} bytes")));
        }
        std::thread::sleep(PAUSE);
    }
}

/// The bytes of all files in a folder and below.
fn length(folder: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let facts = entry.metadata()?;
        sum += if facts.is_dir() { length(&entry.path())? } else { facts.len() };
    }
    Ok(sum)
}

/// Deletes what was recorded.
fn clear(running: &Running) -> io::Result<()> {
    for entry in std::fs::read_dir(running.home())? {
        let path = entry?.path();
        if path.is_dir() { std::fs::remove_dir_all(path)? } else { std::fs::remove_file(path)? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_folders_of_a_recording_count() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("flow")).unwrap();
        std::fs::write(folder.path().join("flow/up"), [0; 700]).unwrap();
        std::fs::write(folder.path().join("down"), [0; 30]).unwrap();
        assert_eq!(length(folder.path()).unwrap(), 730);
    }
}
