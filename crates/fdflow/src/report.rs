//! What a transfer did: the legs it took, and why each better route was left.

use std::fmt;
use std::time::Duration;

use rustix::io::Errno;

use crate::few::Few;
use crate::operation::{Operation, Side};
use crate::route::Route;
use crate::sys::errno;

/// So many legs and refusals are kept, however long the transfer: a flow that changes its route
/// more often adds to the last leg of the same route instead.
const LEGS: usize = 8;
const REFUSALS: usize = 12;
/// So many of them in place. A flow between sockets that is quiet is little more than its report,
/// and hardly any has more of them; who has pays one allocation.
const LEGS_IN_PLACE: usize = 2;
const REFUSALS_IN_PLACE: usize = 4;

/// A stretch of a transfer that went one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leg {
    /// The way that it went.
    pub route: Route,
    /// Bytes given to the sink on it, holes included.
    pub bytes: u64,
    /// Bytes of `bytes` that were holes, for which nothing had to be moved.
    pub holes: u64,
}

/// Why a route was not taken, or not to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The kernel refused the call.
    Errno {
        /// The call.
        operation: Operation,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The policy or `FDFLOW_DENY` forbids it.
    Denied,
    /// The end on this side offers no descriptor.
    NoDescriptor(Side),
    /// The call moved nothing although the source had bytes left.
    ZeroBeforeEnd(Operation),
    /// The source's length says that it has ended, and it has not: procfs, some FUSE filesystems.
    FalseLength,
    /// [`Stability::Snapshot`](crate::Stability::Snapshot): the route passes references on.
    PassesReferences,
    /// [`Sparse::Always`](crate::Sparse::Always): zeros have to be looked for in user space.
    ZerosUnseen,
    /// [`Sparse::Never`](crate::Sparse::Never): the route may leave blocks unwritten.
    MayLeaveHoles,
    /// The call cannot write at an explicit sink offset.
    NoSinkOffset,
    /// Less than a block is left, and blocks are what it shares.
    LessThanABlock,
    /// The call would block although both ends are ready.
    Stuck(Operation),
}

impl Reason {
    /// The kernel's answer, where it was one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Errno { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// The answer's name, such as `EINVAL`.
    #[must_use]
    pub fn errno_name(&self) -> Option<&'static str> {
        self.errno().map(errno::name)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno { operation: Operation::Pipe, errno } => {
                write!(f, "no pipe: {} ({})", errno::name(*errno), errno::meaning(*errno))
            }
            Self::Errno { errno, .. } => {
                write!(f, "{} ({})", errno::name(*errno), errno::meaning(*errno))
            }
            Self::Denied => f.write_str("denied by policy"),
            Self::NoDescriptor(side) => write!(f, "the {side} offers no descriptor"),
            Self::ZeroBeforeEnd(_) => {
                f.write_str("moved nothing although the source had bytes left")
            }
            Self::FalseLength => f.write_str("the source does not tell its true length"),
            Self::PassesReferences => {
                f.write_str("passes references on, and a snapshot was asked for")
            }
            Self::ZerosUnseen => f.write_str("cannot look for zeros to turn into holes"),
            Self::MayLeaveHoles => {
                f.write_str("may leave blocks unwritten, and none was to be left")
            }
            Self::NoSinkOffset => f.write_str("cannot write at an explicit offset"),
            Self::LessThanABlock => f.write_str("less than a block is left"),
            Self::Stuck(_) => f.write_str("would block although both ends are ready"),
        }
    }
}

/// A route that was left, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The route.
    pub route: Route,
    /// Why it was left.
    pub reason: Reason,
}

impl Refusal {
    /// `route` was left for `reason`.
    #[must_use]
    pub fn new(route: Route, reason: Reason) -> Self {
        Self { route, reason }
    }
}

/// What a transfer did.
///
/// `Display` writes a line per leg and per refusal; with the feature `serde` it serializes as
/// `{"bytes", "legs": [{"route", "bytes", "holes"}], "refused": [{"route", "reason", "errno"}], "seconds"}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    legs: Few<Leg, LEGS_IN_PLACE, LEGS>,
    refused: Few<Refusal, REFUSALS_IN_PLACE, REFUSALS>,
    /// Time spent.
    nanos: u64,
}

impl Report {
    /// Bytes given to the sink: the sum of the legs.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.legs.iter().map(|leg| leg.bytes).sum()
    }

    /// The legs in the order in which they were taken. None where nothing was moved.
    #[must_use]
    pub fn legs(&self) -> &[Leg] {
        &self.legs
    }

    /// The routes that were left, each with its reason, in the order in which it happened.
    #[must_use]
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// Time spent in the transfer's runs.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.nanos)
    }

    pub(crate) fn add_elapsed(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanos = self.nanos.saturating_add(nanos);
    }

    /// Bytes that went by `route`.
    #[must_use]
    pub fn bytes_by(&self, route: Route) -> u64 {
        self.legs.iter().filter(|leg| leg.route == route).map(|leg| leg.bytes).sum()
    }

    #[inline]
    pub(crate) fn add(&mut self, route: Route, bytes: u64, holes: u64) {
        if bytes == 0 {
            return;
        }
        let last = self.legs.last().is_some_and(|leg| leg.route == route);
        if !last && !self.legs.is_full() {
            self.legs.push(Leg { route, bytes, holes });
            return;
        }
        let same = self.legs.iter().rposition(|leg| leg.route == route);
        let at = same.unwrap_or(self.legs.len() - 1);
        self.legs[at].bytes += bytes;
        self.legs[at].holes += holes;
    }

    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        if !self.refused.contains(&refusal) {
            self.refused.push(refusal);
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed().as_secs_f64();
        write!(f, "{} bytes in {seconds:.3} s", self.bytes())?;
        for leg in &*self.legs {
            write!(f, "\n  {:<15} {} bytes", leg.route, leg.bytes)?;
            if leg.holes > 0 {
                write!(f, ", {} of them holes", leg.holes)?;
            }
        }
        for refusal in &*self.refused {
            write!(f, "\n  not {}: {}", refusal.route, refusal.reason)?;
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
mod json {
    use serde::ser::{Serialize, SerializeStruct, Serializer};

    use super::{Leg, Refusal, Report};

    impl Serialize for Leg {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let mut map = to.serialize_struct("Leg", 3)?;
            map.serialize_field("route", self.route.name())?;
            map.serialize_field("bytes", &self.bytes)?;
            map.serialize_field("holes", &self.holes)?;
            map.end()
        }
    }

    impl Serialize for Refusal {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let mut map = to.serialize_struct("Refusal", 3)?;
            map.serialize_field("route", self.route.name())?;
            map.serialize_field("reason", &self.reason.to_string())?;
            map.serialize_field("errno", &self.reason.errno_name())?;
            map.end()
        }
    }

    impl Serialize for Report {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            let mut map = to.serialize_struct("Report", 4)?;
            map.serialize_field("bytes", &self.bytes())?;
            map.serialize_field("legs", self.legs())?;
            map.serialize_field("refused", self.refused())?;
            map.serialize_field("seconds", &self.elapsed().as_secs_f64())?;
            map.end()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legs_add_up_to_the_total_however_often_the_route_changes() {
        let mut report = Report::default();
        for round in 0..100 {
            report.add(Route::ReadWrite, 1 + round, 0);
            report.add(Route::Splice, 2, 0);
        }
        assert_eq!(report.bytes(), (0..100).map(|round| 3 + round).sum::<u64>());
        assert_eq!(report.bytes_by(Route::Splice), 200);
        assert_eq!(report.legs().len(), LEGS);
    }

    #[test]
    fn the_same_refusal_is_told_once() {
        let mut report = Report::default();
        let refusal = Refusal::new(Route::Sendfile, Reason::Denied);
        report.refuse(refusal);
        report.refuse(refusal);
        assert_eq!(report.refused(), [refusal]);
    }

    #[test]
    fn those_beyond_the_place_for_a_few_keep_their_order_and_are_bounded() {
        let refusal = |n| {
            let errno = Errno::from_raw_os_error(1 + n);
            Refusal::new(Route::Splice, Reason::Errno { operation: Operation::Splice, errno })
        };
        let (mut report, many) = (Report::default(), (0..20).map(refusal).collect::<Vec<_>>());
        for (i, refusal) in many.iter().enumerate() {
            let before = report.clone();
            report.refuse(*refusal);
            assert_eq!(report.refused(), &many[..(i + 1).min(REFUSALS)]);
            assert_eq!(report == before, i >= REFUSALS);
        }
        report.add(Route::Sendfile, 3, 0);
        report.add(Route::Splice, 2, 0);
        report.add(Route::ReadWrite, 1, 0);
        let bytes: Vec<u64> = report.legs().iter().map(|leg| leg.bytes).collect();
        assert_eq!(bytes, [3, 2, 1]);
    }

    #[test]
    fn one_that_is_kept_by_each_of_many_quiet_flows_is_small() {
        assert!(size_of::<Report>() <= 104, "{}", size_of::<Report>());
    }

    #[test]
    fn it_reads_well() {
        let mut report = Report::default();
        let errno = Errno::XDEV;
        let reason = Reason::Errno { operation: Operation::CopyFileRange, errno };
        report.refuse(Refusal::new(Route::CopyFileRange, reason));
        report.add(Route::ReadWrite, 4096, 1024);
        report.add_elapsed(Duration::from_millis(1500));
        assert_eq!(
            report.to_string(),
            "4096 bytes in 1.500 s\n  read_write      4096 bytes, 1024 of them holes\n  \
             not copy_file_range: EXDEV (Invalid cross-device link)"
        );
    }
}
