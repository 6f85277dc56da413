//! What a transfer cost the process that made it, and what several of them have in common.
#![allow(unsafe_code, reason = "getrusage is not in rustix")]

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whose time is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    /// This process.
    Own,
    /// The children that it has waited for.
    Children,
}

/// The processor time that `who` has used so far, in user space and in the kernel.
pub(crate) fn cpu_time(who: Who) -> io::Result<Duration> {
    let who = match who {
        Who::Own => libc::RUSAGE_SELF,
        Who::Children => libc::RUSAGE_CHILDREN,
    };
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for a whole rusage, which the kernel fills in.
    let answer = unsafe { libc::getrusage(who, usage.as_mut_ptr()) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all-zero bytes are a valid rusage, and the call can only have filled it in.
    let usage = unsafe { usage.assume_init() };
    Ok(duration(usage.ru_utime) + duration(usage.ru_stime))
}

fn duration(time: libc::timeval) -> Duration {
    let part = |n: i64| u64::try_from(n).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)) + Duration::from_micros(part(time.tv_usec))
}

/// The process's resident memory in KiB: now, and at its highest.
pub(crate) fn resident() -> io::Result<(u64, u64)> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    };
    Ok((field("VmRSS:").unwrap_or(0), field("VmHWM:").unwrap_or(0)))
}

/// Forgets how much was resident before, so that a transfer's own peak can be seen.
pub(crate) fn forget_peak() {
    // Where it cannot be forgotten the peak of the start-up counts too, which is small.
    let _forgotten = std::fs::write("/proc/self/clear_refs", "5").is_ok();
}

/// One class for each power of two, up to 2 GiB.
const CLASSES: usize = 32;

/// How large the pieces were that single calls took from the source, by powers of two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pieces {
    classes: [u64; CLASSES],
    bytes: u64,
}

impl Pieces {
    pub(crate) fn saw(&mut self, n: usize) {
        let class = n.checked_ilog2().unwrap_or(0) as usize;
        self.classes[class.min(CLASSES - 1)] += 1;
        self.bytes += n as u64;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (ours, theirs) in self.classes.iter_mut().zip(other.classes) {
            *ours += theirs;
        }
        self.bytes += other.bytes;
    }

    pub(crate) fn calls(&self) -> u64 {
        self.classes.iter().sum()
    }

    pub(crate) fn mean(&self) -> Option<u64> {
        self.bytes.checked_div(self.calls())
    }

    /// The power of two at or below which this share of the calls lies.
    pub(crate) fn quantile(&self, percent: u64) -> Option<u64> {
        let wanted = (self.calls() * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let class = self.classes.iter().position(|calls| {
            seen += calls;
            seen >= wanted
        })?;
        Some(1 << class)
    }
}

/// What the mover reports of one transfer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Bytes moved.
    pub(crate) bytes: u64,
    /// Processor time of the moving process during the transfer.
    pub(crate) cpu: Duration,
    /// From the first byte being there until the transfer returned.
    pub(crate) wall: Duration,
    /// How far resident memory rose above what it was before the transfer.
    pub(crate) grown_kib: u64,
    /// Calls and their sizes, where the contender can tell.
    #[serde(default)]
    pub(crate) pieces: Pieces,
    /// Bytes that stayed in the kernel, where the contender can tell.
    #[serde(default)]
    pub(crate) in_kernel: Option<u64>,
}

impl Outcome {
    pub(crate) fn cpu_per_gb(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.bytes as f64 / 1e9)
    }

    pub(crate) fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.wall.as_secs_f64()
    }
}

/// The middle and the borders of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` of no figures.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }

    /// The same in another unit.
    pub(crate) fn times(self, factor: f64) -> Self {
        let Self { median, min, max } = self;
        Self { median: median * factor, min: min * factor, max: max * factor }
    }
}

/// The geometric mean of ratios; `None` of none.
pub(crate) fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    if ratios.is_empty() {
        return None;
    }
    let logarithms: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
    Some((logarithms / ratios.len() as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([3.0]), Some(Spread { median: 3.0, min: 3.0, max: 3.0 }));
        assert_eq!(Spread::of([9.0, 1.0, 2.0]).map(|spread| spread.median), Some(2.0));
        let four = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(four, Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }

    #[test]
    fn half_as_much_and_twice_as_much_are_the_same_on_geometric_average() {
        let mean = geometric_mean(&[0.5, 2.0]).unwrap();
        assert!((mean - 1.0).abs() < 1e-12);
        assert_eq!(geometric_mean(&[]), None);
    }

    #[test]
    fn pieces_are_told_by_powers_of_two() {
        let mut pieces = Pieces::default();
        assert_eq!((pieces.mean(), pieces.quantile(50)), (None, None));
        [1, 4096, 5000, 8191, 65536].into_iter().for_each(|n| pieces.saw(n));
        assert_eq!(pieces.calls(), 5);
        assert_eq!(pieces.quantile(0), Some(1));
        assert_eq!(pieces.quantile(50), Some(4096));
        assert_eq!(pieces.quantile(100), Some(65536));
    }

    #[test]
    fn work_shows_in_the_time_that_was_used() {
        let before = cpu_time(Who::Own).unwrap();
        let mut n = 1_u64;
        while cpu_time(Who::Own).unwrap() == before {
            n = std::hint::black_box(n.wrapping_mul(3));
        }
        assert!(cpu_time(Who::Own).unwrap() > before);
    }
}
