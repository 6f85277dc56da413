//! The stream, as readers get it.

use fdflow::Routes;
use fdflow_tokio::{Joiner, Recording};

use super::values::{Begin, LagPolicy};

/// Where readers get it from.
#[derive(Debug)]
pub(super) enum Stream {
    /// From its recording.
    Recorded(Recording),
    /// As it comes.
    Fanned(Joiner<'static>),
}

impl Stream {
    /// How many bytes it has had.
    pub(super) fn end(&self) -> u64 {
        match self {
            Self::Recorded(recording) => recording.end(),
            Self::Fanned(joiner) => joiner.relayed(),
        }
    }

    /// Whether no byte will come any more; readers may still be on their way to the last one.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Recorded(recording) => recording.is_over(),
            Self::Fanned(joiner) => joiner.is_over(),
        }
    }
}

/// How readers get it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) start: Begin,
    pub(super) lag: LagPolicy,
    pub(super) max_lag: u64,
    pub(super) linger: std::time::Duration,
    pub(super) routes: Routes,
}
