//! The program's life: start, signals, end.

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fdflow::Routes;
use fdflow_tokio::{Alone, Joiner, Recording, RecordingWriter};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::admin::Admin;
use super::feed::{Feed, Stop};
use super::figures::Figures;
use super::flags::Flags;
use super::http::Site;
use super::listeners::{Listeners, Speaks};
use super::origin::Origin;
use super::reader::Order;
use super::recorded::Recorded;
use super::stream::{Stream, Terms};
use super::supply::Supply;
use super::values::{Keep, LagPolicy, Rotate};
use super::worker::{self, Shared, Thread};
use crate::daemon::admin;
use crate::daemon::gate::Gate;
use crate::daemon::limits;
use crate::daemon::listen::{self, Acceptor, Listening};
use crate::daemon::live::Live;
use crate::daemon::log::Log;
use crate::daemon::rates::Rates;
use crate::daemon::reserve::Reserve;
use crate::daemon::signals::{Asked, Signals};
use crate::{DONE, FAILED};

/// Readers that are told to end do so within this.
const LAST: Duration = Duration::from_secs(1);
/// How far a reader may be behind without a recording.
const MAX_LAG: u64 = 1 << 20;

/// Relays until the stream or a signal ends it.
pub(super) fn run(flags: &Flags) -> Result<u8, String> {
    limits::no_huge_pages();
    let threads = if flags.record.is_some() { limits::threads(flags.threads) } else { 1 };
    let mut listeners = Listeners::inherited(threads)?;
    flags.check(!listeners.is_empty())?;
    let origin = Origin::open(&flags.from)?;
    let recorded = flags.record.as_deref().map(|path| record(path, flags)).transpose()?;
    listeners.open(flags, threads)?;
    let shared = Arc::new(shared(flags)?);
    shared.reserve.fill();
    let admin_at = flags.admin.as_ref().map_or(Ok(Vec::new()), |address| {
        listen::all(std::slice::from_ref(address), 1).map_err(|error| format!("--admin: {error}"))
    })?;
    let supply = Arc::new(Supply::new(origin.text()));
    let seen = recorded.as_ref().map(|(seen, _)| Arc::clone(seen));
    let text = greeting(&supply.from, seen.as_deref(), &listeners, &admin_at);
    let feed = Feed {
        origin,
        reconnect: flags.reconnect.map(|span| span.0),
        idle: flags.idle_timeout.map(|span| span.0),
        routes: shared.terms.routes,
        stop: Stop::new(),
        supply: Arc::clone(&supply),
    };
    let answers: Arc<dyn admin::Answers> = Arc::new(Admin {
        shared: Arc::clone(&shared),
        supply,
        recorded: seen,
        stop: feed.stop.clone(),
        rates: Rates::default(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let code = runtime.block_on(async {
        // Before the addresses are printed: who reads them may send a signal at once.
        let mut signals = Signals::new()?;
        let started = start(feed, recorded, &mut listeners, threads, &shared)?;
        admin::serve(admin_at, &answers, "relay");
        // Where nobody reads it, it is not needed.
        let mut out = io::stdout().lock();
        let _printed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok();
        drop(out);
        Ok::<u8, String>(until_over(started, &mut signals, &shared).await)
    })?;
    runtime.shutdown_background();
    drop(listeners);
    if let Some(log) = &shared.log {
        log.end();
    }
    Ok(code)
}

/// Opens the recording.
fn record(path: &Path, flags: &Flags) -> Result<(Arc<Recorded>, RecordingWriter), String> {
    let mut options = Recording::options().waits(flags.lag == Some(LagPolicy::Block));
    match flags.rotate {
        Some(Rotate::Size(bytes)) => options = options.rotate_size(bytes),
        Some(Rotate::Age(age)) => options = options.rotate_age(age),
        None => {}
    }
    match flags.keep {
        Some(Keep::Files(files)) => options = options.keep_files(files),
        Some(Keep::Bytes(bytes)) => options = options.keep_bytes(bytes),
        None => {}
    }
    if let Some(size) = flags.max_lag {
        options = options.memory(size.0);
    }
    if let Some(span) = flags.sync {
        options = options.sync_every(span.0);
    }
    let (recording, writer) = options
        .open(path)
        .map_err(|error| format!("cannot record to {}: {error}", path.display()))?;
    let recorded = Arc::new(Recorded::new(path, recording));
    let seen = Arc::clone(&recorded);
    let writer = writer.routes(routes(flags)).observe(move |event| seen.happened(event));
    Ok((recorded, writer))
}

fn routes(flags: &Flags) -> Routes {
    let denied = flags.deny.iter().map(|routing| routing.0);
    let denied = denied.fold(fdflow::denied_by_environment(), Routes::union);
    Routes::all().difference(denied)
}

fn shared(flags: &Flags) -> Result<Shared, String> {
    let log = Log::open(flags.log.as_deref(), flags.log_format)?;
    let terms = Terms {
        start: flags.start.unwrap_or_default(),
        lag: flags.lag.unwrap_or_default(),
        max_lag: flags.max_lag.map_or(MAX_LAG, |size| size.0),
        linger: flags.linger.map_or(Duration::from_secs(30), |span| span.0),
        routes: routes(flags),
    };
    // A reader has a socket, and without a recording a pipe; one of HTTP has another.
    let each = match (flags.record.is_some(), flags.http.is_empty()) {
        (true, _) => 1,
        (false, true) => 3,
        (false, false) => 5,
    };
    let files = limits::open_files();
    let default = ((files - files / 4) / each).max(1);
    let most = flags.max_readers.and_then(|most| usize::try_from(most).ok());
    Ok(Shared {
        stream: OnceLock::new(),
        terms,
        live: Live::default(),
        figures: Figures::default(),
        gate: Arc::new(Gate::default()),
        max_readers: most.unwrap_or(default),
        reserve: Reserve::default(),
        over: Stop::new(),
        log,
        http: Site::new(flags)?,
    })
}

fn greeting(
    from: &str,
    recorded: Option<&Recorded>,
    listeners: &Listeners,
    admin: &[Listening],
) -> String {
    let mut text = format!("relaying {from}\n");
    if let Some(recorded) = recorded {
        let (path, bytes) = (recorded.path.display(), recorded.look().kept);
        text.push_str(&format!("recording to {path}, which has {bytes} bytes\n"));
    }
    text.push_str(&listeners.text());
    for one in admin {
        text.push_str(&format!("health, metrics and flows at {}\n", one.url("http")));
    }
    text
}

/// What runs.
struct Started {
    threads: Vec<Thread>,
    stop: Stop,
    outcome: oneshot::Receiver<Result<(), String>>,
}

fn start(
    feed: Feed,
    recorded: Option<(Arc<Recorded>, RecordingWriter)>,
    listeners: &mut Listeners,
    count: usize,
    shared: &Arc<Shared>,
) -> Result<Started, String> {
    let failed = |error| format!("cannot start a thread: {error}; try fewer --threads");
    let stop = feed.stop.clone();
    let (told, outcome) = oneshot::channel();
    let mut threads = Vec::new();
    if let Some((seen, writer)) = recorded {
        let _first = shared.stream.set(Stream::Recorded(seen.recording.clone())).is_ok();
        for number in 0..count {
            let (acceptors, shared) = (listeners.take(), Arc::clone(shared));
            let serve = async move {
                worker::accept_all(acceptors, &shared);
                std::future::pending().await
            };
            threads.push(Thread::start(&format!("relay-{number}"), || serve).map_err(failed)?);
        }
        let shared = Arc::clone(shared);
        let record = async move {
            let recorded = feed.record(writer).await;
            seen.over();
            shared.over.stop();
            let _told = told.send(recorded).is_ok();
        };
        threads.push(Thread::start("record", || record).map_err(failed)?);
    } else {
        let fan_out = fan_out(feed, listeners.take(), Arc::clone(shared));
        let fan_out = async move {
            let _told = told.send(fan_out.await).is_ok();
            std::future::pending().await
        };
        threads.push(Thread::start("relay", || fan_out).map_err(failed)?);
    }
    Ok(Started { threads, stop, outcome })
}

async fn fan_out(
    feed: Feed,
    acceptors: Vec<(Speaks, Acceptor)>,
    shared: Arc<Shared>,
) -> Result<(), String> {
    let alone = match shared.terms.lag {
        LagPolicy::Block => Alone::Wait,
        _ => Alone::Drop,
    };
    let linger = shared.terms.linger;
    let stop = feed.stop.clone();
    let begin = |joiner: Joiner<'static>| {
        let _first = shared.stream.set(Stream::Fanned(joiner.clone())).is_ok();
        worker::accept_all(acceptors, &shared);
        let (gate, alone) = (Arc::clone(&shared.gate), joiner.clone());
        tokio::spawn(async move {
            // What is left of it is for nobody, once nobody is there.
            stop.stopped().await;
            gate.empty().await;
            alone.end();
        });
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            joiner.source_ended().await;
            shared.over.stop();
        });
    };
    let fanned = feed.fan_out(begin, alone, linger).await;
    shared.over.stop();
    fanned
}

/// Until the stream has ended and every reader with it, or a second signal.
async fn until_over(started: Started, signals: &mut Signals, shared: &Shared) -> u8 {
    let Started { threads, stop, mut outcome } = started;
    let mut cut = 0;
    let outcome = loop {
        tokio::select! {
            outcome = &mut outcome => break outcome.unwrap_or(Ok(())),
            asked = signals.next() => match asked {
                Asked::Reload => {
                    if let Some(log) = &shared.log {
                        log.reopen();
                    }
                }
                Asked::End if stop.is_stopped() => {
                    cut = cut.max(cut_readers(shared).await);
                    // Nobody is waited for any more, nor is what nobody gets.
                    let last = timeout(LAST, &mut outcome).await;
                    break last.unwrap_or(Ok(Ok(()))).unwrap_or(Ok(()));
                }
                Asked::End => stop.stop(),
            },
        }
    };
    tokio::select! {
        () = shared.gate.empty() => {}
        () = signals.end() => cut = cut.max(cut_readers(shared).await),
    }
    for thread in threads {
        thread.end();
    }
    if cut > 0 {
        eprintln!("fdflow: relay: readers cut: {cut}");
    }
    match outcome {
        Ok(()) if cut == 0 => DONE,
        Ok(()) => FAILED,
        Err(message) => {
            eprintln!("fdflow: relay: {message}");
            FAILED
        }
    }
}

/// Ends all readers, and gives them the time to. How many there were.
async fn cut_readers(shared: &Shared) -> usize {
    let open = shared.gate.inside();
    shared.live.command_all(Order::End);
    let _ended = timeout(LAST, shared.gate.empty()).await.is_ok();
    open
}
