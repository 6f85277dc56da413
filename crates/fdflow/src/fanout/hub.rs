//! Gives the bytes of one pipe to the pipes of all lanes.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::held;
use super::lane::{Ended, Lane};
use super::report::FanoutReport;
use crate::engine::{Stop, fanout};
use crate::error::Fault;
use crate::operation::Operation;
use crate::pipe::ReadEnd;
use crate::policy::Policy;
use crate::report::{Reason, Refusal};
use crate::route::Route;
use crate::stage::Buffer;
use crate::sys::errno::{Verdict, uninterrupted, verdict};
use crate::sys::{Interest, Kernel, System};

/// What is copied at a time where `tee` is refused.
const BLOCK: usize = 64 << 10;
/// So many waits in a row without a byte, and `tee` is given up.
const FRUITLESS_WAITS: u32 = 32;

#[derive(Debug)]
pub(super) struct Hub {
    reader: ReadEnd,
    lanes: Vec<Lane>,
    /// The bytes at the head, once they are copied; before, they are in the pipe.
    block: Buffer,
    refused: Option<Refusal>,
    nowhere: Option<File>,
    /// Where the head is, counted from the first byte.
    at: u64,
    waits: u32,
}

impl Hub {
    pub(super) fn new(reader: ReadEnd, lanes: Vec<Lane>) -> Self {
        let refused = (!Policy::default().routes.contains(Route::Splice))
            .then(|| Refusal::new(Route::Splice, Reason::Denied));
        let nowhere = File::options().write(true).open("/dev/null").ok();
        let block = Buffer::default();
        Self { reader, lanes, block, refused, nowhere, at: 0, waits: 0 }
    }

    /// Until the source has ended, or no lane is attached.
    pub(super) fn relay(&mut self) -> Result<(), Fault> {
        loop {
            if self.is_alone() {
                return Ok(());
            }
            let there = self.there().map_err(broken)?;
            if there == 0 {
                return Ok(());
            }
            for index in 0..self.lanes.len() {
                self.offer(index, there).map_err(broken)?;
            }
            // Nobody to have what would be moved now: it is handed out.
            if self.is_alone() {
                return Ok(());
            }
            let n = self.movable(there);
            if n > 0 {
                self.waits = 0;
                self.advance(n).map_err(broken)?;
            } else if self.lanes.iter().any(Lane::holds_up) {
                self.wait()?;
            }
        }
    }

    /// Whether no lane is attached any more.
    fn is_alone(&self) -> bool {
        self.lanes.iter().all(|lane| lane.feed.is_none())
    }

    /// How many bytes there are at the head; waits for some. None: the end.
    fn there(&mut self) -> io::Result<u64> {
        if self.refused.is_some() {
            if self.block.bytes().is_empty() {
                self.copy_out(1)?;
            }
            return Ok(self.block.bytes().len() as u64);
        }
        loop {
            let there = held(&self.reader)?;
            if there > 0 {
                return Ok(there as u64);
            }
            let here = Interest { fd: self.reader.as_fd(), readable: true };
            uninterrupted(|| System.poll(&[here], None))?;
            // Ready without a byte: nobody is left to write one.
            if held(&self.reader)? == 0 {
                return Ok(0);
            }
        }
    }

    /// Copies at least `least` bytes out of the pipe, unless it ends before.
    fn copy_out(&mut self, least: u64) -> io::Result<()> {
        let least = usize::try_from(least).unwrap_or(BLOCK);
        let space = self.block.space(BLOCK.max(least));
        let mut filled = 0;
        while filled < least {
            match Read::read(&mut self.reader, &mut space[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.block.filled(filled);
        Ok(())
    }

    /// Offers a lane what it has not got of the `there` bytes at the head.
    fn offer(&mut self, index: usize, there: u64) -> io::Result<()> {
        let lane = &mut self.lanes[index];
        let Some(feed) = &lane.feed else { return Ok(()) };
        // tee always starts at the head: a lane that has got some of it has to wait until the
        // head has moved by as much.
        let most = (there - lane.ahead.min(there)).min(lane.may_take());
        if self.refused.is_none() && lane.ahead > 0 || lane.ahead >= there {
            return Ok(());
        }
        if most == 0 {
            lane.refuse();
            return Ok(());
        }
        let given = if self.refused.is_none() {
            fanout::tee(&System, self.reader.as_fd(), feed.as_fd(), most)
        } else {
            let from = usize::try_from(lane.ahead).unwrap_or(usize::MAX);
            let bytes = self.block.bytes().get(from..).unwrap_or_default();
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
            fanout::write(&System, &bytes[..most], feed.as_fd())
        };
        match given {
            Ok(n) => lane.accept(n),
            Err(Stop::Wait(_)) => lane.refuse(),
            Err(Stop::Call { errno, .. }) => {
                let operation = Operation::Tee;
                if self.refused.is_none() && verdict(operation, errno, false) == Verdict::Refused {
                    return self.give_up_tee(Reason::Errno { operation, errno });
                }
                // Its sink has failed: its thread says how.
                lane.feed = None;
            }
            Err(Stop::Refused(reason)) => return self.give_up_tee(reason),
            Err(Stop::Fault(fault)) => return Err(fault.cause),
        }
        Ok(())
    }

    /// From now on bytes are copied. What some lanes have got already has to be in the block.
    fn give_up_tee(&mut self, reason: Reason) -> io::Result<()> {
        self.refused = Some(Refusal::new(Route::Splice, reason));
        let most = self.lanes.iter().map(|lane| lane.ahead).max().unwrap_or(0);
        self.copy_out(most.max(1))
    }

    /// How far the head may move: as far as every lane has got its bytes, or is to miss them.
    fn movable(&self, there: u64) -> u64 {
        let there = if self.refused.is_some() { self.block.bytes().len() as u64 } else { there };
        let attached = self.lanes.iter().filter(|lane| lane.feed.is_some());
        let reached = attached.filter_map(|lane| match lane.ahead {
            0 if lane.holds_up() || !lane.refuses => Some(0),
            0 => None,
            ahead => Some(ahead),
        });
        reached.min().unwrap_or(there).min(there)
    }

    /// Moves the head by exactly `n` bytes.
    fn advance(&mut self, n: u64) -> io::Result<()> {
        if self.refused.is_some() {
            self.block.consume(usize::try_from(n).unwrap_or(usize::MAX));
        } else {
            self.discard(n)?;
        }
        self.lanes.iter_mut().for_each(|lane| lane.head_moves(self.at, n));
        self.at += n;
        Ok(())
    }

    fn discard(&mut self, mut n: u64) -> io::Result<()> {
        while n > 0 {
            if let Some(nowhere) = &self.nowhere {
                match fanout::discard(&System, self.reader.as_fd(), nowhere.as_fd(), n) {
                    Ok(moved) => n -= moved,
                    Err(_) => self.nowhere = None,
                }
                continue;
            }
            let mut block = [0; 4096];
            let most = usize::try_from(n).unwrap_or(usize::MAX).min(block.len());
            match Read::read(&mut self.reader, &mut block[..most]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => n -= read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for a lane that holds the others up, no longer than any of these may.
    fn wait(&mut self) -> Result<(), Fault> {
        self.waits += 1;
        if self.waits > FRUITLESS_WAITS && self.refused.is_none() && self.seem_ready() {
            return self.give_up_tee(Reason::Stuck(Operation::Tee)).map_err(broken);
        }
        let holding = || self.lanes.iter().filter(|lane| lane.holds_up());
        let patience = holding().filter_map(Lane::patience).min();
        let Some(feed) = holding().find_map(|lane| lane.feed.as_ref()) else { return Ok(()) };
        let room = Interest { fd: feed.as_fd(), readable: false };
        let ready = uninterrupted(|| System.poll(&[room], patience));
        ready.map(drop).map_err(|errno| broken(errno.into()))
    }

    /// Whether every lane that holds the others up calls itself ready.
    fn seem_ready(&self) -> bool {
        let mut holding = self.lanes.iter().filter(|lane| lane.holds_up());
        holding.all(|lane| {
            let room =
                lane.feed.as_ref().map(|feed| Interest { fd: feed.as_fd(), readable: false });
            room.is_some_and(|room| System.poll(&[room], Some(Duration::ZERO)) == Ok(1))
        })
    }

    /// What was taken from the source and not relayed. Only after nobody writes any more.
    pub(super) fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.block.bytes().to_vec();
        drop(Read::read_to_end(&mut self.reader, &mut rest));
        rest
    }

    /// Lets the lanes run dry, and tells how each ended.
    pub(super) fn finish(mut self, ended: &Receiver<Ended>, taken: u64) -> FanoutReport {
        self.lanes.iter_mut().for_each(Lane::close);
        while self.lanes.iter().any(|lane| !lane.is_done()) {
            self.lanes.iter_mut().for_each(Lane::look_after);
            let waited_for =
                self.lanes.iter().filter(|lane| !lane.is_done() && !lane.is_detached());
            let end = match waited_for.filter_map(Lane::patience).min() {
                Some(patience) => ended.recv_timeout(patience),
                None => ended.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match end {
                Ok((index, error, report)) => {
                    if let Some(lane) = self.lanes.get_mut(index) {
                        lane.ended(error, report);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // A thread panicked: the scope passes that on.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let (relayed, refused) = (self.at, self.refused);
        let sinks = self.lanes.into_iter().map(Lane::into_report).collect();
        FanoutReport { taken, relayed, refused, sinks }
    }
}

fn broken(cause: io::Error) -> Fault {
    Fault::plain(Operation::Tee, cause)
}
