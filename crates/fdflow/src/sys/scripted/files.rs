//! The simulated calls that are about files: what they are, their blocks, holes and positions.

use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::objects::{Demand, Piece, Supply};
use super::script::Call;
use super::world::{Which, World};
use crate::kind::{FileId, Kind, Traits};
use crate::operation::Operation;
use crate::sys::{End, Extent, Result};

/// Blocks that can be shared are this large.
const BLOCK: u64 = 4096;

impl World {
    pub(super) fn traits(&mut self, fd: BorrowedFd<'_>) -> Result<Traits> {
        self.enter(&Call::of(Operation::Probe))?;
        let setup = &self.setup;
        let file = |traits: Traits, length, position, inode| Traits {
            length: Some(length),
            position: Some(position),
            id: Some(FileId { device: 1, inode }),
            ..traits
        };
        match (self.which(fd), &self.supply, &self.demand) {
            (Which::Source, supply, _) => {
                let nonblocking = setup.source_nonblocking;
                let holes = !setup.holes.is_empty();
                let traits = Traits { nonblocking, holes, ..Traits::of(setup.source) };
                Ok(match supply {
                    Supply::File { length, position, .. } if setup.source == Kind::File => {
                        file(traits, setup.told(*length), *position, 1)
                    }
                    _ => traits,
                })
            }
            (Which::Sink, _, demand) => {
                let nonblocking = setup.sink_nonblocking;
                let traits = Traits { nonblocking, append: setup.append, ..Traits::of(setup.sink) };
                Ok(match demand {
                    Demand::File { length, position, .. } if setup.sink == Kind::File => {
                        file(traits, *length, *position, 2)
                    }
                    _ => traits,
                })
            }
            _ => Err(Errno::BADF),
        }
    }

    pub(super) fn length(&mut self, fd: BorrowedFd<'_>) -> Result<u64> {
        self.enter(&Call::of(Operation::Probe))?;
        match (self.which(fd), &self.supply, &self.demand) {
            (Which::Source, Supply::File { length, .. }, _) => Ok(self.setup.told(*length)),
            (Which::Sink, _, Demand::File { length, .. }) => Ok(*length),
            _ => Err(Errno::BADF),
        }
    }

    pub(super) fn clone_range(&mut self, from: End<'_>, to: End<'_>, n: u64) -> Result<u64> {
        let operation = Operation::Reflink;
        self.enter(&Call { n, ..Call::of(operation) })?;
        let (Some(at), Some(to_at)) = (from.at, to.at) else {
            self.violated("a clone without offsets".to_owned());
            return Err(Errno::INVAL);
        };
        if n == 0 {
            self.violated("a clone of 0 bytes, which means all of them".to_owned());
        }
        let end = self.supply.end();
        let aligned = [at, to_at].iter().all(|at| at.is_multiple_of(BLOCK))
            && (n.is_multiple_of(BLOCK) || at + n == end);
        let errno = match () {
            () if !self.setup.reflinks => Errno::OPNOTSUPP,
            () if self.setup.append => Errno::BADF,
            () if !aligned || at + n > end => Errno::INVAL,
            () => {
                self.check_taken(operation, at, n);
                let piece = Piece { start: at, len: n };
                let offset = self.demand.put(Some(to_at), &[piece]);
                self.check_given(operation, at, n, offset);
                return Ok(n);
            }
        };
        self.refuse(operation);
        Err(errno)
    }

    pub(super) fn extent(&mut self, at: u64) -> Result<Extent> {
        self.enter(&Call::of(Operation::Seek))?;
        let Supply::File { length, holes, .. } = &self.supply else { return Err(Errno::SPIPE) };
        if let Some(hole) = holes.iter().find(|hole| hole.contains(&at)) {
            return Ok(Extent { hole: true, end: hole.end.min(*length) });
        }
        let next = holes.iter().map(|hole| hole.start).filter(|start| *start > at).min();
        Ok(Extent { hole: at >= *length, end: next.unwrap_or(*length).min(*length) })
    }

    pub(super) fn set_position(&mut self, fd: BorrowedFd<'_>, to: u64) -> Result<()> {
        match (self.which(fd), &mut self.supply, &mut self.demand) {
            (Which::Source, Supply::File { position, .. }, _)
            | (Which::Sink, _, Demand::File { position, .. }) => {
                *position = to;
                Ok(())
            }
            _ => Err(Errno::SPIPE),
        }
    }

    pub(super) fn punch_hole(&mut self, at: u64, n: u64) -> Result<()> {
        self.enter(&Call { n, ..Call::of(Operation::Hole) })?;
        let Demand::File { length, .. } = self.demand else { return Err(Errno::NODEV) };
        if n == 0 || at + n > length {
            self.violated(format!("punches {n} bytes at {at} of a file of {length}"));
        }
        self.blank(at, at + n);
        Ok(())
    }

    pub(super) fn set_length(&mut self, to: u64) -> Result<()> {
        self.enter(&Call { n: to, ..Call::of(Operation::Hole) })?;
        let Demand::File { length, .. } = &mut self.demand else { return Err(Errno::INVAL) };
        let before = std::mem::replace(length, to);
        if before > to {
            self.violated(format!("cuts the sink from {before} to {to} bytes"));
        }
        self.blank(before, to);
        Ok(())
    }

    /// The sink file is zeros from `start` to `end`, as far as nobody knew.
    fn blank(&mut self, start: u64, end: u64) {
        let known = self.blank_end.max(self.setup.sink_start() + self.given);
        if start > known {
            self.violated(format!("a hole from {start} on, where {known} comes next"));
        }
        self.blank_end = known.max(end);
        self.moved(Operation::Hole);
    }
}
