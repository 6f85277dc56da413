//! A simulated kernel of many pipes and one sink: `tee`, and what mirrors and fan-outs do besides.
//!
//! Bytes are real here, and pipes hold them in slots. The far end of a pipe is filled or read by
//! nobody but the passing of time: some of it passes with each call, and as much as is needed
//! where a caller waits.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;

use super::script::{Answer, Call, Script, refuses};
use super::vessel::Vessel;
use crate::kind::{Kind, Traits};
use crate::operation::Operation;
use crate::pipe::{ReadEnd, WriteEnd};
use crate::sys::{End, Interest, Kernel, NewPipe, Result};

const PAGE: usize = 4096;
/// So many calls in a row without a byte are a spin.
const SPIN: u32 = 400;
/// What every call answers after a violation.
const OVER: Errno = Errno::DEADLK;

#[derive(Debug)]
struct World {
    vessels: Vec<Vessel>,
    script: Script,
    fault: Option<Errno>,
    refused: Vec<Operation>,
    calls: u32,
    idle: u32,
    violations: Vec<String>,
    log: VecDeque<String>,
    /// With every so many calls time passes.
    pace: u32,
    stage_slots: usize,
}

/// The simulated kernel.
#[derive(Debug)]
pub(crate) struct Plumbing(RefCell<World>);

/// What a pipe or a sink is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Far {
    pub(crate) slots: usize,
    /// Pieces that somebody else puts in; `None`: the caller does.
    pub(crate) coming: Option<Vec<Vec<u8>>>,
    /// Somebody else reads it, and goes away after so many bytes.
    pub(crate) read_until: Option<usize>,
}

impl Plumbing {
    pub(crate) fn new(script: &[u8], pace: u32, stage_slots: usize) -> Self {
        Self(RefCell::new(World {
            vessels: vec![],
            script: Script::new(script),
            fault: None,
            refused: vec![],
            calls: 0,
            idle: 0,
            violations: vec![],
            log: VecDeque::new(),
            pace: pace.max(1),
            stage_slots: stage_slots.max(1),
        }))
    }

    /// The `nth` call (from 0) of `operation` is to be answered so.
    pub(crate) fn rule(&self, operation: Operation, nth: u32, answer: Answer) {
        self.0.borrow_mut().script.rule(operation, nth, answer);
    }

    /// A pipe or, of another kind, a sink that is only its write end. The number of it, and its
    /// ends: those of a real pipe that stays empty, so that each is somebody's own.
    pub(crate) fn add(&self, kind: Kind, far: Far) -> io::Result<(usize, ReadEnd, WriteEnd)> {
        let (reader, writer) = io::pipe()?;
        let fds = [reader.as_raw_fd(), writer.as_raw_fd()];
        let mut world = self.0.borrow_mut();
        world.vessels.push(Vessel {
            kind,
            fds,
            slots: far.slots.max(1),
            held: VecDeque::new(),
            coming: far.coming.map(VecDeque::from),
            got: far.read_until.map(|_| Vec::new()),
            leaves_after: far.read_until.unwrap_or(usize::MAX),
        });
        Ok((world.vessels.len() - 1, reader.into(), writer.into()))
    }

    /// How many bytes the reader of a vessel has got so far.
    pub(crate) fn got_len(&self, vessel: usize) -> usize {
        self.0.borrow().vessels[vessel].got.as_ref().map_or(0, Vec::len)
    }

    /// What the reader of a vessel has got once it has read all that is there.
    pub(crate) fn got_all(&self, vessel: usize) -> Vec<u8> {
        while self.0.borrow_mut().vessels[vessel].progress(1) {}
        self.0.borrow().vessels[vessel].got.clone().unwrap_or_default()
    }

    /// Whether the reader of a vessel has gone away.
    pub(crate) fn is_broken(&self, vessel: usize) -> bool {
        self.0.borrow().vessels[vessel].is_broken()
    }

    /// Lets time pass at the far ends of a vessel. Whether anything has changed.
    pub(crate) fn progress(&self, vessel: usize) -> bool {
        let world = &mut *self.0.borrow_mut();
        world.idle = 0;
        let share = world.script.byte().map_or(1, |byte| usize::from(byte % 8) + 1);
        world.vessels[vessel].progress(share)
    }

    /// All that a pipe holds and that is still to be put into it.
    pub(crate) fn drained(&self, reader: &ReadEnd) -> Vec<u8> {
        use std::os::fd::AsFd;
        let world = self.0.borrow();
        let Some(vessel) = world.index(reader.as_fd()).map(|at| &world.vessels[at]) else {
            return Vec::new();
        };
        let coming = vessel.coming.iter().flatten();
        vessel.held.iter().chain(coming).flatten().copied().collect()
    }

    /// How many bytes somebody else has still to put into a vessel.
    pub(crate) fn to_come(&self, vessel: usize) -> usize {
        let coming = &self.0.borrow().vessels[vessel].coming;
        coming.iter().flatten().map(Vec::len).sum()
    }

    /// The failure that was answered, if one was.
    pub(crate) fn take_fault(&self) -> Option<Errno> {
        self.0.borrow_mut().fault.take()
    }

    /// Whether `operation` has been refused.
    pub(crate) fn has_refused(&self, operation: Operation) -> bool {
        self.0.borrow().refused.contains(&operation)
    }

    /// Nothing, or what was done against the discipline, with the latest calls.
    pub(crate) fn check(&self) -> core::result::Result<(), String> {
        let world = self.0.borrow();
        if world.violations.is_empty() {
            return Ok(());
        }
        Err(format!("{}\n  {}", world.violations.join("\n"), self.log()))
    }

    pub(crate) fn log(&self) -> String {
        self.0.borrow().log.iter().cloned().collect::<Vec<_>>().join("\n  ")
    }

    fn logged<T: std::fmt::Debug>(
        &self,
        what: Operation,
        n: usize,
        answer: Result<T>,
    ) -> Result<T> {
        let log = &mut self.0.borrow_mut().log;
        if log.len() >= 40 {
            log.pop_front();
        }
        log.push_back(format!("{what} {n} = {answer:?}"));
        answer
    }
}

impl World {
    fn index(&self, fd: BorrowedFd<'_>) -> Option<usize> {
        let fd = fd.as_raw_fd();
        // The latest first: an older one's descriptors may have been closed and given again.
        self.vessels.iter().rposition(|vessel| vessel.fds.contains(&fd))
    }

    fn find(&self, fd: BorrowedFd<'_>) -> Result<usize> {
        self.index(fd).ok_or(Errno::BADF)
    }

    fn violated<T>(&mut self, what: impl Into<String>) -> Result<T> {
        self.violations.push(what.into());
        Err(OVER)
    }

    /// Every call passes here first.
    fn enter(&mut self, call: &Call) -> Result<Answer> {
        let operation = call.operation;
        if !self.violations.is_empty() {
            return Err(OVER);
        }
        if let Some(fault) = self.fault {
            return self.violated(format!("{operation} after {fault} that nobody was told of"));
        }
        if self.refused.contains(&operation) {
            return self.violated(format!("{operation} again, which had been refused"));
        }
        self.idle += 1;
        if self.idle > SPIN {
            return self.violated(format!("{operation}: spins"));
        }
        self.calls += 1;
        if self.calls.is_multiple_of(self.pace) {
            for vessel in &mut self.vessels {
                vessel.progress(2);
            }
        }
        let answer = self.script.answer(call);
        if answer != Answer::Well {
            self.idle = 0;
        }
        if let Answer::Errno(errno) = answer {
            match errno {
                Errno::INTR | Errno::AGAIN => {}
                _ if refuses(operation, errno, false) => {
                    if operation != Operation::Pipe && operation != Operation::Splice {
                        self.refused.push(operation);
                    }
                }
                _ => self.fault = Some(errno),
            }
            return Err(errno);
        }
        Ok(answer)
    }

    /// A failure of a call into a pipe is that its reader has gone away.
    fn breaks(&mut self, at: usize, errno: Errno) -> Errno {
        let pipe = self.vessels[at].kind == Kind::Pipe;
        if pipe && self.fault.take_if(|fault| *fault == errno).is_some() {
            Errno::PIPE
        } else {
            errno
        }
    }

    fn call(&self, operation: Operation, n: usize, sink: Option<usize>) -> Call {
        let sink = sink.map(|at| self.vessels[at].kind);
        Call { n: n as u64, sink, ..Call::of(operation) }
    }

    /// Waits for a vessel as a call that blocks does.
    fn block(&mut self, at: usize, ready: impl Fn(&Vessel) -> bool) -> Result<()> {
        while !ready(&self.vessels[at]) {
            if !self.vessels[at].progress(1) {
                return self.violated("waits for ever");
            }
        }
        Ok(())
    }

    fn put(&mut self, at: usize, pieces: Vec<Vec<u8>>) {
        self.idle = 0;
        let vessel = &mut self.vessels[at];
        vessel.held.extend(pieces);
    }

    fn tee(&mut self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        let (from, to) = (self.find(from.fd)?, self.find(to.fd)?);
        let mut call = self.call(Operation::Tee, n, Some(to));
        (call.again, call.zero) = (true, true);
        let answer = self.enter(&call).map_err(|errno| self.breaks(to, errno))?;
        if n == 0 {
            return self.violated("tee of nothing");
        }
        let Some(n) = bound(answer, n) else { return Ok(0) };
        if self.vessels[to].is_broken() {
            return Err(Errno::PIPE);
        }
        if self.vessels[from].has_ended() {
            return Ok(0);
        }
        let free = self.vessels[to].free();
        let pieces = self.vessels[from].head(n, free);
        let n = pieces.iter().map(Vec::len).sum();
        if n == 0 {
            return Err(Errno::AGAIN);
        }
        self.put(to, pieces);
        Ok(n)
    }

    fn read(&mut self, from: End<'_>, buffer: &mut [u8]) -> Result<usize> {
        let at = self.find(from.fd)?;
        let answer = self.enter(&self.call(Operation::Read, buffer.len(), None))?;
        let vessel = &self.vessels[at];
        if vessel.held.is_empty() && !vessel.has_ended() {
            if from.nowait {
                return Err(Errno::AGAIN);
            }
            self.block(at, |vessel| !vessel.held.is_empty() || vessel.has_ended())?;
        }
        let n = bound(answer, buffer.len()).unwrap_or(buffer.len());
        let bytes = self.vessels[at].head(n, usize::MAX).concat();
        buffer[..bytes.len()].copy_from_slice(&bytes);
        self.vessels[at].take(bytes.len());
        self.idle = 0;
        Ok(bytes.len())
    }

    fn write(&mut self, to: End<'_>, bytes: &[u8]) -> Result<usize> {
        let at = self.find(to.fd)?;
        let inside = self.vessels[at].got.is_none();
        // Into a pipe that is all the caller's own nothing can fail.
        let mut call = self.call(Operation::Write, bytes.len(), (!inside).then_some(at));
        call.again = !inside;
        let answer = if inside {
            Answer::Well
        } else {
            self.enter(&call).map_err(|errno| self.breaks(at, errno))?
        };
        if self.vessels[at].is_broken() {
            return Err(Errno::PIPE);
        }
        if !self.vessels[at].has_room() {
            if to.nowait || self.vessels[at].kind == Kind::Pipe && !inside {
                return Err(Errno::AGAIN);
            }
            self.block(at, Vessel::has_room)?;
        }
        let n = bound(answer, bytes.len()).unwrap_or(bytes.len());
        let n = n.min(self.vessels[at].free().saturating_mul(PAGE));
        self.put(at, bytes[..n].chunks(PAGE).map(<[u8]>::to_vec).collect());
        Ok(n)
    }

    /// Out of a pipe: to a sink, or to nowhere.
    fn splice(&mut self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        let from_at = self.find(from.fd)?;
        let to_at = self.index(to.fd);
        let mut call = self.call(Operation::Splice, n, to_at);
        call.source = Some(Kind::Pipe);
        if to_at.is_none() {
            // Nowhere: nothing can fail but the call itself.
            call.sink = Some(Kind::Pipe);
        }
        let answer = self.enter(&call);
        if to_at.is_none() {
            // Another way to nowhere is taken then, and nobody is told.
            self.fault = None;
        }
        let n = bound(answer?, n).unwrap_or(n);
        let vessel = &self.vessels[from_at];
        if vessel.held.is_empty() && !vessel.has_ended() {
            if from.nowait || to.nowait {
                return Err(Errno::AGAIN);
            }
            self.block(from_at, |vessel| !vessel.held.is_empty() || vessel.has_ended())?;
        }
        let mut free = usize::MAX;
        if let Some(to_at) = to_at {
            if self.vessels[to_at].is_broken() {
                return Err(Errno::PIPE);
            }
            if !self.vessels[to_at].has_room() {
                if from.nowait || to.nowait {
                    return Err(Errno::AGAIN);
                }
                self.block(to_at, Vessel::has_room)?;
            }
            free = self.vessels[to_at].free();
        }
        let pieces = self.vessels[from_at].head(n, free);
        let n = pieces.iter().map(Vec::len).sum();
        self.vessels[from_at].take(n);
        self.idle = 0;
        if let Some(to_at) = to_at {
            self.put(to_at, pieces);
        }
        Ok(n)
    }

    fn poll(&mut self, interests: &[Interest<'_>], timeout: Option<Duration>) -> Result<u32> {
        let all: Vec<_> =
            interests.iter().map(|interest| (self.index(interest.fd), interest.readable)).collect();
        let bits = |world: &Self| {
            let ready = |(i, (at, readable)): (usize, &(Option<usize>, bool))| {
                let Some(vessel) = at.map(|at| &world.vessels[at]) else { return 0 };
                let held = !vessel.held.is_empty();
                let ready = if *readable { held || vessel.has_ended() } else { vessel.has_room() };
                u32::from(ready) << i
            };
            all.iter().enumerate().map(ready).sum::<u32>()
        };
        if timeout == Some(Duration::ZERO) {
            return Ok(bits(self));
        }
        self.enter(&Call::of(Operation::Wait))?;
        while bits(self) == 0 {
            let indices = all.iter().filter_map(|(at, _)| *at);
            let progressed: Vec<_> = indices.map(|at| self.vessels[at].progress(1)).collect();
            if !progressed.contains(&true) {
                return self.violated("waits for ever");
            }
        }
        Ok(bits(self))
    }
}

/// The most that `answer` lets a call move; `None` for nothing at all.
fn bound(answer: Answer, n: usize) -> Option<usize> {
    match answer {
        Answer::Zero => None,
        Answer::Short(most) => Some(n.min(usize::try_from(most).unwrap_or(n).max(1))),
        _ => Some(n),
    }
}

impl Kernel for Plumbing {
    fn traits(&self, fd: BorrowedFd<'_>) -> Result<Traits> {
        let world = self.0.borrow();
        Ok(Traits::of(world.vessels[world.find(fd)?].kind))
    }
    fn read(&self, from: End<'_>, buffer: &mut [u8]) -> Result<usize> {
        let answer = self.0.borrow_mut().read(from, buffer);
        self.logged(Operation::Read, buffer.len(), answer)
    }
    fn write(&self, to: End<'_>, bytes: &[u8]) -> Result<usize> {
        let answer = self.0.borrow_mut().write(to, bytes);
        self.logged(Operation::Write, bytes.len(), answer)
    }
    fn poll(&self, interests: &[Interest<'_>], timeout: Option<Duration>) -> Result<u32> {
        let answer = self.0.borrow_mut().poll(interests, timeout);
        self.logged(Operation::Wait, interests.len(), answer)
    }
    fn length(&self, _: BorrowedFd<'_>) -> Result<u64> {
        Err(Errno::INVAL)
    }
    fn pipe(&self, _capacity: usize) -> Result<NewPipe> {
        let entered = self.0.borrow_mut().enter(&Call::of(Operation::Pipe));
        self.logged(Operation::Pipe, 0, entered)?;
        let slots = self.0.borrow().stage_slots;
        let far = Far { slots, ..Far::default() };
        let (_, reader, writer) = self.add(Kind::Pipe, far).map_err(|_| Errno::MFILE)?;
        let (reader, writer) = (OwnedFd::from(reader), OwnedFd::from(writer));
        Ok(NewPipe { reader, writer, capacity: slots * PAGE, reusable: false })
    }
    fn splice(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        let answer = self.0.borrow_mut().splice(from, to, n);
        self.logged(Operation::Splice, n, answer)
    }
    fn tee(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        let answer = self.0.borrow_mut().tee(from, to, n);
        self.logged(Operation::Tee, n, answer)
    }
    fn held(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        let world = self.0.borrow();
        Ok(world.vessels[world.find(pipe)?].len())
    }
    fn capacity(&self, pipe: BorrowedFd<'_>) -> Result<usize> {
        let world = self.0.borrow();
        Ok(world.vessels[world.find(pipe)?].slots * PAGE)
    }
}
