//! A thread that serves, and what the threads share.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::accept;
use super::meter::{Meter, Order};
use super::metrics::Metrics;
use super::site::Site;
use super::sweep::Sweep;
use crate::daemon::listen::Acceptor;
use crate::daemon::reserve::Reserve;

/// What all threads share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) site: ArcSwap<Site>,
    permits: Arc<Semaphore>,
    open: AtomicUsize,
    /// A connection has ended.
    pub(super) ended: Notify,
    /// For the files of those who are served when there are no more descriptors.
    pub(super) reserve: Reserve,
    closing: AtomicBool,
    close: Notify,
    pub(super) metrics: Option<Arc<Metrics>>,
}

impl Shared {
    pub(super) fn new(site: Site, most: usize, metrics: Option<Arc<Metrics>>) -> Self {
        Self {
            site: ArcSwap::from_pointee(site),
            permits: Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS))),
            open: AtomicUsize::new(0),
            ended: Notify::new(),
            reserve: Reserve::default(),
            closing: AtomicBool::new(false),
            close: Notify::new(),
            metrics,
        }
    }

    /// Returns once nothing is to be accepted any more.
    pub(super) async fn closing(&self) {
        let close = self.close.notified();
        if !self.closing.load(Ordering::SeqCst) {
            close.await;
        }
    }

    /// Ends accepting.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.close.notify_waiters();
    }

    /// Returns once no connection is open.
    pub(super) async fn empty(&self) {
        loop {
            let ended = self.ended.notified();
            if self.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// A thread's own.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) sweep: Sweep,
}

/// A connection that is open; when it is dropped, it has ended.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) worker: Arc<Worker>,
    pub(super) meter: Arc<Meter>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Live {
    /// Waits until there may be another connection.
    pub(super) async fn begin(worker: &Arc<Worker>) -> Self {
        let shared = &worker.shared;
        // The semaphore is never closed.
        let permit = Arc::clone(&shared.permits).acquire_owned().await.ok();
        shared.open.fetch_add(1, Ordering::SeqCst);
        if let Some(metrics) = &shared.metrics {
            metrics.connections.inc();
            metrics.accepted.inc();
        }
        let meter = Arc::new(Meter::default());
        worker.sweep.add(Arc::clone(&meter));
        if shared.closing.load(Ordering::SeqCst) {
            meter.command(Order::Drain);
        }
        Self { worker: Arc::clone(worker), meter, _permit: permit }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.meter.end();
        let shared = &self.worker.shared;
        if let Some(metrics) = &shared.metrics {
            metrics.connections.dec();
        }
        shared.open.fetch_sub(1, Ordering::SeqCst);
        shared.ended.notify_waiters();
    }
}

/// Starts a thread that serves what its listeners accept, until all its connections have ended or
/// `end` comes.
pub(super) fn start(
    number: usize,
    acceptors: Vec<Acceptor>,
    shared: Arc<Shared>,
    end: Arc<Notify>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name(format!("serve-{number}")).spawn(move || {
        let worker = Arc::new(Worker { shared, sweep: Sweep::default() });
        runtime.block_on(serve(acceptors, worker, &end));
        // Connections that are still open are cut, and what waits for a disk is left to itself.
        runtime.shutdown_background();
    })
}

async fn serve(acceptors: Vec<Acceptor>, worker: Arc<Worker>, end: &Notify) {
    let sweeper = Arc::clone(&worker);
    tokio::spawn(async move {
        let shared = &sweeper.shared;
        sweeper.sweep.run(|| shared.site.load().limits).await;
    });
    for acceptor in acceptors {
        let worker = Arc::clone(&worker);
        tokio::spawn(async move {
            if let Err(error) = accept::run(acceptor, worker).await {
                eprintln!("fdflow: serve: {error}");
            }
        });
    }
    let ended = end.notified();
    tokio::pin!(ended);
    tokio::select! {
        () = worker.shared.closing() => {}
        () = &mut ended => return,
    }
    worker.sweep.all(Order::Drain);
    tokio::select! {
        () = worker.shared.empty() => {}
        () = ended => {}
    }
}
