//! The simulation's state, and the discipline that callers are held to.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::objects::{Data, Demand, PAGE, Piece, Staged, Supply, index, total};
use super::script::{Answer, Call, Script, refuses};
use super::setup::{Setup, Told};
use crate::cancel::Cancel;
use crate::operation::{Operation, Side};
use crate::sys::{End, Result};

/// So many calls in a row without a byte, a byte of script or a peer's progress are a spin. A
/// spurious `EAGAIN` on a splice may cost 32 rounds of four calls.
const SPIN: u32 = 300;
/// Entries that the log keeps.
const LOG: usize = 64;
/// What every call answers once the simulation is over: nothing takes it for a refusal.
pub(super) const OVER: Errno = Errno::DEADLK;

/// A failure that was answered and has to be told to the caller before anything else is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The failed call.
    pub operation: Operation,
    /// Its answer.
    pub errno: Errno,
}

/// What a descriptor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Source,
    Sink,
    StageReader(usize),
    StageWriter(usize),
    /// Not ours: the bell of a cancel.
    Strange,
}

/// A call as the log keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The call.
    pub operation: Operation,
    /// The count that it was made with.
    pub asked: u64,
    /// Its answer; `None` while it is on its way.
    pub answer: Option<Result<u64>>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) setup: Setup,
    pub(super) fds: (i32, i32),
    pub(super) supply: Supply,
    pub(super) demand: Demand,
    pub(super) stages: Vec<Staged>,
    pub(super) reopened: Vec<i32>,
    pub(super) data: Data,
    /// Bytes taken from the source, and bytes in the sink.
    pub(super) taken: u64,
    pub(super) given: u64,
    /// Up to this offset the sink file is known to be zeros that were made and not yet claimed.
    pub(super) blank_end: u64,
    pub(super) script: Script,
    pub(super) fault: Option<Fault>,
    refused: Vec<Operation>,
    copied: bool,
    /// The latest call would have blocked: whether it really would.
    pub(super) again: Option<bool>,
    idle: u32,
    calls: u64,
    pub(super) cancel: Option<(u64, Cancel)>,
    /// The source is silent for good and everything that it had was given.
    pub(super) silent: bool,
    pub(super) violations: Vec<String>,
    pub(super) log: Vec<Entry>,
    pub(super) most_slots: usize,
}

impl World {
    pub(super) fn new(setup: Setup, fds: (i32, i32), script: &[u8]) -> Self {
        let zeros = setup.holes.iter().chain(&setup.zeros).cloned().collect();
        Self {
            fds,
            supply: setup.supply(),
            demand: setup.demand(),
            stages: vec![],
            reopened: vec![],
            data: Data::new(zeros),
            taken: 0,
            given: 0,
            blank_end: 0,
            script: Script::new(script),
            fault: None,
            refused: vec![],
            copied: false,
            again: None,
            idle: 0,
            calls: 0,
            cancel: None,
            silent: false,
            violations: vec![],
            log: vec![],
            most_slots: 0,
            setup,
        }
    }

    pub(super) fn which(&self, fd: BorrowedFd<'_>) -> Which {
        let fd = fd.as_raw_fd();
        if fd == self.fds.0 || self.reopened.contains(&fd) {
            return Which::Source;
        }
        if fd == self.fds.1 {
            return Which::Sink;
        }
        // The latest first: an older pipe's descriptors may have been closed and given again.
        let stages = self.stages.iter().enumerate().rev();
        let mut ends = stages.flat_map(|(i, stage)| {
            [(stage.reader, Which::StageReader(i)), (stage.writer, Which::StageWriter(i))]
        });
        ends.find(|(known, _)| *known == fd).map_or(Which::Strange, |(_, which)| which)
    }

    pub(super) fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    /// Every call passes here first: `Err` ends it.
    pub(super) fn enter(&mut self, call: &Call) -> Result<Answer> {
        let operation = call.operation;
        self.calls += 1;
        self.ring();
        if self.log.len() >= LOG {
            self.log.drain(..LOG / 2);
        }
        self.log.push(Entry { operation, asked: call.n, answer: None });
        if let Some(fault) = self.fault {
            self.violated(format!("{operation} after {fault:?} that nobody was told of"));
        }
        self.idle += 1;
        if self.idle > SPIN && self.violations.is_empty() {
            self.violated(format!("{operation}: spins: {SPIN} calls without a byte"));
        }
        if !self.violations.is_empty() || self.silent {
            return Err(OVER);
        }
        if self.refused.contains(&operation) {
            self.violated(format!("{operation} again, which had been refused"));
        }
        self.again = None;
        let answer = self.script.answer(call);
        if answer != Answer::Well {
            self.idle = 0;
        }
        if let Answer::Errno(errno) = answer {
            self.note(operation, errno);
            return Err(errno);
        }
        Ok(answer)
    }

    fn ring(&mut self) {
        if let Some((left, _)) = &mut self.cancel {
            *left = left.saturating_sub(1);
            if *left == 0
                && let Some((_, cancel)) = self.cancel.take()
            {
                cancel.cancel();
            }
        }
    }

    /// An errno of the script is on its way to the caller.
    fn note(&mut self, operation: Operation, errno: Errno) {
        match errno {
            Errno::INTR => {}
            Errno::AGAIN => self.again = Some(false),
            // Not to be able to make or to find holes is no reason to leave a route.
            _ if operation == Operation::Hole || operation == Operation::Seek => {}
            _ if refuses(operation, errno, self.copied) => self.refuse(operation),
            _ => self.fault = Some(Fault { operation, errno }),
        }
    }

    /// From now on the call must not be made again.
    pub(super) fn refuse(&mut self, operation: Operation) {
        // A pipe may be asked for again for another way.
        if operation != Operation::Pipe {
            self.refused.push(operation);
        }
    }

    pub(super) fn leave(&mut self, answer: Result<u64>) {
        if let Some(entry) = self.log.last_mut().filter(|entry| entry.answer.is_none()) {
            entry.answer = Some(answer);
        }
    }

    /// Checks the count of a call that moves bytes.
    pub(super) fn check_count(&mut self, operation: Operation, n: u64) {
        if n == 0 || n > self.setup.most {
            self.violated(format!("{operation} of {n} bytes"));
        }
    }

    /// H23: a count beyond what a file has holds the last segment back.
    pub(super) fn check_exact(&mut self, operation: Operation, from: End<'_>, n: u64) {
        if self.setup.source != crate::kind::Kind::File || self.setup.told != Told::Truth {
            return;
        }
        if let Supply::File { length, position, .. } = &self.supply {
            let left = length.saturating_sub(from.at.unwrap_or(*position));
            if n > left {
                self.violated(format!("{operation} of {n} bytes where the file has {left}"));
            }
        }
    }

    fn in_stages(&self) -> u64 {
        self.stages.iter().map(Staged::len).sum()
    }

    /// Whether the sink can be said to hold exactly `given` bytes: zeros that were made count
    /// when they are claimed.
    pub(super) fn reach(&mut self, given: u64) -> bool {
        if given > self.given {
            let first = self.setup.first();
            let made = self.setup.sink_start() + given <= self.blank_end;
            if !made || !self.data.is_zero(first + self.given..first + given) {
                return false;
            }
            self.given = given;
            self.taken = self.taken.max(given);
        }
        given == self.given
    }

    /// Bytes from place `start` on leave the source.
    pub(super) fn check_taken(&mut self, operation: Operation, start: u64, n: u64) {
        let before = start.wrapping_sub(self.setup.first());
        // A hole was skipped: nothing else can be on its way.
        let skipped = before > self.taken && self.in_stages() == 0 && self.reach(before);
        if before != self.taken && !skipped {
            let taken = self.taken;
            self.violated(format!("{operation} takes from place {before} after {taken} bytes"));
        }
        self.taken = before.saturating_add(n);
        self.moved(operation);
    }

    /// Bytes reach the sink: those from place `start` on, at `offset` of a file.
    pub(super) fn check_given(
        &mut self,
        operation: Operation,
        start: u64,
        n: u64,
        offset: Option<u64>,
    ) {
        let before = start.wrapping_sub(self.setup.first());
        if let Some(offset) = offset {
            self.reach(offset.wrapping_sub(self.setup.sink_start()));
            let right = self.setup.sink_start() + self.given;
            if offset != right {
                self.violated(format!("{operation} writes at {offset}, not at {right}"));
            }
        }
        if before != self.given {
            let given = self.given;
            self.violated(format!("{operation} gives bytes of place {before} after {given}"));
        }
        self.given += n;
        self.moved(operation);
    }

    pub(super) fn moved(&mut self, operation: Operation) {
        self.copied |= operation == Operation::CopyFileRange;
        self.idle = 0;
    }

    /// Time passes for an end; `false`: it will never be any different.
    pub(super) fn progress(&mut self, side: Side) -> bool {
        let progressed = match side {
            Side::Source => self.supply.progress(),
            Side::Sink => {
                let share = self.script.byte().map_or(1, |byte| u64::from(byte % 8) + 1);
                self.demand.progress(share)
            }
        };
        if progressed {
            self.idle = 0;
        }
        progressed
    }

    /// The caller waits for `side` until it is ready.
    pub(super) fn block(&mut self, side: Side) -> Result<()> {
        while !self.ready(side) {
            if self.progress(side) {
                continue;
            }
            // A source that has gone silent is waited for in vain, and rightly so: but only when
            // all that it gave has been handed on.
            let all = self.taken;
            if self.setup.open && side == Side::Source && self.reach(all) {
                self.silent = true;
            } else {
                let staged = self.taken - self.given;
                self.violated(format!("waits for the {side} for ever, {staged} bytes in hand"));
            }
            return Err(OVER);
        }
        Ok(())
    }

    pub(super) fn ready(&self, side: Side) -> bool {
        match side {
            Side::Source => self.supply.ready(),
            Side::Sink => self.demand.ready(),
        }
    }

    /// A pipe of about `capacity` bytes; how many it got.
    pub(super) fn add_stage(&mut self, reader: i32, writer: i32, capacity: usize) -> usize {
        // A reopened source may have been closed, and its number given again.
        self.reopened.retain(|fd| ![reader, writer].contains(fd));
        let slots = self.setup.stage_slots.clamp(1, (capacity / index(PAGE)).max(1));
        self.stages.push(Staged { reader, writer, held: Default::default(), slots });
        self.idle = 0;
        slots * index(PAGE)
    }

    /// Bytes enter a private pipe.
    pub(super) fn stage(&mut self, i: usize, pieces: Vec<Piece>) {
        let stage = &mut self.stages[i];
        let clash = (!stage.held.is_empty()).then(|| (stage.len(), total(&pieces)));
        stage.held.extend(pieces);
        self.most_slots = self.most_slots.max(stage.held.len());
        if let Some((before, n)) = clash {
            self.violated(format!("{n} bytes into a private pipe that still holds {before}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_number_that_is_given_again_is_the_pipe_that_has_it_now() {
        let ends = [(); 2].map(|()| File::open("/dev/null").unwrap());
        let [reader, writer] = ends.each_ref().map(AsRawFd::as_raw_fd);
        let mut world = World::new(Setup::default(), (-1, -1), &[]);
        world.reopened.push(reader);
        assert_eq!(world.which(ends[0].as_fd()), Which::Source);
        world.add_stage(reader, writer, 4096);
        assert_eq!(world.which(ends[0].as_fd()), Which::StageReader(0));
    }
}
