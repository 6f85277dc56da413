//! One direction of two: a flow, and what follows its end.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use fdflow::{Operation, Report, Side, TransferError};
use tokio::time::Instant;

use crate::end::{AsyncSink, AsyncSource};
use crate::flow::Flow;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Moving,
    /// The source has ended and the sink has everything: it is to be told.
    Ended,
    Closed,
}

pub(super) struct Lane<S, D> {
    pub(super) flow: Flow<Arc<S>, Arc<D>>,
    state: State,
    closed_at: Option<Instant>,
}

impl<S: AsyncSource, D: AsyncSink> Lane<S, D> {
    pub(super) fn new(source: Arc<S>, sink: Arc<D>) -> Self {
        Self { flow: Flow::new(source, sink), state: State::Moving, closed_at: None }
    }

    pub(super) fn begin(&mut self) -> Result<(), TransferError> {
        if self.state == State::Moving { self.flow.begin() } else { Ok(()) }
    }

    /// Moves bytes; at the end of the source, when the stage is empty, closes this direction of
    /// the sink and leaves the other alone.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransferError>> {
        if self.state == State::Moving {
            ready!(self.flow.poll(cx))?;
            self.state = State::Ended;
        }
        if self.state == State::Ended {
            let closed = ready!(self.flow.sink.poll_half_close(cx));
            closed.map_err(|cause| self.flow.failed(Operation::Flush, Side::Sink, cause))?;
            self.state = State::Closed;
            self.closed_at = Some(Instant::now());
        }
        Poll::Ready(Ok(()))
    }

    /// Gives what the source, which has failed, still has in hand. Ready when that is nothing, or
    /// when the sink fails as well. The sink is not told of an end: this is none.
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.state != State::Moving || self.flow.poll(cx).is_ready() || self.flow.is_dry() {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// When something last happened here.
    pub(super) fn latest(&self) -> Instant {
        self.flow.latest().max(self.closed_at.unwrap_or(self.flow.latest()))
    }

    pub(super) fn report(&self) -> Report {
        self.flow.core.report().clone()
    }
}
