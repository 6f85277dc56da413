//! A lane whose pipe a thread of its own empties.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::thread::{Builder, Scope};
use std::time::Duration;

use super::{Lane, Linger, Outlet, pipe_for};
use crate::cancel::Bell;
use crate::error::TransferError;
use crate::fanout::Lag;
use crate::fanout::report::SinkEnd;
use crate::report::Report;
use crate::source::Sink;
use crate::transfer::Transfer;

/// What a lane's thread says when it is done, or has been stopped.
#[derive(Debug)]
pub(in crate::fanout) struct Over<'a> {
    /// Which lane.
    pub(in crate::fanout) index: usize,
    error: Option<TransferError>,
    report: Report,
    /// What is gone on with, where it was stopped.
    outlet: Option<Outlet<'a>>,
}

impl<'a> Lane<'a> {
    /// A pipe for `sink`, which nobody empties yet.
    pub(in crate::fanout) fn open(
        sink: Box<dyn Sink + Send + 'a>,
        lag: Lag,
        linger: Duration,
    ) -> io::Result<Self> {
        let (reader, feed) = pipe_for(lag)?;
        let mut lane = Self::with(lag, Linger { others: linger, block: None }, feed);
        let account = lane.account.clone();
        let mut outlet =
            Transfer::new(reader, sink).observe(move |progress| account.took_up_to(progress.bytes));
        if lag != Lag::Block {
            lane.cancel = Some(outlet.cancel_handle()?);
        }
        lane.outlet = Some(Box::new(outlet));
        Ok(lane)
    }

    /// Has a thread empty its pipe, if anything is to be done. `pauses`: it must be possible to
    /// stop it.
    pub(in crate::fanout) fn start<'s>(
        &mut self,
        scope: &'s Scope<'s, '_>,
        index: usize,
        pauses: bool,
        over: Sender<Over<'a>>,
        bell: Arc<Bell>,
    ) -> io::Result<()>
    where
        'a: 's,
    {
        let Some(outlet) = &mut self.outlet else { return Ok(()) };
        if pauses && self.cancel.is_none() {
            self.cancel = Some(outlet.cancel_handle()?);
        }
        if let Some(cancel) = &self.cancel {
            // Of the run before, which may have ended without hearing it.
            cancel.answer();
        }
        self.since = self.since.map(|_| (self.clock)());
        let Some(mut outlet) = self.outlet.take() else { return Ok(()) };
        let detached = Arc::clone(&self.detached);
        Builder::new().spawn_scoped(scope, move || {
            // Rings last, also when a panic drops it.
            let _bell = RingsOnDrop(bell);
            let over = over;
            let error = outlet.run().err();
            let stopped = error.as_ref().is_some_and(TransferError::is_cancelled);
            if stopped && !detached.load(Ordering::Acquire) {
                let report = outlet.report().clone();
                drop(over.send(Over { index, error: None, report, outlet: Some(outlet) }));
                return;
            }
            let parts = outlet.into_parts();
            // Closes both: the hub sees the pipe broken, and the far end of an owned sink its end.
            drop((parts.source, parts.sink));
            drop(over.send(Over { index, error, report: parts.report, outlet: None }));
        })?;
        self.runs = true;
        Ok(())
    }

    /// Its thread is to stop, so that another run can go on. It can only be waited for that
    /// until it has.
    pub(in crate::fanout) fn pause(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    /// No thread could be had for it.
    pub(in crate::fanout) fn abandon(&mut self) {
        self.outlet = None;
        self.detach(SinkEnd::Cancelled);
        self.report.get_or_insert_default();
    }

    /// Its thread is done, or has stopped.
    pub(in crate::fanout) fn ended(&mut self, over: Over<'a>) {
        if over.outlet.is_some() && self.end.is_none() {
            (self.runs, self.outlet) = (false, over.outlet);
            return;
        }
        self.conclude(over.error, over.report);
    }

    /// The sink and the bytes that are on the way to it, where it was stopped.
    pub(in crate::fanout) fn into_rest(self) -> Option<(Box<dyn Sink + Send + 'a>, Vec<u8>)> {
        drop(self.feed);
        let parts = self.outlet?.into_parts();
        let mut undelivered = parts.undelivered;
        let mut reader = parts.source;
        // In memory, and nobody writes any more.
        drop(io::Read::read_to_end(&mut reader, &mut undelivered));
        Some((parts.sink, undelivered))
    }
}

struct RingsOnDrop(Arc<Bell>);

impl Drop for RingsOnDrop {
    fn drop(&mut self) {
        self.0.ring();
    }
}
