//! The blocking driver: steps, and poll when a step has to wait.

use std::io;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use rustix::io::Errno;

use crate::cancel::Cancel;
use crate::error::{Cancelled, Fault, TransferError};
use crate::operation::{Operation, Side};
use crate::report::Report;
use crate::source::{Sink, Source};
use crate::sys::errno::uninterrupted;
use crate::sys::{Interest, Kernel, sigpipe};
use crate::transfer::{Step, Transfer};

/// So many waits in a row that end at once without a byte, and the driver begins to pause: the
/// descriptor calls itself ready and is not.
const PATIENCE: u32 = 8;

impl<S: Source, D: Sink, K: Kernel> Transfer<S, D, K> {
    /// Moves bytes until the source ends or the limit is reached, and tells how they went.
    ///
    /// May be called again: after an error or a cancel it goes on where it stopped, after the end
    /// it looks whether there is more.
    ///
    /// # Errors
    ///
    /// The first failure of either end, an idle timeout or a cancel. The report in it is exact,
    /// and bytes that were taken but not given are kept for the next run.
    pub fn run(&mut self) -> Result<Report, TransferError> {
        let began = Instant::now();
        let _guard = sigpipe::Guard::new();
        self.begin_run();
        let ended = self.drive(began);
        self.report.add_elapsed(began.elapsed());
        match ended {
            Ok(()) => Ok(self.report.clone()),
            Err(fault) => Err(self.failed(fault)),
        }
    }

    fn drive(&mut self, began: Instant) -> Result<(), Fault> {
        let mut latest = began;
        loop {
            if self.cancel().is_some_and(Cancel::answer) {
                return Err(Fault::plain(Operation::Wait, io::Error::other(Cancelled)));
            }
            match self.advance_once()? {
                Step::Finished => return Ok(()),
                Step::Wait(side) => self.wait(side, latest)?,
                Step::Moved(n) => {
                    if self.idle().is_some() {
                        latest = Instant::now();
                    }
                    self.tell(n);
                }
            }
        }
    }

    fn tell(&mut self, n: u64) {
        if n == 0 {
            return;
        }
        let progress = self.progress();
        if let Some(observer) = self.rare.as_mut().and_then(|rare| rare.observer.as_mut()) {
            observer(progress);
        }
    }

    /// Waits for an end, a cancel or the idle timeout, counted from `latest`.
    fn wait(&mut self, side: Side, latest: Instant) -> Result<(), Fault> {
        let timeout = match self.idle() {
            None => None,
            Some(idle) => match idle.checked_sub(latest.elapsed()) {
                Some(left) if !left.is_zero() => Some(left),
                _ => return Err(timed_out(side, idle)),
            },
        };
        let bell = self.cancel().map(Cancel::interest);
        if self.fruitless() > PATIENCE {
            self.pause(bell, timeout).map_err(|errno| Fault::new(Operation::Wait, side, errno))?;
        }
        let readable = side == Side::Source;
        let waits_for = if readable { self.source.descriptor() } else { self.sink.descriptor() };
        let Some(fd) = waits_for else { return Err(nothing_to_wait_for(side)) };
        let interests: ArrayVec<Interest<'_>, 2> =
            [Interest { fd, readable }].into_iter().chain(bell).collect();
        let ready = uninterrupted(|| self.kernel.poll(&interests, timeout));
        drop(interests);
        let ready = ready.map_err(|errno| Fault::new(Operation::Wait, side, errno))?;
        if let (0, Some(idle)) = (ready, self.idle()) {
            // Now, while it is known which end was waited for: the next step may name the other.
            return Err(timed_out(side, idle));
        }
        if ready & 1 != 0 {
            self.mark_ready(side);
        }
        Ok(())
    }

    /// Waits a while for a cancel alone: poll has called the descriptor ready again and again
    /// although it is not, as some devices are always called, and to ask at once would spin.
    fn pause(&self, bell: Option<Interest<'_>>, most: Option<Duration>) -> Result<(), Errno> {
        let doubled = Duration::from_millis(1 << (self.fruitless() - PATIENCE).min(6));
        let pause = most.map_or(doubled, |most| most.min(doubled));
        match self.kernel.poll(bell.as_slice(), Some(pause)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

fn timed_out(side: Side, idle: Duration) -> Fault {
    let verb = match side {
        Side::Source => "nothing came from",
        Side::Sink => "nothing was taken by",
    };
    let message = format!("{verb} the {side} for {idle:?}");
    Fault::new(Operation::Wait, side, io::Error::new(io::ErrorKind::TimedOut, message))
}

fn nothing_to_wait_for(side: Side) -> Fault {
    let message = format!("the {side} would block and has no descriptor to wait for");
    Fault::new(Operation::Wait, side, io::Error::new(io::ErrorKind::WouldBlock, message))
}
