//! What is listened on, and for whom.

use super::flags::Flags;
use crate::daemon::listen::{self, Acceptor, Listening};

/// What those who connect speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// Nothing: they get the stream.
    Nothing,
    Http,
}

/// All listeners.
#[derive(Debug)]
pub(super) struct Listeners(Vec<(Speaks, Listening)>);

impl Listeners {
    /// Those that the service manager has opened, for so many threads.
    pub(super) fn inherited(threads: usize) -> Result<Self, String> {
        let streams = listen::inherited(threads)?;
        Ok(Self(streams.into_iter().map(|one| (Speaks::Nothing, one)).collect()))
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Opens those that are asked for besides.
    pub(super) fn open(&mut self, flags: &Flags, threads: usize) -> Result<(), String> {
        let streams = listen::all(&flags.listen, threads)?;
        let http = listen::all(&flags.http, threads);
        let http = http.map_err(|error| error.replace("--listen", "--http"))?;
        self.0.extend(streams.into_iter().map(|one| (Speaks::Nothing, one)));
        self.0.extend(http.into_iter().map(|one| (Speaks::Http, one)));
        Ok(())
    }

    /// One thread's.
    pub(super) fn take(&mut self) -> Vec<(Speaks, Acceptor)> {
        let all = self.0.iter_mut();
        all.filter_map(|(speaks, one)| Some((*speaks, one.take()?))).collect()
    }

    /// A line for each.
    pub(super) fn text(&self) -> String {
        let line = |(speaks, one): &(Speaks, Listening)| match speaks {
            Speaks::Nothing => format!("readers at {}\n", one.address_text()),
            Speaks::Http => format!("HTTP at {}\n", one.url("http")),
        };
        self.0.iter().map(line).collect()
    }
}
