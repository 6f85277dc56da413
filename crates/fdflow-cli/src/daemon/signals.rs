//! The signals that a running command listens to.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, which end it, and SIGHUP, which reloads.
pub(crate) struct Signals {
    end: Signal,
    interrupt: Signal,
    reload: Signal,
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    End,
    Reload,
}

impl Signals {
    /// Listens from now on. Needs a runtime.
    pub(crate) fn new() -> Result<Self, String> {
        let watch = |kind| signal(kind).map_err(|error| format!("cannot watch signals: {error}"));
        Ok(Self {
            end: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
            reload: watch(SignalKind::hangup())?,
        })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.end.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = self.reload.recv() => Asked::Reload,
        }
    }

    /// A signal to end.
    pub(crate) async fn end(&mut self) {
        while self.next().await != Asked::End {}
    }
}
