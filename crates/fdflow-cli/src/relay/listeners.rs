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
    /// Opens them, for so many threads.
    pub(super) fn open(flags: &Flags, threads: usize) -> Result<Self, String> {
        let mut streams = listen::inherited(threads)?;
        streams.extend(listen::all(&flags.listen, threads)?);
        let http = listen::all(&flags.http, threads);
        let http = http.map_err(|error| error.replace("--listen", "--http"))?;
        let streams = streams.into_iter().map(|one| (Speaks::Nothing, one));
        Ok(Self(streams.chain(http.into_iter().map(|one| (Speaks::Http, one))).collect()))
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
