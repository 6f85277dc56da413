//! Giving the mirror its bytes before anyone else gets them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::{Mirror, Teed, end};
use crate::engine::{Stop, fanout};
use crate::error::Fault;
use crate::operation::{Operation, Side};
use crate::report::{Reason, Refusal};
use crate::route::Route;
use crate::source::Sink;
use crate::sys::errno::{Verdict, uninterrupted, verdict};
use rustix::io::Errno;

use crate::sys::{Interest, Kernel, same_pipe, sigpipe};
use crate::transfer::Transfer;
use crate::wrap::Plain;

/// What is copied at a time where `tee` is refused.
const BLOCK: usize = 64 << 10;
/// What any pipe holds.
const PAGE: usize = 4 << 10;
/// So many waits in a row without a byte, and `tee` is given up: both pipes call themselves ready
/// and it would block all the same.
const FRUITLESS_WAITS: u32 = 32;

impl<M: Sink, K: Kernel + Copy> Teed<M, K> {
    /// Sees to it that the mirror has got some of the next bytes, at most `want`. None of them:
    /// the pipe has ended.
    pub(super) fn mirror_up_to(&mut self, want: u64) -> Result<(), Fault> {
        let _guard = sigpipe::Guard::new();
        if self.credit > 0 || want == 0 {
            return Ok(());
        }
        let mut waits = 0;
        while self.pending == 0 && self.refused.is_none() {
            if let Mirror::Raw(mirror) = &mut self.mirror {
                mirror.flush_buffered().map_err(mirror_failed)?;
            }
            let target = match &self.mirror {
                Mirror::Raw(mirror) => mirror.descriptor(),
                Mirror::Staged { feed, .. } => Some(feed.as_fd()),
            };
            let Some(target) = target else { break };
            match fanout::tee(&self.kernel, self.reader.as_fd(), target, want) {
                Ok(0) => return Ok(()),
                Ok(n) => self.pending = n,
                Err(stop) => {
                    waits += 1;
                    self.refused = stopped(&self.kernel, stop, waits, self.reader.as_fd(), target)?;
                }
            }
        }
        if self.pending == 0 && !self.copy_out(want)? {
            return Ok(());
        }
        self.give_pending()
    }

    /// Takes bytes out of the pipe for the mirror and the drain both. Whether there were any.
    fn copy_out(&mut self, want: u64) -> Result<bool, Fault> {
        if !self.routes.contains(Route::ReadWrite) {
            let cause = match self.refused {
                Some(refusal) => format!("no route is left to the mirror: {}", refusal.reason),
                None => "no route is left to the mirror".to_owned(),
            };
            return Err(mirror_failed(io::Error::new(io::ErrorKind::Unsupported, cause)));
        }
        if let Mirror::Raw(mirror) = &self.mirror
            && mirror.descriptor().is_some_and(|to| same_pipe(self.reader.as_fd(), to))
        {
            let cause = "the mirror is the pipe itself, which would never end";
            return Err(mirror_failed(io::Error::new(io::ErrorKind::InvalidInput, cause)));
        }
        let room = match &self.mirror {
            Mirror::Staged { feed, .. } => self.kernel.capacity(feed.as_fd()).unwrap_or(PAGE),
            Mirror::Raw(_) => BLOCK,
        };
        let most = usize::try_from(want).unwrap_or(BLOCK).min(BLOCK).min(room);
        let space = &mut self.ahead.space(BLOCK)[..most];
        let n = loop {
            match self.kernel.read(end(self.reader.as_fd()), space) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    wait(&self.kernel, Interest { fd: self.reader.as_fd(), readable: true })?;
                }
                read => break read.map_err(|errno| Fault::plain(Operation::Read, errno.into()))?,
            }
        };
        self.ahead.filled(n);
        self.pending = n as u64;
        if let Mirror::Staged { feed, .. } = &mut self.mirror {
            // It is empty and as large as what was read: this does not wait.
            let mut bytes = self.ahead.bytes();
            while !bytes.is_empty() {
                let written = uninterrupted(|| self.kernel.write(end(feed.as_fd()), bytes));
                let n = written.map_err(|errno| mirror_failed(errno.into()))?;
                bytes = bytes.get(n..).unwrap_or_default();
            }
        }
        Ok(n > 0)
    }

    /// Gives the mirror all that is on its way to it.
    fn give_pending(&mut self) -> Result<(), Fault> {
        let n = self.pending;
        match &mut self.mirror {
            Mirror::Raw(mirror) if self.refused.is_none() => mirror.advanced(n),
            Mirror::Raw(mirror) => {
                // All that is in it: what the mirror got before has been drained.
                let bytes = self.ahead.bytes();
                let mut transfer = Transfer::on(self.kernel, Plain(bytes), mirror);
                transfer = transfer.routes(self.routes);
                let given = transfer.run();
                let done = transfer.report().bytes();
                (self.pending, self.mirrored) = (n - done, self.mirrored + done);
                self.credit += done;
                return given.map(drop).map_err(|error| mirror_failed(error.into()));
            }
            Mirror::Staged { transfer, fed, .. } => {
                transfer.set_limit(*fed + n);
                transfer.run().map_err(|error| mirror_failed(error.into()))?;
                *fed += n;
            }
        }
        (self.pending, self.mirrored) = (0, self.mirrored + n);
        self.credit += n;
        Ok(())
    }
}

/// Waits, after the `waits`-th call that moved nothing; or says why `tee` is given up.
fn stopped<K: Kernel>(
    kernel: &K,
    stop: Stop,
    waits: u32,
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
) -> Result<Option<Refusal>, Fault> {
    let operation = Operation::Tee;
    match stop {
        Stop::Wait(_) if waits >= FRUITLESS_WAITS => {
            Ok(Some(Refusal::new(Route::Splice, Reason::Stuck(operation))))
        }
        Stop::Wait(Side::Source) => {
            wait(kernel, Interest { fd: from, readable: true }).map(|()| None)
        }
        Stop::Wait(Side::Sink) => wait(kernel, Interest { fd: to, readable: false }).map(|()| None),
        Stop::Refused(reason) => Ok(Some(Refusal::new(Route::Splice, reason))),
        Stop::Fault(fault) => Err(fault),
        Stop::Call { errno, .. } => match verdict(operation, errno, false) {
            Verdict::Refused => {
                Ok(Some(Refusal::new(Route::Splice, Reason::Errno { operation, errno })))
            }
            Verdict::Retry | Verdict::WouldBlock => Ok(None),
            Verdict::Failed => Err(mirror_failed(errno.into())),
        },
    }
}

fn wait<K: Kernel>(kernel: &K, until: Interest<'_>) -> Result<(), Fault> {
    let ready = uninterrupted(|| kernel.poll(&[until], None));
    ready.map(drop).map_err(|errno| Fault::plain(Operation::Wait, errno.into()))
}

fn mirror_failed(cause: io::Error) -> Fault {
    Fault::plain(Operation::Tee, cause)
}
