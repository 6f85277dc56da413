//! Gives the bytes of one pipe to the pipes of all lanes.

mod waiting;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::lane::Lane;
use super::report::FanoutReport;
use crate::cancel::Cancel;
use crate::engine::{Stop, fanout};
use crate::kind::Kind;
use crate::operation::Operation;
use crate::pipe::ReadEnd;
use crate::report::{Reason, Refusal};
use crate::route::Route;
use crate::stage::Buffer;
use crate::sys::errno::{Verdict, uninterrupted, verdict};
use crate::sys::{End, Interest, Kernel};
pub(super) use waiting::cancelled;

/// What is copied at a time where `tee` is refused.
const BLOCK: usize = 64 << 10;
/// So many waits in a row without a byte, and `tee` is given up.
const FRUITLESS_WAITS: u32 = 32;

#[derive(Debug)]
pub(super) struct Hub<'a, K> {
    kernel: K,
    reader: ReadEnd,
    pub(super) lanes: Vec<Lane<'a>>,
    /// What comes while no lane is attached is dropped, and nothing ends for that.
    pub(super) drops: bool,
    dropped: u64,
    /// Whether the source has ended.
    last: bool,
    /// What the driver tells of the pipe, where it does; otherwise the system is asked.
    fed: Option<Fed>,
    /// The bytes at the head, once they are copied; before, they are in the pipe.
    block: Buffer,
    refused: Option<Refusal>,
    nowhere: Option<File>,
    /// Where the head is, counted from the first byte.
    at: u64,
    waits: u32,
    /// Rung by whoever wants it to stop.
    pub(super) cancel: Option<Cancel>,
}

/// What one turn of the hub came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The head has moved, or another turn may find more to do.
    Moved,
    /// Nothing is there.
    AwaitsSource,
    /// A lane has to take something first.
    AwaitsLane,
    /// The source has ended, or no lane is attached.
    Ended,
}

impl<'a, K: Kernel> Hub<'a, K> {
    /// `denied`: why `tee` is not to be used.
    pub(super) fn new(
        kernel: K,
        reader: ReadEnd,
        lanes: Vec<Lane<'a>>,
        denied: Option<Refusal>,
    ) -> Self {
        let nowhere = File::options().write(true).open("/dev/null").ok();
        let block = Buffer::default();
        Self {
            kernel,
            reader,
            lanes,
            drops: false,
            dropped: 0,
            last: false,
            fed: None,
            block,
            refused: denied,
            nowhere,
            at: 0,
            waits: 0,
            cancel: None,
        }
    }

    /// Offers what is there to all lanes, and moves the head as far as they have got it. Never
    /// waits.
    pub(super) fn turn(&mut self) -> io::Result<Turn> {
        if self.is_alone() && !self.drops {
            return Ok(Turn::Ended);
        }
        let there = match self.there()? {
            There::Nothing => return Ok(Turn::AwaitsSource),
            There::End => return Ok(Turn::Ended),
            There::Bytes(there) => there,
        };
        for index in 0..self.lanes.len() {
            self.offer(index, there)?;
        }
        // Nobody to have what would be moved now: it is handed out.
        if self.is_alone() && !self.drops {
            return Ok(Turn::Ended);
        }
        let n = self.movable(there);
        if n > 0 {
            self.waits = 0;
            self.advance(n)?;
            return Ok(Turn::Moved);
        }
        if !self.lanes.iter().any(Lane::holds_up) {
            return Ok(Turn::Moved);
        }
        self.waits += 1;
        if self.waits > FRUITLESS_WAITS && self.refused.is_none() && self.seem_ready() {
            self.give_up_tee(Reason::Stuck(Operation::Tee))?;
            return Ok(Turn::Moved);
        }
        Ok(Turn::AwaitsLane)
    }

    /// Whether no lane is attached any more.
    pub(super) fn is_alone(&self) -> bool {
        self.lanes.iter().all(|lane| lane.feed.is_none())
    }

    /// What there is at the head.
    fn there(&mut self) -> io::Result<There> {
        if self.refused.is_some() && !self.block.bytes().is_empty() {
            return Ok(There::Bytes(self.block.bytes().len() as u64));
        }
        let mut held = match self.fed {
            Some(fed) => match fed.left_behind(self.at) {
                0 if fed.ended => return Ok(There::End),
                0 => return Ok(There::Nothing),
                left => left,
            },
            None => self.kernel.held(self.reader.as_fd())?,
        };
        if held == 0 {
            let here = Interest { fd: self.reader.as_fd(), readable: true };
            let now = Some(Duration::ZERO);
            if uninterrupted(|| self.kernel.poll(&[here], now))? & 1 == 0 {
                return Ok(There::Nothing);
            }
            held = self.kernel.held(self.reader.as_fd())?;
            if held == 0 {
                // Ready without a byte: nobody is left to write one.
                return Ok(There::End);
            }
        }
        if self.refused.is_some() {
            self.copy_out(1)?;
            return Ok(There::Bytes(self.block.bytes().len() as u64));
        }
        Ok(There::Bytes(held as u64))
    }

    /// Copies at least `least` of the bytes that the pipe holds out of it.
    fn copy_out(&mut self, least: u64) -> io::Result<()> {
        let least = usize::try_from(least).unwrap_or(BLOCK);
        let from = end(self.reader.as_fd());
        let space = self.block.space(BLOCK.max(least));
        let mut filled = 0;
        let mut ended = Ok(());
        while filled < least {
            match uninterrupted(|| self.kernel.read(from, &mut space[filled..])) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(errno) => {
                    ended = Err(errno.into());
                    break;
                }
            }
        }
        self.block.filled(filled);
        ended
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
        if most == 0 || lane.is_as_full_as_before() {
            lane.refuse(false);
            return Ok(());
        }
        let given = if self.refused.is_none() {
            fanout::tee(&self.kernel, self.reader.as_fd(), feed.as_fd(), most)
        } else {
            let from = usize::try_from(lane.ahead).unwrap_or(usize::MAX);
            let bytes = self.block.bytes().get(from..).unwrap_or_default();
            let most = usize::try_from(most).unwrap_or(usize::MAX).min(bytes.len());
            fanout::write(&self.kernel, &bytes[..most], feed.as_fd())
        };
        match given {
            Ok(n) => lane.accept(n),
            Err(Stop::Wait(_)) => lane.refuse(true),
            Err(Stop::Call { errno, .. }) => {
                let operation = Operation::Tee;
                if self.refused.is_none() && verdict(operation, errno, false) == Verdict::Refused {
                    return self.give_up_tee(Reason::Errno { operation, errno });
                }
                // Its sink has failed: its thread says how.
                lane.shut();
            }
            Err(Stop::Refused(reason)) => return self.give_up_tee(reason),
            Err(Stop::Fault(fault)) => return Err(fault.cause),
        }
        Ok(())
    }

    /// From now on bytes are copied. What some lanes have got already has to be in the block.
    fn give_up_tee(&mut self, reason: Reason) -> io::Result<()> {
        self.refused = Some(Refusal::new(Route::Splice, reason));
        self.lanes.iter_mut().for_each(Lane::forget_fullness);
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
        if self.is_alone() {
            self.dropped += n;
        }
        self.lanes.iter_mut().for_each(|lane| lane.head_moves(self.at, n));
        self.at += n;
        Ok(())
    }

    fn discard(&mut self, mut n: u64) -> io::Result<()> {
        while n > 0 {
            if let Some(nowhere) = &self.nowhere {
                match fanout::discard(&self.kernel, self.reader.as_fd(), nowhere.as_fd(), n) {
                    Ok(moved) => n -= moved,
                    Err(_) => self.nowhere = None,
                }
                continue;
            }
            let mut block = [0; 4096];
            let most = usize::try_from(n).unwrap_or(usize::MAX).min(block.len());
            let from = end(self.reader.as_fd());
            match uninterrupted(|| self.kernel.read(from, &mut block[..most]))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => n -= read as u64,
            }
        }
        Ok(())
    }

    /// Gives up `tee` where a lane has room and takes nothing all the same, and only the caller
    /// can have changed that. Whether it did.
    pub(super) fn unstick(&mut self) -> io::Result<bool> {
        let stuck = self.refused.is_none() && self.seem_ready();
        if stuck {
            self.give_up_tee(Reason::Stuck(Operation::Tee))?;
        }
        Ok(stuck)
    }

    /// Whether every lane that holds the others up calls itself ready.
    fn seem_ready(&self) -> bool {
        let mut holding = self.lanes.iter().filter(|lane| lane.holds_up());
        holding.all(|lane| {
            if !lane.was_asked() {
                return false;
            }
            let room =
                lane.feed.as_ref().map(|feed| Interest { fd: feed.as_fd(), readable: false });
            let now = Some(Duration::ZERO);
            room.is_some_and(|room| self.kernel.poll(&[room], now) == Ok(1))
        })
    }

    /// What was taken from the source and not relayed. Only after nobody writes any more, or for
    /// what is there.
    pub(super) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = self.block.bytes().to_vec();
        self.block.consume(rest.len());
        let mut left = self.kernel.held(self.reader.as_fd())?;
        let mut block = [0; 4096];
        while left > 0 {
            let most = left.min(block.len());
            let from = end(self.reader.as_fd());
            match uninterrupted(|| self.kernel.read(from, &mut block[..most]))? {
                0 => break,
                n => {
                    rest.extend_from_slice(&block[..n]);
                    left -= n;
                }
            }
        }
        Ok(rest)
    }

    /// A lane more. What was before the head is nothing to it.
    pub(super) fn join(&mut self, mut lane: Lane<'a>) {
        if self.last {
            lane.last_bytes();
        }
        self.lanes.push(lane);
    }

    /// The source has ended; what is in the pipe is still relayed.
    pub(super) fn last_bytes(&mut self) {
        self.last = true;
        self.lanes.iter_mut().for_each(Lane::last_bytes);
    }

    /// Whether nothing is there to be relayed.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(match self.fed {
            Some(fed) => fed.left_behind(self.at) == 0,
            None => self.block.bytes().is_empty() && self.kernel.held(self.reader.as_fd())? == 0,
        })
    }

    /// So many bytes were put into the pipe since the first one, or more will not come.
    pub(super) fn fed(&mut self, given: u64, ended: bool) {
        self.fed = Some(Fed { given, ended });
    }

    /// Where the head is: so many bytes went to all attached lanes, or into their gaps.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// How many bytes went to nobody.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn report(&self, taken: u64) -> FanoutReport {
        let sinks = self.lanes.iter().map(Lane::report).collect();
        let (relayed, dropped, refused) = (self.at, self.dropped, self.refused);
        FanoutReport { taken, relayed, dropped, refused, sinks }
    }
}

/// What went into the hub's pipe.
#[derive(Debug, Clone, Copy)]
struct Fed {
    given: u64,
    ended: bool,
}

impl Fed {
    /// So much of it is behind the head, which is `at`, or at it.
    fn left_behind(self, at: u64) -> usize {
        usize::try_from(self.given.saturating_sub(at)).unwrap_or(usize::MAX)
    }
}

/// What there is at the head.
enum There {
    Nothing,
    Bytes(u64),
    End,
}

/// A pipe as an end of a call that finds bytes or room there.
fn end(fd: BorrowedFd<'_>) -> End<'_> {
    End { fd, kind: Kind::Pipe, at: None, nowait: false }
}
