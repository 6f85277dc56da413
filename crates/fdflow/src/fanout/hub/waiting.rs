//! How a hub waits where its lanes are on threads of their own.

use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

use arrayvec::ArrayVec;
use rustix::io::Errno;

use super::{Hub, Turn};
use crate::cancel::{Bell, Cancel};
use crate::error::{Cancelled, Fault};
use crate::fanout::lane::{Lane, Over};
use crate::operation::Operation;
use crate::sys::{Interest, Kernel};

impl<'a, K: Kernel> Hub<'a, K> {
    /// Until the source has ended, or no lane is attached, or it is cancelled.
    pub(in crate::fanout) fn relay(&mut self) -> Result<(), Fault> {
        loop {
            if self.cancel.as_ref().is_some_and(Cancel::answer) {
                return Err(cancelled());
            }
            match self.turn().map_err(broken)? {
                Turn::Moved => {}
                Turn::AwaitsSource => {
                    let here = Interest { fd: self.reader.as_fd(), readable: true };
                    self.poll(&[here], None).map_err(broken)?;
                }
                Turn::AwaitsLane => self.wait_for_lane().map_err(broken)?,
                Turn::Ended => return Ok(()),
            }
        }
    }

    /// Waits for a lane that holds the others up, no longer than any of these may.
    fn wait_for_lane(&self) -> io::Result<()> {
        let holding = || self.lanes.iter().filter(|lane| lane.holds_up());
        let patience = holding().filter_map(Lane::patience).min();
        let Some(feed) = holding().find_map(|lane| lane.feed.as_ref()) else { return Ok(()) };
        self.poll(&[Interest { fd: feed.as_fd(), readable: false }], patience)
    }

    /// Waits for one of these, or to be cancelled.
    fn poll(&self, interests: &[Interest<'_>], timeout: Option<Duration>) -> io::Result<()> {
        let bell = self.cancel.as_ref().map(Cancel::interest);
        let all: ArrayVec<Interest<'_>, 4> = interests.iter().copied().chain(bell).collect();
        match self.kernel.poll(&all, timeout) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Lets the lanes run dry, or stop where `pausing`. Whether it was cancelled meanwhile.
    pub(in crate::fanout) fn finish(
        &mut self,
        over: &Receiver<Over<'a>>,
        bell: &Bell,
        mut pausing: bool,
    ) -> io::Result<bool> {
        if pausing {
            self.lanes.iter().for_each(Lane::pause);
        } else {
            self.lanes.iter_mut().for_each(Lane::close);
        }
        while self.lanes.iter().any(Lane::runs) {
            if !pausing {
                if self.cancel.as_ref().is_some_and(Cancel::answer) {
                    pausing = true;
                    self.lanes.iter().for_each(Lane::pause);
                } else {
                    self.lanes.iter_mut().for_each(Lane::look_after);
                }
            }
            let waited_for = self.lanes.iter().filter(|lane| lane.runs() && !lane.is_detached());
            let patience = waited_for.filter_map(Lane::patience).min().filter(|_| !pausing);
            self.poll(&[bell.interest()], patience)?;
            bell.answer();
            loop {
                match over.try_recv() {
                    Ok(over) => {
                        if let Some(lane) = self.lanes.get_mut(over.index) {
                            lane.ended(over);
                        }
                    }
                    Err(TryRecvError::Empty) => break,
                    // A thread panicked: the scope passes that on.
                    Err(TryRecvError::Disconnected) => return Ok(pausing),
                }
            }
        }
        Ok(pausing)
    }
}

pub(in crate::fanout) fn cancelled() -> Fault {
    Fault::plain(Operation::Wait, io::Error::other(Cancelled))
}

fn broken(cause: io::Error) -> Fault {
    Fault::plain(Operation::Tee, cause)
}
