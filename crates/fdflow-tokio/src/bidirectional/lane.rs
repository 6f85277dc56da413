//! One direction of two: a flow, and what follows its end.

use std::task::{Context, Poll, ready};

use fdflow::{Operation, Report, Side, Sockets, TransferError};

use crate::end::{AsyncSink, AsyncSource};
use crate::flow::{Flow, Phase};

pub(super) struct Lane<S, D> {
    pub(super) flow: Flow<S, D>,
}

impl<S: AsyncSource + Clone, D: AsyncSink + Clone> Lane<S, D> {
    pub(super) fn new(source: S, sink: D) -> Self {
        Self { flow: Flow::new(source, sink) }
    }

    /// Begins a run; `sockets` are the ends, if they are such and were looked at already.
    pub(super) fn begin(
        &mut self,
        ends: (&S, &D),
        sockets: Option<Sockets>,
    ) -> Result<(), TransferError> {
        if self.flow.phase != Phase::Moving {
            return Ok(());
        }
        self.flow.begin_between(ends, sockets)
    }

    /// Moves bytes; at the end of the source, when the stage is empty, closes this direction of
    /// the sink and leaves the other alone.
    pub(super) fn poll(
        &mut self,
        ends: (&S, &D),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), TransferError>> {
        if self.flow.phase == Phase::Moving {
            ready!(self.flow.poll(ends, cx))?;
            self.flow.phase = Phase::Ended;
        }
        if self.flow.phase == Phase::Ended {
            let closed = ready!(ends.1.poll_half_close(cx));
            closed.map_err(|cause| self.flow.failed(Operation::Flush, Side::Sink, cause))?;
            self.flow.phase = Phase::Closed;
        }
        Poll::Ready(Ok(()))
    }

    /// Gives what the source, which has failed, still has in hand. Ready when that is nothing, or
    /// when the sink fails as well. The sink is not told of an end: this is none.
    pub(super) fn poll_rest(&mut self, ends: (&S, &D), cx: &mut Context<'_>) -> Poll<()> {
        if self.flow.phase != Phase::Moving
            || self.flow.poll(ends, cx).is_ready()
            || self.flow.is_dry()
        {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.flow.phase == Phase::Moving && self.flow.is_dry()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.flow.phase == Phase::Closed
    }

    pub(super) fn report(&self) -> Report {
        self.flow.core.report().clone()
    }
}
