//! The program's life: start, signals, end.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use fdflow_tokio::SharedRate;
use tokio::time::timeout;

use super::admin::Admin;
use super::config::{self, Config};
use super::flags::{ProgramFlags, ServiceFlags};
use super::flow::Order;
use super::program::Program;
use super::worker::{Shared, Thread};
use crate::daemon::admin;
use crate::daemon::limits;
use crate::daemon::listen::{self, Listening};
use crate::daemon::live::Live;
use crate::daemon::log::Log;
use crate::daemon::reserve::Reserve;
use crate::daemon::signals::{Asked, Signals};
use crate::{DONE, FAILED};

/// Flows that are told to end do so within this.
const LAST: Duration = Duration::from_secs(1);

/// Relays until a signal ends it.
pub(super) fn run(flags: &ProgramFlags, service: &ServiceFlags) -> Result<u8, String> {
    limits::no_huge_pages();
    let config = config::read(flags, service)?;
    let listening = match &config.program.admin {
        Some(address) => listen::taking_over(std::slice::from_ref(address), 1)?,
        None => Vec::new(),
    };
    let count = limits::threads(config.program.threads);
    let inherited = listen::inherited(count)?;
    let shared = Arc::new(shared(&config)?);
    shared.reserve.fill();
    let thread = |number| Thread::start(number, Arc::clone(&shared));
    let threads: io::Result<Vec<_>> = (0..count).map(thread).collect();
    let threads =
        threads.map_err(|error| format!("cannot start a thread: {error}; try fewer --threads"))?;
    let program = Arc::new(Program::new(Arc::clone(&shared), threads, inherited));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let code = runtime.block_on(async {
        // Before the addresses are printed: who reads them may send a signal at once.
        let mut signals = Signals::new()?;
        program.set(&config).await?;
        let (admin, mut asked) = Admin::new(Arc::clone(&program));
        greet(&program, &listening);
        admin::serve(listening, &(Arc::clone(&admin) as _), "proxy");
        loop {
            tokio::select! {
                signal = signals.next() => match signal {
                    Asked::Reload => drop(reload(&program, flags, service).await),
                    Asked::End => break,
                },
                Some(asked) = asked.recv() => asked.answer(reload(&program, flags, service).await),
            }
        }
        admin.drain();
        drop(asked);
        let most = config.program.drain_timeout.map_or(Duration::from_secs(30), |span| span.0);
        Ok::<u8, String>(drain(&program, most, &mut signals).await)
    })?;
    // With its tasks, which have the program too.
    runtime.shutdown_background();
    if let Some(program) = Arc::into_inner(program) {
        program.end();
    }
    if let Some(log) = &shared.log {
        log.end();
    }
    Ok(code)
}

fn shared(config: &Config) -> Result<Shared, String> {
    let program = &config.program;
    let log = Log::open(program.log.as_deref(), program.log_format)?;
    // Two descriptors for each flow, and some for the pipes of those that are busy; where flows are
    // recorded, six more for each.
    let recorded = config.services.iter().any(|service| service.tap.is_some());
    let default = (limits::open_files() / if recorded { 9 } else { 3 }).max(1);
    let most = program.max_connections.and_then(|most| usize::try_from(most).ok());
    Ok(Shared {
        gate: Arc::default(),
        accepting: Arc::default(),
        max_connections: most.unwrap_or(default),
        reserve: Reserve::default(),
        live: Live::default(),
        total_rate: program.total_rate.map(|rate| SharedRate::new(rate.0)),
        log,
        explain: program.explain == Some(true),
    })
}

fn greet(program: &Program, admin: &[Listening]) {
    let mut text = String::new();
    for line in program.printed() {
        text.push_str(&format!("proxying {line}\n"));
    }
    for one in admin {
        text.push_str(&format!("health, metrics and flows at {}\n", one.url("http")));
    }
    // Where nobody reads it, it is not needed.
    let mut out = io::stdout().lock();
    let _printed = out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok();
}

/// Reads again what may change. Where something is wrong with it, all goes on as before.
async fn reload(
    program: &Program,
    flags: &ProgramFlags,
    service: &ServiceFlags,
) -> Result<(), String> {
    if let Some(log) = &program.shared.log {
        log.reopen();
    }
    let reloaded = match config::read(flags, service) {
        Ok(config) => program.set(&config).await,
        Err(message) => Err(message),
    };
    match &reloaded {
        Ok(()) => eprintln!("fdflow: proxy: reloaded"),
        Err(message) => eprintln!("fdflow: proxy: not reloaded: {message}"),
    }
    reloaded
}

/// Lets flows end, at most for `most`, or until a second signal.
async fn drain(program: &Program, most: Duration, signals: &mut Signals) -> u8 {
    let shared = &program.shared;
    program.close();
    let ended = async {
        // Those who wait to be accepted come in first.
        shared.accepting.empty().await;
        shared.gate.empty().await;
    };
    tokio::select! {
        _ = timeout(most, ended) => {}
        () = signals.end() => {}
    }
    let open = shared.gate.inside();
    if open == 0 {
        return DONE;
    }
    eprintln!("fdflow: proxy: flows cut: {open}");
    shared.live.command_all(Order::End);
    let _ended = timeout(LAST, shared.gate.empty()).await.is_ok();
    FAILED
}
