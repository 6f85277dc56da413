//! One step: what is to be done next, and the engine that does it.

use std::io;

use super::join::{Course, Joint, LEAST_BUFFER};
use super::{Preliminaries, Step, Transfer};
use crate::engine::extents::Extents;
use crate::engine::{Ends, Stop, direct, relay};
use crate::error::Fault;
use crate::operation::{Operation, Side};
use crate::plan::Way;
use crate::source::{Buffered, Sink, Source};
use crate::stage::{NARROW, Stage, WIDE};
use crate::sys::Kernel;

impl<S: Source, D: Sink, K: Kernel> Transfer<S, D, K> {
    pub(super) fn try_step(&mut self) -> Result<Step, Fault> {
        if self.preliminaries == Preliminaries::Flush {
            match self.sink.flush_buffered() {
                Ok(()) => self.preliminaries = Preliminaries::Head,
                Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Step::Wait(Side::Sink));
                }
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {
                    return Ok(Step::Moved(0));
                }
                Err(cause) => return Err(Fault::new(Operation::Flush, Side::Sink, cause)),
            }
        }
        self.join()?;
        if self.ledger.staged() > 0 {
            return self.drain();
        }
        if self.left_to_take() == 0 {
            return Ok(self.finished());
        }
        if self.preliminaries == Preliminaries::Head {
            if self.has_head() {
                return self.take_head();
            }
            self.preliminaries = Preliminaries::Done;
        }
        self.advance()
    }

    pub(super) fn left_to_take(&self) -> u64 {
        let taken = self.ledger.taken();
        let own = self.terms.limit().map_or(u64::MAX, |limit| limit.saturating_sub(taken));
        self.source.limit().map_or(own, |theirs| theirs.min(own))
    }

    /// Whether the source may have to be asked for what it has read ahead. An offset that the
    /// caller gave is about the file, not about that.
    pub(super) fn has_head(&self) -> bool {
        let asked = self.preliminaries == Preliminaries::Done;
        !asked && self.source.may_buffer() && !self.ends.source_is_told()
    }

    /// Whether what a pipe holds goes from there to the sink, and not through the buffer.
    pub(super) fn drains_by_splicing(&self) -> bool {
        let joint = self.ends.joint();
        joint.is_some_and(|joint| joint.ways.first() == Some(&Way::SpliceStaged))
    }

    /// The way to take bytes by, at the present pace.
    pub(super) fn way(&self) -> Option<Way> {
        let joint = self.ends.joint()?;
        if let (true, Course::Pace(pace)) = (joint.paced, &self.course)
            && !pace.splices()
        {
            return Some(Way::ReadWrite);
        }
        joint.ways.first().copied()
    }

    pub(super) fn is_paced(&self) -> bool {
        self.ends.joint().is_some_and(|joint| joint.paced)
    }

    pub(super) fn buffer_size(&self) -> usize {
        self.ends.joint().map_or(LEAST_BUFFER, |joint| joint.buffer) as usize
    }

    /// What the source has read ahead goes into the buffer, to be written first.
    pub(super) fn take_head(&mut self) -> Result<Step, Fault> {
        let (most, size) = (self.left_to_take(), self.buffer_size());
        let space = self.stage.buffer.space(size);
        let most = space.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let ahead = match self.source.read_buffered(&mut space[..most]) {
            Ok(ahead) => ahead,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => return Ok(Step::Moved(0)),
            Err(cause) if cause.kind() == io::ErrorKind::WouldBlock => Buffered::default(),
            Err(cause) => return Err(Fault::new(Operation::Buffered, Side::Source, cause)),
        };
        if !ahead.more {
            self.preliminaries = Preliminaries::Done;
        }
        if let Err(imbalance) = self.ledger.fill(ahead.n as u64, most as u64) {
            let cause = io::Error::new(io::ErrorKind::InvalidData, imbalance);
            return Err(Fault::new(Operation::Buffered, Side::Source, cause));
        }
        self.stage.buffer.filled(ahead.n);
        if let Some(joint) = self.ends.joint_mut() {
            joint.from.read_ahead(ahead.n as u64);
        }
        Ok(Step::Moved(0))
    }

    /// Lends the two ends to an engine.
    pub(super) fn lend<T>(
        &mut self,
        work: impl FnOnce(&mut Ends<'_, K>, &mut Stage, &mut Extents) -> T,
    ) -> Option<T> {
        let Joint { from, to, .. } = self.ends.joint_mut()?;
        let mut ends = Ends {
            kernel: &self.kernel,
            terms: &self.terms,
            source: &mut self.source,
            sink: &mut self.sink,
            from,
            to,
            ledger: &mut self.ledger,
        };
        let mut none = Extents::default();
        let extents = match &mut self.course {
            Course::Extents(extents) => extents,
            // Sockets have no holes.
            Course::Pace(_) => &mut none,
        };
        Some(work(&mut ends, &mut self.stage, extents))
    }

    /// Brings staged bytes nearer to the sink: the buffer's first, then the pipe's. Those of a
    /// pipe whose route was left pass through the buffer.
    pub(super) fn drain(&mut self) -> Result<Step, Fault> {
        let most = self.giveable();
        if most == 0 {
            return Err(self.mirror_is_owed());
        }
        if !self.stage.buffer.bytes().is_empty() {
            let step = self.lend(|ends, stage, _| relay::drain_buffer(ends, stage, most));
            return self.settle(Way::ReadWrite, step);
        }
        if self.drains_by_splicing() {
            let step = self.lend(|ends, stage, _| {
                stage.pipe.as_mut().map(|pipe| relay::drain_pipe(ends, pipe, most))
            });
            return self.settle(Way::SpliceStaged, step.flatten());
        }
        match self.unload() {
            Some(Err(stop)) => self.stopped(Way::ReadWrite, stop),
            _ => Ok(Step::Moved(0)),
        }
    }

    /// What the pipe of a route that was left still holds goes into the buffer.
    pub(super) fn unload(&mut self) -> Option<Result<(), Stop>> {
        let size = self.buffer_size();
        self.lend(|ends, stage, _| relay::unload(ends, stage, size))
    }

    /// Takes more bytes from the source, by the best way that is left.
    pub(super) fn advance(&mut self) -> Result<Step, Fault> {
        let Some(way) = self.way() else { return Err(self.no_route()) };
        if way == Way::ReadWrite {
            self.stage.detach_pipe();
        }
        let (want, size) = (self.left_to_take(), self.buffer_size());
        let trial = matches!(&self.course, Course::Pace(pace) if pace.is_trial());
        let capacity = if trial { NARROW } else { WIDE };
        let step = self.lend(|ends, stage, extents| match way {
            Way::Reflink => direct::reflink(ends, want),
            Way::CopyFileRange => direct::copy_file_range(ends, extents, want),
            Way::Sendfile => direct::sendfile(ends, want),
            Way::Splice => direct::splice(ends, want),
            Way::SpliceStaged => relay::fill_pipe(ends, stage, extents, capacity, want),
            Way::ReadWrite => relay::fill_buffer(ends, stage, extents, size, want),
        });
        self.settle(way, step)
    }
}
