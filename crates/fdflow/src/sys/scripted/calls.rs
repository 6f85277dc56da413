//! The simulated calls.

use std::time::Duration;

use rustix::io::Errno;

use super::objects::{index, pages, total};
use super::script::{Answer, Call};
use super::setup::Told;
use super::world::{OVER, Which, World};
use crate::kind::Kind;
use crate::operation::{Operation, Side};
use crate::sys::{End, Interest, Kernel, Result, System};

/// The most that `answer` lets a call of `n` bytes move; `None` for nothing at all.
fn bound(answer: Answer, n: u64) -> Option<u64> {
    match answer {
        Answer::Zero => None,
        Answer::Short(most) => Some(n.min(most.max(1))),
        _ => Some(n),
    }
}

impl World {
    /// Makes sure that the source's end has something, or its end, for a call that can be told
    /// not to wait (`nowait`) or cannot.
    fn await_source(&mut self, from: End<'_>, nowait: bool) -> Result<()> {
        if self.supply.ready() {
            return Ok(());
        }
        if nowait || self.setup.source_nonblocking {
            self.again = Some(true);
            return Err(Errno::AGAIN);
        }
        if from.nowait {
            self.violated("blocks on a source that was to be polled".to_owned());
        }
        self.block(Side::Source)
    }

    /// The same for the sink's end, where a call wants to give `n` bytes.
    fn await_sink(&mut self, to: End<'_>, nowait: bool, n: u64) -> Result<()> {
        let forced = to.nowait && !nowait && !self.setup.sink_nonblocking;
        if forced && self.demand.fits(n) < n {
            self.violated(format!("blocks on a sink that was to be polled: {n} bytes"));
        }
        if self.demand.has_room() {
            return Ok(());
        }
        if nowait || self.setup.sink_nonblocking {
            self.again = Some(true);
            return Err(Errno::AGAIN);
        }
        self.block(Side::Sink)
    }

    pub(super) fn read(&mut self, from: End<'_>, buffer: &mut [u8]) -> Result<u64> {
        let n = buffer.len() as u64;
        let which = self.which(from.fd);
        if let Which::StageReader(i) = which {
            return self.unload(i, buffer);
        }
        let again = self.setup.source_nonblocking && self.setup.source.waits();
        let source = Some(self.setup.source);
        let call = Call { n, again, source, ..Call::of(Operation::Read) };
        let answer = self.enter(&call)?;
        self.check_count(Operation::Read, n);
        if which != Which::Source {
            self.violated("reads from what is no source".to_owned());
            return Err(Errno::BADF);
        }
        let told = from.kind.is_stream() || from.kind == Kind::Pipe;
        self.await_source(from, from.nowait && told)?;
        let n = bound(answer, n).unwrap_or(n);
        self.supply.grow(from.at);
        let pieces = self.supply.peek(from.at, n, None);
        let Some(piece) = pieces.first().copied() else { return Ok(0) };
        self.check_taken(Operation::Read, piece.start, piece.len);
        self.supply.take(from.at, piece.len);
        self.data.copy(piece.start, &mut buffer[..index(piece.len)]);
        Ok(piece.len)
    }

    /// Out of a private pipe into user space. Only signals and short counts can happen here.
    fn unload(&mut self, i: usize, buffer: &mut [u8]) -> Result<u64> {
        let mut call = Call::of(Operation::Read);
        call.n = buffer.len() as u64;
        // Taking a transfer apart after a failure is no retry, and works after all else.
        let fault = self.fault.take();
        let entered = self.enter(&call);
        self.fault = fault;
        let answer = match entered {
            Err(OVER) => Answer::Well,
            entered => entered?,
        };
        if self.stages[i].held.is_empty() {
            self.violated("reads from a private pipe that is empty".to_owned());
            return Err(Errno::AGAIN);
        }
        let n = bound(answer, call.n).unwrap_or(call.n);
        let (pieces, mut done) = (self.stages[i].peek(n), 0);
        for piece in pieces {
            let len = index(piece.len);
            self.data.copy(piece.start, &mut buffer[done..done + len]);
            done += len;
        }
        self.stages[i].take(done as u64);
        self.moved(Operation::Read);
        Ok(done as u64)
    }

    pub(super) fn write(&mut self, to: End<'_>, bytes: &[u8]) -> Result<u64> {
        let n = bytes.len() as u64;
        let again = self.setup.sink_nonblocking && self.setup.sink.waits();
        let sink = Some(self.setup.sink);
        let call = Call { n, again, sink, ..Call::of(Operation::Write) };
        let answer = self.enter(&call)?;
        self.check_count(Operation::Write, n);
        if self.which(to.fd) != Which::Sink {
            self.violated("writes to what is no sink".to_owned());
            return Err(Errno::BADF);
        }
        let told = to.kind.is_stream() || to.kind == Kind::Pipe;
        self.await_sink(to, to.nowait && told, 1)?;
        let n = self.demand.fits(bound(answer, n).unwrap_or(n));
        let start = self.setup.first() + self.given;
        let offset = self.demand.put(to.at, &pages(start, n));
        self.receive(offset, &bytes[..index(n)]);
        Ok(n)
    }

    /// Bytes from user space arrive in the sink: they have to be the next ones.
    pub(super) fn receive(&mut self, offset: Option<u64>, bytes: &[u8]) {
        if let Some(offset) = offset {
            self.reach(offset.wrapping_sub(self.setup.sink_start()));
        }
        let (place, n) = (self.given, bytes.len() as u64);
        let start = self.setup.first() + place;
        if !self.data.is(start, bytes) {
            self.violated(format!("write gives other bytes than those of place {place}"));
        }
        self.check_given(Operation::Write, start, n, offset);
        if self.given > self.taken {
            let (given, taken) = (self.given, self.taken);
            self.violated(format!("{given} bytes given where {taken} were taken"));
        }
    }

    /// `splice`, `sendfile` and `copy_file_range`.
    pub(super) fn transfer(
        &mut self,
        operation: Operation,
        from: End<'_>,
        to: End<'_>,
        n: u64,
    ) -> Result<u64> {
        let (source, sink) = (self.which(from.fd), self.which(to.fd));
        let mut call = Call { n, ..Call::of(operation) };
        if source == Which::Source {
            call.source = Some(self.setup.source);
            call.zero = true;
            call.again |= self.setup.source_nonblocking && self.setup.source.waits();
        }
        if sink == Which::Sink {
            call.sink = Some(self.setup.sink);
            call.zero = true;
            call.again |= self.setup.sink_nonblocking && self.setup.sink.waits();
        }
        // A copy between files never waits, and a private pipe is filled only when it has room.
        call.again &= operation != Operation::CopyFileRange;
        let answer = self.enter(&call)?;
        self.check_count(operation, n);
        self.impossible(operation, from, to)?;
        match (source, sink) {
            (Which::Source, Which::StageWriter(i)) => self.fill(i, from, n, answer),
            (Which::StageReader(i), Which::Sink) => self.drain(i, to, n, answer),
            (Which::Source, Which::Sink) => self.direct(operation, from, to, n, answer),
            _ => {
                self.violated(format!("{operation} from {source:?} to {sink:?}"));
                Err(Errno::BADF)
            }
        }
    }

    /// What no kernel does, whatever the script says.
    fn impossible(&mut self, operation: Operation, from: End<'_>, to: End<'_>) -> Result<()> {
        let file = |kind| matches!(kind, Kind::File | Kind::Block);
        let fits = match operation {
            Operation::Splice => from.kind == Kind::Pipe || to.kind == Kind::Pipe,
            Operation::Sendfile => file(from.kind),
            _ => from.kind == Kind::File && to.kind == Kind::File,
        };
        let offsets = (from.at.is_none() || file(from.kind))
            && (to.at.is_none() || (file(to.kind) && operation != Operation::Sendfile));
        if !fits || !offsets {
            self.violated(format!("{operation} of {:?} to {:?}", from.kind, to.kind));
            return Err(Errno::INVAL);
        }
        if self.setup.append && self.which(to.fd) == Which::Sink {
            self.refuse(operation);
            let copies = operation == Operation::CopyFileRange;
            return Err(if copies { Errno::BADF } else { Errno::INVAL });
        }
        Ok(())
    }

    fn fill(&mut self, i: usize, from: End<'_>, n: u64, answer: Answer) -> Result<u64> {
        self.check_exact(Operation::Splice, from, n);
        self.await_source(from, false)?;
        let stage = &self.stages[i];
        let free = stage.slots - stage.held.len();
        if free == 0 {
            // H20: the same answer as for a dry source.
            self.again = Some(true);
            return Err(Errno::AGAIN);
        }
        let Some(most) = bound(answer, n) else { return Ok(0) };
        let pieces = self.supply.peek(from.at, most, Some(free));
        let Some(first) = pieces.first().copied() else { return Ok(0) };
        let n = total(&pieces);
        self.check_taken(Operation::Splice, first.start, n);
        self.supply.take(from.at, n);
        self.stage(i, pieces);
        Ok(n)
    }

    fn drain(&mut self, i: usize, to: End<'_>, n: u64, answer: Answer) -> Result<u64> {
        let held = self.stages[i].len();
        if n > held {
            self.violated(format!("splice of {n} bytes where the private pipe has {held}"));
        }
        self.await_sink(to, false, n)?;
        let Some(most) = bound(answer, n) else { return Ok(0) };
        let pieces = self.stages[i].peek(self.demand.fits(most));
        let Some(first) = pieces.first().copied() else { return Err(Errno::AGAIN) };
        let n = total(&pieces);
        let offset = self.demand.put(to.at, &pieces);
        self.stages[i].take(n);
        self.check_given(Operation::Splice, first.start, n, offset);
        Ok(n)
    }

    fn direct(
        &mut self,
        operation: Operation,
        from: End<'_>,
        to: End<'_>,
        n: u64,
        answer: Answer,
    ) -> Result<u64> {
        if operation != Operation::CopyFileRange {
            self.check_exact(operation, from, n);
        }
        // The flag of the call is for its pipes, and is heard wherever it was raised.
        let flag = operation == Operation::Splice
            && (from.nowait
                || to.nowait
                || (from.kind == Kind::Pipe && self.setup.source_nonblocking)
                || (to.kind == Kind::Pipe && self.setup.sink_nonblocking));
        self.await_source(from, flag && from.kind == Kind::Pipe)?;
        let there = total(&self.supply.peek(from.at, n, None));
        if there == 0 {
            return Ok(0);
        }
        self.await_sink(to, flag && to.kind == Kind::Pipe, there)?;
        let Some(most) = bound(answer, n) else { return Ok(0) };
        if operation == Operation::CopyFileRange && self.setup.told == Told::Zero {
            return Ok(0);
        }
        let slots = self.demand.free_slots();
        let most = if slots.is_some() { most } else { self.demand.fits(most) };
        let pieces = self.supply.peek(from.at, most, slots);
        let Some(first) = pieces.first().copied() else { return Ok(0) };
        let n = total(&pieces);
        self.check_taken(operation, first.start, n);
        self.supply.take(from.at, n);
        let offset = self.demand.put(to.at, &pieces);
        self.check_given(operation, first.start, n, offset);
        Ok(n)
    }

    pub(super) fn poll(
        &mut self,
        interests: &[Interest<'_>],
        timeout: Option<Duration>,
    ) -> Result<u32> {
        let (mut sides, mut bell) = (Vec::new(), 0);
        for (i, interest) in interests.iter().enumerate() {
            match self.which(interest.fd) {
                Which::Source => sides.push((i, Side::Source)),
                Which::Sink => sides.push((i, Side::Sink)),
                // A real descriptor, the bell of a cancel: asked, and never waited for.
                _ => bell |= System.poll(&[*interest], Some(Duration::ZERO)).unwrap_or(0) << i,
            }
        }
        let bits = |world: &Self| {
            let ready = sides.iter().filter(|(_, side)| world.ready(*side));
            ready.fold(bell, |bits, (i, _)| bits | 1 << i)
        };
        if timeout == Some(Duration::ZERO) || sides.is_empty() {
            return Ok(bits(self));
        }
        let genuine = self.again == Some(true);
        self.enter(&Call::of(Operation::Wait))?;
        if genuine && bits(self) & !bell != 0 {
            self.violated(format!("waits for {sides:?}, which did not block"));
        }
        if bits(self) == 0 {
            self.block(sides[0].1)?;
        }
        Ok(bits(self))
    }

    pub(super) fn room(&mut self) -> Result<u64> {
        let most = self.script.byte().map_or(u64::MAX, |byte| u64::from(byte) * 64 + 1);
        Ok(self.demand.fits(u64::from(u32::MAX)).min(most))
    }
}
