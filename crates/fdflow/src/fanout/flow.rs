//! A fan-out under way: what it keeps between two runs, and how one goes.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use super::hub::{Hub, cancelled};
use super::lane::{Lane, Over};
use super::report::{FanoutError, FanoutReport};
use crate::cancel::{Bell, Cancel};
use crate::error::{Cancelled, Fault, TransferError};
use crate::operation::Operation;
use crate::pipe::{Pipe, WriteEnd};
use crate::policy::Policy;
use crate::report::{Reason, Refusal};
use crate::route::Route;
use crate::source::Source;
use crate::stage::WIDE;
use crate::sys::System;
use crate::transfer::{Parts, Transfer};

/// From the source to the hub's pipe.
type Inlet<S> = Box<Transfer<S, WriteEnd>>;

pub(super) struct Flow<'a, S> {
    pub(super) hub: Hub<'a, System>,
    feeding: Feeding<S>,
    /// Rung by the threads of lanes when they are done.
    bell: Arc<Bell>,
}

enum Feeding<S> {
    /// The source may have more.
    Open(Inlet<S>),
    /// The source has ended or failed, or nobody is left to have more of it.
    Over { taken: u64, failed: Option<TransferError>, undelivered: Vec<u8> },
}

impl<S> Feeding<S> {
    fn taken(&self) -> u64
    where
        S: Source,
    {
        match self {
            Self::Open(inlet) => inlet.ledger().taken(),
            Self::Over { taken, .. } => *taken,
        }
    }
}

impl<'a, S: Source + Send> Flow<'a, S> {
    pub(super) fn open(source: S) -> io::Result<Self> {
        let bell = Arc::new(Bell::new()?);
        let (reader, writer) = Pipe::with_capacity(WIDE)?.split();
        let hub = Hub::new(System, reader, Vec::new(), denied());
        Ok(Self { hub, feeding: Feeding::Open(Box::new(Transfer::new(source, writer))), bell })
    }

    pub(super) fn join(&mut self, mut lane: Lane<'a>) {
        lane.joins_at(self.hub.at());
        self.hub.join(lane);
    }

    pub(super) fn set_limit(&mut self, limit: Option<u64>) {
        if let (Feeding::Open(inlet), Some(limit)) = (&mut self.feeding, limit) {
            inlet.set_limit(limit);
        }
    }

    /// One run. After a cancel another goes on; after anything else it is over.
    pub(super) fn run(&mut self) -> Result<FanoutReport, FanoutError> {
        let ended = scope(|scope| self.run_in(scope));
        let report = self.hub.report(self.feeding.taken());
        let failed = match ended {
            Err(fault) if is_cancel(&fault) => {
                return Err(FanoutError::new(fault.cause, report, Vec::new()));
            }
            Err(fault) => Some(fault.cause),
            Ok(error) => error.map(io::Error::from),
        };
        report.conclude(failed, false, || self.rest())
    }

    /// The source's failure, if it had one; `Err`: the fan-out's own, or a cancel.
    fn run_in<'s>(&mut self, scope: &'s Scope<'s, '_>) -> Result<Option<TransferError>, Fault>
    where
        'a: 's,
        S: 's,
    {
        let (over, ended) = channel();
        let feeder = self.start(scope, over);
        let (feeder, relayed) = match feeder {
            Ok(feeder) => (feeder, self.hub.relay()),
            Err(cause) => {
                self.hub.lanes.iter_mut().for_each(Lane::abandon);
                (None, Err(Fault::plain(Operation::Pipe, cause)))
            }
        };
        let pausing = relayed.as_ref().is_err_and(is_cancel);
        if let Some((thread, stop)) = feeder {
            stop.cancel();
            let fed = match thread.join() {
                Ok(fed) => fed,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            self.feeding = if pausing { fed } else { closed(fed) };
        }
        let paused = self
            .hub
            .finish(&ended, &self.bell, pausing)
            .map_err(|cause| Fault::plain(Operation::Wait, cause))?;
        relayed?;
        if paused {
            return Err(cancelled());
        }
        match &mut self.feeding {
            Feeding::Over { failed, .. } => Ok(failed.take()),
            Feeding::Open(_) => Ok(None),
        }
    }

    /// Starts the threads of the lanes and, where the source may have more, its own.
    fn start<'s>(
        &mut self,
        scope: &'s Scope<'s, '_>,
        over: Sender<Over<'a>>,
    ) -> io::Result<Option<(ScopedJoinHandle<'s, Feeding<S>>, Cancel)>>
    where
        'a: 's,
        S: 's,
    {
        let pauses = self.hub.cancel.is_some();
        for (index, lane) in self.hub.lanes.iter_mut().enumerate() {
            lane.start(scope, index, pauses, over.clone(), Arc::clone(&self.bell))?;
        }
        let nothing = Feeding::Over { taken: 0, failed: None, undelivered: Vec::new() };
        let mut inlet = match std::mem::replace(&mut self.feeding, nothing) {
            Feeding::Open(inlet) => inlet,
            over @ Feeding::Over { .. } => {
                self.feeding = over;
                return Ok(None);
            }
        };
        let stop = inlet.cancel_handle()?;
        // Of the run before, which may have ended without hearing it.
        stop.answer();
        let thread = Builder::new().spawn_scoped(scope, move || match inlet.run() {
            Err(error) if error.is_cancelled() => Feeding::Open(inlet),
            // Drops the write end: the hub comes to the end.
            result => apart(*inlet, result.err()),
        })?;
        Ok(Some((thread, stop)))
    }

    /// What was taken from the source and not relayed.
    fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.hub.rest().unwrap_or_default();
        if let Feeding::Over { undelivered, .. } = &mut self.feeding {
            rest.append(undelivered);
        }
        rest
    }

    /// The source, if it may have more; what was taken from it and not relayed; the lanes.
    pub(super) fn into_parts(mut self) -> (Option<S>, Vec<u8>, Vec<Lane<'a>>) {
        let mut rest = self.hub.rest().unwrap_or_default();
        let source = match self.feeding {
            Feeding::Open(inlet) => {
                let mut parts = inlet.into_parts();
                rest.append(&mut parts.undelivered);
                Some(parts.source)
            }
            Feeding::Over { mut undelivered, .. } => {
                rest.append(&mut undelivered);
                None
            }
        };
        (source, rest, self.hub.lanes)
    }
}

/// Why `tee` is not to be used: the environment.
pub(super) fn denied() -> Option<Refusal> {
    let denied = !Policy::default().routes.contains(Route::Splice);
    denied.then(|| Refusal::new(Route::Splice, Reason::Denied))
}

/// Nobody is left to have more.
fn closed<S: Source>(feeding: Feeding<S>) -> Feeding<S> {
    match feeding {
        Feeding::Open(inlet) => apart(*inlet, None),
        over @ Feeding::Over { .. } => over,
    }
}

fn apart<S: Source>(inlet: Transfer<S, WriteEnd>, failed: Option<TransferError>) -> Feeding<S> {
    let taken = inlet.ledger().taken();
    let Parts { undelivered, .. } = inlet.into_parts();
    Feeding::Over { taken, failed, undelivered }
}

fn is_cancel(fault: &Fault) -> bool {
    fault.cause.get_ref().is_some_and(|cause| cause.is::<Cancelled>())
}
