//! What runs: the doors that are open, and the services behind them. A reload changes them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::check;
use super::config::{Config, NAMELESS};
use super::door::Door;
use super::flags::ServiceFlags;
use super::resolve::{self, Watched};
use super::service::{AllLasting, Lasting, Service};
use super::worker::{Shared, Thread};
use crate::daemon::address::Address;
use crate::daemon::listen::{self, Listening};

/// So long may what was recorded take to be written at the end.
const LAST_WRITES: Duration = Duration::from_secs(10);

/// The program as it runs.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) shared: Arc<Shared>,
    threads: Vec<Thread>,
    lasting: AllLasting,
    /// How many listeners the service manager handed over.
    handed: usize,
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    /// What the service manager handed over, until a service has it.
    inherited: Vec<Listening>,
    open: Vec<Open>,
    services: Vec<Arc<Service>>,
    /// They look after the services' upstreams.
    tasks: Vec<JoinHandle<()>>,
}

/// A listener that is open.
#[derive(Debug)]
struct Open {
    /// As it was asked for; `None`: the service manager opened it.
    address: Option<Address>,
    listening: Vec<Listening>,
    door: Arc<Door>,
}

impl Open {
    /// The service that it is for after a reload.
    fn wanted(&self, services: &[ServiceFlags], heir: Option<usize>) -> Option<usize> {
        let Some(address) = &self.address else { return heir };
        let now = self.door.service();
        // A port that is whatever is free stands for as many ports as there are services with it.
        let is_same =
            |flags: &ServiceFlags| !address.is_any() || flags.name.as_deref() == Some(&now.name);
        services.iter().position(|flags| flags.listen.contains(address) && is_same(flags))
    }
}

impl Program {
    pub(super) fn new(
        shared: Arc<Shared>,
        threads: Vec<Thread>,
        inherited: Vec<Listening>,
    ) -> Self {
        let (handed, lasting) = (inherited.len(), AllLasting::default());
        let running = Mutex::new(Running { inherited, ..Running::default() });
        Self { shared, threads, lasting, handed, running }
    }

    /// The services that there are.
    pub(super) fn services(&self) -> Vec<Arc<Service>> {
        self.locked().services.clone()
    }

    /// What lasts of those that there are or were.
    pub(super) fn lasting(&self) -> Vec<(String, Arc<Lasting>)> {
        self.lasting.all()
    }

    /// Where connections are accepted, as it is printed.
    pub(super) fn printed(&self) -> Vec<String> {
        let running = self.locked();
        let one = |open: &Open| {
            let name = open.door.service().name.clone();
            open.listening
                .iter()
                .map(move |l| format!("{name} at {}", l.address_text()))
                .collect::<Vec<_>>()
        };
        running.open.iter().flat_map(one).collect()
    }

    /// Does what is asked for from now on. Where something of it cannot be done, nothing changes.
    pub(super) async fn set(&self, config: &Config) -> Result<(), String> {
        let heir = heir(&config.services, self.handed)?;
        let services = config.services.iter().map(|flags| Service::new(flags, &self.lasting));
        let services: Vec<_> = services.map(|s| s.map(Arc::new)).collect::<Result<_, _>>()?;
        let names = resolve::watch(&services, config.program.name_server).await;
        let opened = self.open_new(&config.services, &services, heir)?;
        services.iter().for_each(|service| resolve::refresh(service));
        let mut running = self.locked();
        let mut kept: Vec<Open> = Vec::new();
        for open in std::mem::take(&mut running.open) {
            match open.wanted(&config.services, heir) {
                Some(at) => {
                    open.door.set(Arc::clone(&services[at]));
                    kept.push(open);
                }
                None => open.door.close(),
            }
        }
        for mut open in opened {
            for listening in &mut open.listening {
                for thread in &self.threads {
                    if let Some(acceptor) = listening.take() {
                        thread.listen(acceptor, &open.door);
                    }
                }
            }
            kept.push(open);
        }
        running.open = kept;
        for task in running.tasks.drain(..) {
            task.abort();
        }
        running.tasks = look_after(names, &services);
        running.services = services;
        Ok(())
    }

    /// Opens what is not open yet.
    fn open_new(
        &self,
        flags: &[ServiceFlags],
        services: &[Arc<Service>],
        heir: Option<usize>,
    ) -> Result<Vec<Open>, String> {
        let mut opened: Vec<Open> = Vec::new();
        let mut running = self.locked();
        for (at, service) in services.iter().enumerate() {
            for address in &flags[at].listen {
                let is_it = |open: &Open| {
                    open.address.as_ref() == Some(address) && open.wanted(flags, heir) == Some(at)
                };
                if running.open.iter().any(is_it) {
                    continue;
                }
                let asked = std::slice::from_ref(address);
                let listening = listen::taking_over(asked, self.threads.len())?;
                for one in listening.iter().filter_map(Listening::address) {
                    // The system would let it be shared among services too.
                    let mut all = running.open.iter().chain(&opened).flat_map(|o| &o.listening);
                    if all.any(|other| other.address() == Some(one)) {
                        return Err(format!("cannot listen on {one} twice; leave one out"));
                    }
                }
                let door = Arc::new(Door::new(Arc::clone(service)));
                opened.push(Open { address: Some(address.clone()), listening, door });
            }
        }
        if let Some(heir) = heir.filter(|_| !running.inherited.is_empty()) {
            let listening = std::mem::take(&mut running.inherited);
            let door = Arc::new(Door::new(Arc::clone(&services[heir])));
            opened.push(Open { address: None, listening, door });
        }
        Ok(opened)
    }

    /// Accepts nothing more.
    pub(super) fn close(&self) {
        let mut running = self.locked();
        for open in &running.open {
            open.door.close();
        }
        running.open.clear();
        for task in running.tasks.drain(..) {
            task.abort();
        }
    }

    /// Ends its threads, and waits until what was recorded is written.
    pub(super) fn end(self) {
        for thread in self.threads {
            thread.end();
        }
        let unwritten = self.lasting.unwritten.wait(LAST_WRITES);
        if unwritten > 0 {
            eprintln!(
                "fdflow: proxy: recordings without their end, since the disk is slow: {unwritten}"
            );
        }
    }

    fn locked(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The service that has what the service manager handed over: the only one, or the one that
/// listens nowhere else.
fn heir(services: &[ServiceFlags], handed: usize) -> Result<Option<usize>, String> {
    let mut without = (0..services.len()).filter(|at| services[*at].listen.is_empty());
    let (first, second) = (without.next(), without.next());
    let name = |at: usize| services[at].name.clone().unwrap_or_default();
    match (first, second) {
        (None, _) if handed == 0 => Ok(None),
        (None, _) if services.len() == 1 => Ok(Some(0)),
        (None, _) => Err("LISTEN_FDS: all services listen elsewhere; leave listen out of the one \
                          that is to have these sockets"
            .to_owned()),
        (Some(at), None) if handed > 0 => Ok(Some(at)),
        (Some(at), _) if handed == 0 => {
            let name = name(at);
            let who = if name == NAMELESS { String::new() } else { format!("service {name}: ") };
            Err(format!("{who}nowhere to listen; add --listen HOST:PORT"))
        }
        _ => {
            Err("LISTEN_FDS: several services listen nowhere else; only one can have these sockets"
                .to_owned())
        }
    }
}

/// The tasks that keep up with what names stand for, and with who is up.
fn look_after(names: Vec<Watched>, services: &[Arc<Service>]) -> Vec<JoinHandle<()>> {
    let mut tasks: Vec<_> = names.into_iter().map(|name| tokio::spawn(name.keep())).collect();
    let checked = services.iter().filter_map(|s| Some((Arc::clone(s), s.times.check?)));
    tasks.extend(checked.map(|(service, every)| tokio::spawn(check::run(service, every))));
    tasks
}
