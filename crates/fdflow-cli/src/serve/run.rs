//! The program's life: start, signals, end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::access_log::AccessLog;
use super::flags::Flags;
use super::greet;
use super::metrics::Metrics;
use super::record::Observers;
use super::site::Site;
use super::worker::{self, Shared};
use crate::daemon::address::Address;
use crate::daemon::listen::{self, Listening};
use crate::daemon::signals::{Asked, Signals};
use crate::daemon::{admin, limits, toml_file};
use crate::{DONE, FAILED};

/// Serves until a signal ends it.
pub(super) fn run(given: Flags) -> Result<u8, String> {
    limits::no_huge_pages();
    let flags = with_config(given.clone())?;
    let threads = limits::threads(flags.threads);
    let most = most_connections(&flags);
    let observers = observers(&flags)?;
    let site = Site::new(&flags, observers.clone())?;
    let tls = site.tls.is_some();
    let mut listening = listen(&flags, threads)?;
    let mut admin = match &flags.admin {
        Some(address) => listen::all(std::slice::from_ref(address), 1)?,
        None => Vec::new(),
    };
    let shared = Arc::new(Shared::new(site, most, observers.metrics.clone()));
    shared.reserve.fill();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let code = runtime.block_on(async {
        // Before the address is printed: who reads it may send a signal at once.
        let mut signals = Signals::new()?;
        for one in &mut admin {
            if let (Some(acceptor), Some(metrics)) = (one.take(), &observers.metrics) {
                tokio::spawn(admin::run(acceptor, Arc::clone(metrics) as Arc<dyn admin::Answers>));
            }
        }
        let cut = Arc::new(Notify::new());
        let workers = start(&mut listening, threads, &shared, &cut)?;
        greet::print(&flags, &listening, &admin, tls);
        if flags.open == Some(true) {
            greet::open(&listening, tls);
        }
        let end = until_signal(&mut signals, &given, &observers, &shared).await;
        drop(listening);
        Ok::<u8, String>(drain(end, &mut signals, &shared, &cut, workers).await)
    })?;
    runtime.shutdown_background();
    if let Some(log) = &observers.log {
        log.end();
    }
    Ok(code)
}

fn with_config(given: Flags) -> Result<Flags, String> {
    let Some(path) = given.config.clone() else { return Ok(given) };
    Ok(given.over(toml_file::read(&path)?))
}

/// A quarter of the open files is left to what is served.
fn most_connections(flags: &Flags) -> usize {
    let files = limits::open_files();
    let default = (files - files / 4).max(1);
    flags.max_connections.map_or(default, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

fn observers(flags: &Flags) -> Result<Observers, String> {
    let log = match &flags.access_log {
        Some(path) => Some(AccessLog::open(path, flags.log_format.unwrap_or_default())?),
        None => None,
    };
    let metrics = flags.admin.as_ref().map(|_| Arc::new(Metrics::new()));
    Ok(Observers { metrics, log: log.map(Arc::new) })
}

fn listen(flags: &Flags, threads: usize) -> Result<Vec<Listening>, String> {
    let mut listening = listen::inherited(threads)?;
    if flags.listen.is_empty() {
        if listening.is_empty() {
            let default = Address::Tcp("127.0.0.1:8080".to_owned());
            listening = listen::all(&[default], threads)?;
        }
    } else {
        listening.extend(listen::all(&flags.listen, threads)?);
    }
    Ok(listening)
}

fn start(
    listening: &mut [Listening],
    threads: usize,
    shared: &Arc<Shared>,
    cut: &Arc<Notify>,
) -> Result<Vec<JoinHandle<()>>, String> {
    (0..threads)
        .map(|number| {
            let acceptors = listening.iter_mut().filter_map(Listening::take).collect();
            worker::start(number, acceptors, Arc::clone(shared), Arc::clone(cut))
                .map_err(|error| format!("cannot start a thread: {error}; try fewer --threads"))
        })
        .collect()
}

/// Reloads at each SIGHUP, until a signal to end.
async fn until_signal(
    signals: &mut Signals,
    given: &Flags,
    observers: &Observers,
    shared: &Shared,
) -> Duration {
    while signals.next().await == Asked::Reload {
        reload(given, observers, shared);
    }
    shared.site.load().limits.drain
}

/// Reads again what may change. Where something is wrong with it, what was served before still is.
fn reload(given: &Flags, observers: &Observers, shared: &Shared) {
    if let Some(log) = &observers.log {
        log.reopen();
    }
    let site = with_config(given.clone()).and_then(|flags| Site::new(&flags, observers.clone()));
    match site {
        Ok(site) => {
            shared.site.store(Arc::new(site));
            eprintln!("fdflow: serve: reloaded");
        }
        Err(message) => eprintln!("fdflow: serve: not reloaded: {message}"),
    }
}

/// Lets what is running end, at most for `most`, or until a second signal.
async fn drain(
    most: Duration,
    signals: &mut Signals,
    shared: &Shared,
    cut: &Notify,
    workers: Vec<JoinHandle<()>>,
) -> u8 {
    shared.close();
    tokio::select! {
        _ = timeout(most, shared.empty()) => {}
        () = signals.end() => {}
    }
    let open = shared.open();
    if open > 0 {
        eprintln!("fdflow: serve: connections cut: {open}");
    }
    cut.notify_waiters();
    for worker in workers {
        // A panic in it has been printed.
        let _ended = worker.join().is_ok();
    }
    if open > 0 { FAILED } else { DONE }
}
