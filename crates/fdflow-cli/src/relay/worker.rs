//! A thread that serves readers, and what the threads share.

use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use tokio::sync::Notify;

use super::accept;
use super::ending::Ending;
use super::feed::Stop;
use super::figures::Figures;
use super::http::Site;
use super::line::Line;
use super::listeners::Speaks;
use super::reader::Reader;
use super::stream::{Stream, Terms};
use crate::daemon::gate::Gate;
use crate::daemon::listen::Acceptor;
use crate::daemon::live::Live;
use crate::daemon::log::Log;
use crate::daemon::reserve::Reserve;

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Once there is one.
    pub(super) stream: OnceLock<Stream>,
    pub(super) terms: Terms,
    pub(super) live: Live<Reader>,
    pub(super) figures: Figures,
    pub(super) gate: Arc<Gate>,
    pub(super) max_readers: usize,
    pub(super) reserve: Reserve,
    /// The stream has ended.
    pub(super) over: Stop,
    pub(super) log: Option<Log>,
    pub(super) http: Site,
}

impl Shared {
    /// Somebody has come to read: it is counted.
    pub(super) fn begin(&self, reader: Reader) -> Arc<Reader> {
        let reader = Arc::new(reader);
        self.live.add(&reader, || self.figures.came());
        reader
    }

    /// The reader is over: it is counted and told of.
    pub(super) fn finish(&self, reader: &Reader, ending: &Ending) {
        self.live.remove(reader, || self.figures.count(reader, ending));
        if let Some(log) = &self.log {
            log.write(&Line::new(reader, ending));
        }
    }
}

/// A thread, as the others see it.
#[derive(Debug)]
pub(super) struct Thread {
    end: Arc<Notify>,
    handle: JoinHandle<()>,
}

impl Thread {
    /// Starts one that does this, in a runtime of its own.
    pub(super) fn start<F: Future<Output = ()>>(
        name: &str,
        work: impl FnOnce() -> F + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let end = Arc::new(Notify::new());
        let ended = Arc::clone(&end);
        let handle = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = async { work().await } => {}
                    () = ended.notified() => {}
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(Self { end, handle })
    }

    /// Ends it; readers that are still there are cut.
    pub(super) fn end(self) {
        self.end.notify_one();
        // A panic in it has been printed.
        let _ended = self.handle.join().is_ok();
    }
}

/// Accepts from all of these, in the runtime that this is called in.
pub(super) fn accept_all(acceptors: Vec<(Speaks, Acceptor)>, shared: &Arc<Shared>) {
    for (speaks, acceptor) in acceptors {
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            if let Err(error) = accept::run(speaks, acceptor, shared).await {
                eprintln!("fdflow: relay: cannot accept: {error}");
            }
        });
    }
}
