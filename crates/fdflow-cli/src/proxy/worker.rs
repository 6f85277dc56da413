//! A thread that relays, and what the threads share.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use fdflow::Report;
use fdflow_tokio::{Both, SharedRate};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::accept;
use super::door::Door;
use super::ending::Ending;
use super::flow::Flow;
use super::gate::Passes;
use super::line::Line;
use super::relay::{self, Resting};
use super::sweep::Sweep;
use crate::daemon::gate::{Gate, Pass};
use crate::daemon::listen::Acceptor;
use crate::daemon::live::Live;
use crate::daemon::log::Log;
use crate::daemon::lot::Lot;
use crate::daemon::reserve::Reserve;

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) gate: Arc<Gate>,
    /// The loops that accept.
    pub(super) accepting: Arc<Gate>,
    pub(super) max_connections: usize,
    /// For the upstreams of those who are in when there are no more descriptors.
    pub(super) reserve: Reserve,
    pub(super) live: Live<Flow>,
    pub(super) total_rate: Option<SharedRate>,
    pub(super) log: Option<Log>,
    /// Its lines say why routes were taken.
    pub(super) explain: bool,
}

impl Shared {
    /// The flow is over: it is counted and told of, and its places are free.
    pub(super) fn finish(
        &self,
        flow: &Flow,
        passes: Passes,
        ending: &Ending,
        reports: Option<&Both<Report>>,
    ) {
        if let Some(reports) = reports {
            flow.note(reports);
        }
        self.live.remove(flow, || flow.service.lasting.figures.count(flow, ending));
        if let Some(log) = &self.log {
            log.write(&Line::new(flow, ending, self.explain));
        }
        drop(passes);
    }
}

/// A thread's own.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) sweep: Sweep,
    pub(super) lot: Lot<Resting>,
}

/// What a thread is to accept from.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) acceptor: Acceptor,
    pub(super) door: Arc<Door>,
    /// Since it was given: who waits there is served, also where the program ends before the thread
    /// has looked.
    pub(super) _accepting: Option<Pass>,
}

/// A thread, as the others see it.
#[derive(Debug)]
pub(super) struct Thread {
    listeners: UnboundedSender<Given>,
    accepting: Arc<Gate>,
    end: Arc<Notify>,
    handle: JoinHandle<()>,
}

impl Thread {
    /// Starts one that accepts nothing yet.
    pub(super) fn start(number: usize, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let lot = {
            let _inside = runtime.enter();
            Lot::new()?
        };
        let accepting = Arc::clone(&shared.accepting);
        let worker = Arc::new(Worker { shared, sweep: Sweep::default(), lot });
        let (listeners, given) = unbounded_channel();
        let end = Arc::new(Notify::new());
        let ended = Arc::clone(&end);
        let handle =
            std::thread::Builder::new().name(format!("proxy-{number}")).spawn(move || {
                runtime.block_on(work(given, worker, &ended));
                runtime.shutdown_background();
            })?;
        Ok(Self { listeners, accepting, end, handle })
    }

    /// Has it accept from a listener too.
    pub(super) fn listen(&self, acceptor: Acceptor, door: &Arc<Door>) {
        let _accepting = self.accepting.enter(usize::MAX);
        let given = Given { acceptor, door: Arc::clone(door), _accepting };
        // Where it is gone the program ends.
        let _sent = self.listeners.send(given).is_ok();
    }

    /// Ends it; flows that are still there are cut.
    pub(super) fn end(self) {
        self.end.notify_one();
        // A panic in it has been printed.
        let _ended = self.handle.join().is_ok();
    }
}

async fn work(mut given: UnboundedReceiver<Given>, worker: Arc<Worker>, end: &Notify) {
    let sweeper = Arc::clone(&worker);
    tokio::spawn(async move { sweeper.sweep.run().await });
    let keeper = Arc::clone(&worker);
    tokio::spawn(async move {
        if let Err(error) = keeper.lot.run(|resting| relay::wake(resting, &keeper)).await {
            eprintln!("fdflow: proxy: {error}: flows that rest stay so");
        }
    });
    loop {
        tokio::select! {
            () = end.notified() => return,
            Some(given) = given.recv() => {
                let worker = Arc::clone(&worker);
                tokio::spawn(async move {
                    if let Err(error) = accept::run(given, worker).await {
                        eprintln!("fdflow: proxy: cannot accept: {error}");
                    }
                });
            }
        }
    }
}
