//! A simulated kernel that answers from a script, for tests and fuzzing of transfers.
//!
//! A [`Scripted`] kernel has one source and one sink ([`Setup`]) and moves bytes between them as
//! a kernel does: pipes have slots, sockets have windows, files have positions, offsets and
//! holes. Each call takes one byte of script, which may make its answer short, an error or zero
//! ([`Answer`]); when the script has run out, all goes well, so that every transfer ends. There
//! is no time: what has to be waited for happens because it is waited for.
//!
//! Callers are held to a discipline; what they do against it is in
//! [`violations`](Scripted::violations), and ends the simulation: bytes out of order, a private
//! pipe filled while it holds bytes, a count of 0 or beyond the kernel's, another call after a
//! failure or the same one after a refusal, a wait for an end that is ready or will never be,
//! a blocking call on an end that was to be polled, and calls without end.
//!
//! [`check_schedule`] makes a whole transfer of some bytes and checks it. `plumbing` is the same for
//! `tee`: many pipes and their far ends, for mirrors and fan-outs.

mod calls;
mod check;
mod ends;
mod files;
#[cfg(test)]
mod hazards;
mod objects;
#[cfg(test)]
pub(crate) mod picks;
#[cfg(test)]
pub(crate) mod plumbing;
mod schedule;
#[cfg(test)]
mod schedules;
mod script;
mod setup;
#[cfg(test)]
mod vessel;
mod world;

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

pub use check::{check_schedule, try_schedule};
pub use ends::{ScriptedSink, ScriptedSource};
pub use schedule::Schedule;
#[cfg(test)]
pub(crate) use schedules::check_schedules;
pub use script::Answer;
pub use setup::{Setup, Told};
pub use world::{Entry, Fault};

use super::{End, Extent, Interest, Kernel, NewPipe, Result};
use crate::cancel::Cancel;
use crate::kind::Traits;
use crate::operation::{Operation, Side};
use rustix::io::Errno;
use script::Call;
use world::World;

/// The simulated kernel. Its descriptors are real ones, of `/dev/null`, so that they can be
/// borrowed and closed like others; nothing is ever read from them.
#[derive(Debug)]
pub struct Scripted {
    world: RefCell<World>,
    tokens: (File, File),
}

impl Scripted {
    /// A kernel with these two ends and this script.
    ///
    /// # Errors
    ///
    /// No descriptors to be had for the tokens.
    pub fn new(setup: Setup, script: &[u8]) -> io::Result<Self> {
        let token = || File::options().read(true).write(true).open("/dev/null");
        let tokens = (token()?, token()?);
        let fds = (tokens.0.as_raw_fd(), tokens.1.as_raw_fd());
        Ok(Self { world: RefCell::new(World::new(setup, fds, script)), tokens })
    }

    /// The source to give to a transfer.
    pub fn source(&self) -> ScriptedSource<'_> {
        ScriptedSource::new(self)
    }

    /// The sink to give to a transfer.
    pub fn sink(&self) -> ScriptedSink<'_> {
        ScriptedSink::new(self)
    }

    /// The `nth` call (from 0) of `operation` is to be answered so.
    pub fn rule(&self, operation: Operation, nth: u32, answer: Answer) {
        self.world.borrow_mut().script.rule(operation, nth, answer);
    }

    /// `cancel` is rung by the `nth` call from now, whichever it is.
    pub fn cancel_at(&self, nth: u64, cancel: Cancel) {
        self.world.borrow_mut().cancel = Some((nth.max(1), cancel));
    }

    /// What was done against the discipline.
    pub fn violations(&self) -> Vec<String> {
        self.world.borrow().violations.clone()
    }

    /// The latest calls.
    pub fn log(&self) -> Vec<Entry> {
        self.world.borrow().log.clone()
    }

    /// How many calls of `operation` were made.
    pub fn calls(&self, operation: Operation) -> u32 {
        self.world.borrow().script.count(operation)
    }

    /// The most slots that a private pipe has had in use.
    pub fn most_slots(&self) -> usize {
        self.world.borrow().most_slots
    }

    /// Bytes that have left the source; those before a hole that is not yet claimed.
    pub fn taken(&self) -> u64 {
        self.world.borrow().taken
    }

    /// Bytes that are in the sink; those before a hole that is not yet claimed.
    pub fn given(&self) -> u64 {
        self.world.borrow().given
    }

    /// Whether the sink can be said to hold exactly the transfer's first `n` bytes.
    pub fn holds(&self, n: u64) -> bool {
        self.world.borrow_mut().reach(n)
    }

    /// How many bytes there are for a transfer without a limit, as things are now.
    pub fn there(&self) -> u64 {
        let world = self.world.borrow();
        world.supply.end().saturating_sub(world.setup.first())
    }

    /// The positions of the source's and the sink's descriptor, where they are files.
    pub fn positions(&self) -> (Option<u64>, Option<u64>) {
        let world = self.world.borrow();
        let source = match world.supply {
            objects::Supply::File { position, .. } => Some(position),
            objects::Supply::Queue { .. } => None,
        };
        let sink = match world.demand {
            objects::Demand::File { position, .. } => Some(position),
            _ => None,
        };
        (source, sink)
    }

    /// Whether `bytes` are those of the transfer from its byte `n` on.
    pub fn is(&self, n: u64, bytes: &[u8]) -> bool {
        let world = self.world.borrow();
        world.data.is(world.setup.first() + n, bytes)
    }

    /// The failure that was answered, if one was: whoever asks has been told of it.
    pub fn take_fault(&self) -> Option<Fault> {
        self.world.borrow_mut().fault.take()
    }

    /// Whether a source that never ends has gone silent.
    pub fn is_silent(&self) -> bool {
        self.world.borrow().silent
    }

    /// Waits for an end as a driver would; `false`: in vain, which is a violation unless the
    /// source has gone silent.
    pub fn wait(&self, side: Side) -> bool {
        let fd = match side {
            Side::Source => self.tokens.0.as_fd(),
            Side::Sink => self.tokens.1.as_fd(),
        };
        let interest = Interest { fd, readable: side == Side::Source };
        loop {
            match self.poll(&[interest], None) {
                Err(Errno::INTR) => {}
                Err(Errno::NOMEM) => drop(self.take_fault()),
                answer => return answer.is_ok(),
            }
        }
    }

    fn record<T>(&self, answer: Result<T>, n: impl Fn(&T) -> u64) -> Result<T> {
        let logged = answer.as_ref().map(n).map_err(|errno| *errno);
        self.world.borrow_mut().leave(logged);
        answer
    }

    fn transfer(
        &self,
        operation: Operation,
        from: End<'_>,
        to: End<'_>,
        n: usize,
    ) -> Result<usize> {
        let answer = self.world.borrow_mut().transfer(operation, from, to, n as u64);
        self.record(answer, |n| *n).map(objects::index)
    }

    fn token(&self) -> Result<OwnedFd> {
        rustix::io::fcntl_dupfd_cloexec(&self.tokens.0, 0)
    }
}

impl Kernel for Scripted {
    fn traits(&self, fd: BorrowedFd<'_>) -> Result<Traits> {
        let answer = self.world.borrow_mut().traits(fd);
        self.record(answer, |_| 0)
    }

    fn read(&self, from: End<'_>, buffer: &mut [u8]) -> Result<usize> {
        let answer = self.world.borrow_mut().read(from, buffer);
        self.record(answer, |n| *n).map(objects::index)
    }

    fn write(&self, to: End<'_>, bytes: &[u8]) -> Result<usize> {
        let answer = self.world.borrow_mut().write(to, bytes);
        self.record(answer, |n| *n).map(objects::index)
    }

    fn poll(&self, interests: &[Interest<'_>], timeout: Option<Duration>) -> Result<u32> {
        let answer = self.world.borrow_mut().poll(interests, timeout);
        self.record(answer, |bits| u64::from(*bits))
    }

    fn length(&self, file: BorrowedFd<'_>) -> Result<u64> {
        let answer = self.world.borrow_mut().length(file);
        self.record(answer, |length| *length)
    }

    fn pipe(&self, capacity: usize) -> Result<NewPipe> {
        let n = capacity as u64;
        let entered = self.world.borrow_mut().enter(&Call { n, ..Call::of(Operation::Pipe) });
        self.record(entered, |_| 0)?;
        let (reader, writer) = (self.token()?, self.token()?);
        let fds = (reader.as_raw_fd(), writer.as_raw_fd());
        let capacity = self.world.borrow_mut().add_stage(fds.0, fds.1, capacity);
        // Never for the pool: a pipe of this kernel is worth nothing to another.
        Ok(NewPipe { reader, writer, capacity, reusable: false })
    }

    fn sendfile(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        self.transfer(Operation::Sendfile, from, to, n)
    }

    fn splice(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        self.transfer(Operation::Splice, from, to, n)
    }

    fn copy_file_range(&self, from: End<'_>, to: End<'_>, n: usize) -> Result<usize> {
        self.transfer(Operation::CopyFileRange, from, to, n)
    }

    fn clone_range(&self, from: End<'_>, to: End<'_>, n: u64) -> Result<()> {
        let answer = self.world.borrow_mut().clone_range(from, to, n);
        self.record(answer, |n| *n).map(drop)
    }

    fn extent(&self, _file: BorrowedFd<'_>, at: u64) -> Result<Extent> {
        let answer = self.world.borrow_mut().extent(at);
        self.record(answer, |extent| extent.end)
    }

    fn set_position(&self, file: BorrowedFd<'_>, to: u64) -> Result<()> {
        self.world.borrow_mut().set_position(file, to)
    }

    fn set_length(&self, _file: BorrowedFd<'_>, length: u64) -> Result<()> {
        let answer = self.world.borrow_mut().set_length(length);
        self.record(answer, |()| 0)
    }

    fn punch_hole(&self, _file: BorrowedFd<'_>, at: u64, n: u64) -> Result<()> {
        let answer = self.world.borrow_mut().punch_hole(at, n);
        self.record(answer, |()| 0)
    }

    fn reopen(&self, _file: BorrowedFd<'_>) -> Result<OwnedFd> {
        let entered = self.world.borrow_mut().enter(&Call::of(Operation::Seek));
        self.record(entered, |_| 0)?;
        let fd = self.token()?;
        self.world.borrow_mut().reopened.push(fd.as_raw_fd());
        Ok(fd)
    }

    fn room(&self, _to: End<'_>) -> Result<usize> {
        self.world.borrow_mut().room().map(objects::index)
    }
}
