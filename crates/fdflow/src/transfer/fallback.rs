//! What follows from what a step did. The only place that leaves a route.

use std::io;

use super::join::Course;
use super::{Step, Transfer};
use crate::engine::{self, Progress, Stop, relay};
use crate::error::Fault;
use crate::operation::{Operation, Side};
use crate::plan::Way;
use crate::report::{Reason, Refusal};
use crate::source::{Sink, Source};
use crate::sys::Kernel;
use crate::sys::errno::{Verdict, verdict};

/// So many waits without a byte between them and a one-call splice is given up: both ends are
/// ready and it would block all the same.
const FRUITLESS_WAITS: u8 = 32;
/// What is read to find out whether the source has ended.
const RULING_READ: usize = 1024;

impl<S: Source, D: Sink, K: Kernel> Transfer<S, D, K> {
    /// Enters what a step did, and decides what follows from it.
    pub(super) fn settle(&mut self, way: Way, step: Option<engine::Step>) -> Result<Step, Fault> {
        match step {
            Some(Ok(Progress::Given { bytes, holes })) => {
                self.report.add(way.route(), bytes, holes);
                self.route = way.route();
                self.worn(way, bytes - holes);
                self.spend(bytes);
                Ok(Step::Moved(bytes))
            }
            Some(Ok(Progress::Staged(n))) => {
                self.worn(way, n);
                self.look_at_pace(way, n);
                Ok(Step::Moved(0))
            }
            Some(Ok(Progress::Ended { .. })) if way == Way::ReadWrite => Ok(self.finished()),
            Some(Ok(Progress::Ended { operation, asked })) => self.rule_end(way, operation, asked),
            Some(Err(stop)) => self.stopped(way, stop),
            None => Err(self.no_route()),
        }
    }

    /// `way`'s call has moved `n` bytes. Bytes that were staged before the present leg, and holes,
    /// say nothing about its call.
    pub(super) fn worn(&mut self, way: Way, n: u64) {
        let present = self.ends.joint().and_then(|joint| joint.ways.first());
        self.fresh &= n == 0 || present != Some(&way);
    }

    /// `n` bytes were taken by `way`: whether it is still the right one for the flow.
    pub(super) fn look_at_pace(&mut self, way: Way, n: u64) {
        if !self.is_paced() {
            return;
        }
        let Course::Pace(pace) = &mut self.course else { return };
        if way == Way::SpliceStaged && pace.is_trial() {
            let full = self.stage.pipe.as_ref().is_some_and(|pipe| pipe.is_full(&self.kernel));
            pace.tried(n, full);
        }
        pace.saw(n);
    }

    pub(super) fn finished(&mut self) -> Step {
        self.stage.detach_pipe();
        Step::Finished
    }

    /// A route other than `read` found nothing more. Only `read` can say that this is the end:
    /// `copy_file_range` and `sendfile` return 0 on procfs, FUSE and overlays with data there.
    pub(super) fn rule_end(
        &mut self,
        way: Way,
        operation: Operation,
        asked: bool,
    ) -> Result<Step, Fault> {
        let want = usize::try_from(self.left_to_take()).unwrap_or(usize::MAX);
        let size = self.buffer_size();
        let mut block = [0; RULING_READ];
        let call = usize::try_from(self.terms.call()).unwrap_or(usize::MAX);
        let most = block.len().min(want).min(call);
        let ruling = self.lend(|ends, stage, _| {
            let n = relay::read(ends, &mut block[..most])?;
            if n == 0 {
                return Ok(None);
            }
            ends.ledger.fill(n as u64, most as u64)?;
            stage.buffer.space(size)[..n].copy_from_slice(&block[..n]);
            stage.buffer.filled(n);
            // Bytes within the length that the file has by now: it has grown, no more.
            let grown = !asked && ends.has_grown()?;
            Ok(Some(grown))
        });
        match ruling {
            Some(Ok(Some(grown))) => {
                if !grown {
                    let said =
                        if asked { Reason::ZeroBeforeEnd(operation) } else { Reason::FalseLength };
                    self.refuse(way, said);
                }
                Ok(Step::Moved(0))
            }
            Some(Err(stop)) => self.stopped(Way::ReadWrite, stop),
            Some(Ok(None)) | None => Ok(self.finished()),
        }
    }

    pub(super) fn stopped(&mut self, way: Way, stop: Stop) -> Result<Step, Fault> {
        match stop {
            Stop::Wait(_) if way == Way::Splice && self.fruitless >= FRUITLESS_WAITS => {
                self.refuse(way, Reason::Stuck(Operation::Splice));
                Ok(Step::Moved(0))
            }
            Stop::Wait(side) => {
                // Whoever waits for more bytes owns no pipe meanwhile.
                if side == Side::Source {
                    self.stage.detach_pipe();
                }
                Ok(Step::Wait(side))
            }
            Stop::Refused(reason) => {
                self.refuse(way, reason);
                Ok(Step::Moved(0))
            }
            Stop::Fault(fault) => Err(fault),
            Stop::Call { operation, side, errno } => match verdict(operation, errno, self.fresh) {
                Verdict::Refused => {
                    self.refuse(way, Reason::Errno { operation, errno });
                    Ok(Step::Moved(0))
                }
                Verdict::Retry => Ok(Step::Moved(0)),
                Verdict::WouldBlock => Ok(Step::Wait(side.unwrap_or(Side::Source))),
                Verdict::Failed => Err(Fault { cause: errno.into(), operation, side }),
            },
        }
    }

    /// Leaves a way for good. What it has staged stays staged, and goes out first.
    pub(super) fn refuse(&mut self, way: Way, reason: Reason) {
        self.report.refuse(Refusal::new(way.route(), reason));
        self.fresh = true;
        if let Some(joint) = self.ends.joint_mut() {
            joint.ways.retain(|other| *other != way);
            joint.paced &= way != Way::SpliceStaged;
        }
    }

    pub(super) fn no_route(&self) -> Fault {
        let mut message = "no route is left between these two ends".to_owned();
        for (i, refusal) in self.report.refused().iter().enumerate() {
            let sign = if i == 0 { ": " } else { "; " };
            message.push_str(&format!("{sign}{}: {}", refusal.route, refusal.reason));
        }
        Fault::plain(Operation::Plan, io::Error::new(io::ErrorKind::Unsupported, message))
    }
}
