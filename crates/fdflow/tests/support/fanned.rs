//! What a fan-out answered, where the environment may deny its routes.

use std::io::ErrorKind;

use fdflow::{Fanout, FanoutError, FanoutReport, SinkEnd, SinkReport, Source};

use crate::support::denied;

/// Runs it to its end: the report, or `None` where the environment denies what was asked for.
pub fn fanned<S: Source + Send>(mut fanout: Fanout<'_, S>) -> Option<FanoutReport> {
    match fanout.run() {
        Ok(report) => Some(report),
        Err(error) if !denied().is_empty() && refused(&error) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Whether it failed, or left a sink, for want of a route.
pub fn refused(error: &FanoutError) -> bool {
    let unsupported = |sink: &SinkReport| match &sink.end {
        SinkEnd::Failed(error) => error.kind() == ErrorKind::Unsupported,
        _ => false,
    };
    error.kind() == ErrorKind::Unsupported || error.report().sinks.iter().any(unsupported)
}
