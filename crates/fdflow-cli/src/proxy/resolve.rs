//! What the names of upstreams stand for: looked up at the start and again every so often.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::pool::{Member, Members};
use super::service::Service;
use super::srv;
use super::target::Place;
use super::upstream::Address;

/// The program starts with what has been found by then.
const AT_START: Duration = Duration::from_secs(5);
/// What cannot be found is soon looked for again, and then less and less often.
const SOON: Duration = Duration::from_secs(1);
/// So many addresses stand in a line.
const SHOWN: usize = 16;

/// One address that a name stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) is_backup: bool,
    pub(super) address: Address,
    pub(super) weight: u32,
    /// Whose address it is, where that is another name.
    pub(super) host: String,
}

impl Found {
    fn plain(address: Address) -> Self {
        Self { is_backup: false, address, weight: 1, host: String::new() }
    }
}

/// What came of looking a name up. Nothing found: nobody can say what it stands for.
#[derive(Debug, Default)]
pub(super) struct Looked {
    pub(super) found: Vec<Found>,
    /// Why there is not more.
    pub(super) trouble: Option<String>,
}

impl Looked {
    pub(super) fn failed(trouble: String) -> Self {
        Self { found: Vec::new(), trouble: Some(trouble) }
    }
}

/// What the names of a service stood for when they were last found. It outlives a reload.
#[derive(Debug, Default)]
pub(super) struct Answers {
    all: Mutex<HashMap<Place, Vec<Found>>>,
    /// Told when the members of a pool have become others.
    pub(super) changed: Notify,
}

impl Answers {
    fn of(&self, place: &Place) -> Vec<Found> {
        match literal(place) {
            Some(address) => vec![Found::plain(address)],
            None => self.locked().get(place).cloned().unwrap_or_default(),
        }
    }

    fn set(&self, place: &Place, found: Vec<Found>) {
        self.locked().insert(place.clone(), found);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<Place, Vec<Found>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The address, where none has to be looked up.
fn literal(place: &Place) -> Option<Address> {
    match place {
        Place::Unix(path) => Some(Address::Unix(path.clone())),
        Place::Tcp(name) => name.parse().ok().map(Address::Tcp),
        Place::Srv(_) => None,
    }
}

/// Gives the pools of a service what their names stand for now.
pub(super) fn refresh(service: &Service) {
    let lasting = &service.lasting;
    for pool in service.pools() {
        let mut members = Members::default();
        let targets = pool.to.iter().map(|target| (target, false));
        for (target, is_backup) in targets.chain(pool.backup.iter().map(|t| (t, true))) {
            for found in lasting.answers.of(&target.place) {
                let upstream = lasting.known.at(found.address, service.max_fails);
                let is_backup = is_backup || found.is_backup;
                let list = if is_backup { &mut members.backup } else { &mut members.first };
                if !list.iter().any(|member| Arc::ptr_eq(&member.upstream, &upstream)) {
                    let weight = target.weight.saturating_mul(found.weight);
                    list.push(Member { upstream, weight });
                }
            }
        }
        pool.set(members);
    }
    lasting.answers.changed.notify_one();
}

/// A name of a service, and when it is looked up next.
#[derive(Debug)]
pub(super) struct Watched {
    service: Arc<Service>,
    place: Place,
    server: Option<SocketAddr>,
    /// What was last told to be wrong with it.
    trouble: Option<String>,
    wait: Duration,
    retry: Duration,
}

/// The names of services. Those of which nothing is known are looked up, as long as a start may
/// take; the others will be.
pub(super) async fn watch(services: &[Arc<Service>], server: Option<SocketAddr>) -> Vec<Watched> {
    let (mut watched, mut new) = (Vec::new(), Vec::new());
    for service in services {
        let targets = service.pools().flat_map(|pool| pool.to.iter().chain(&pool.backup));
        let places: HashSet<&Place> = targets.map(|target| &target.place).collect();
        for place in places.into_iter().filter(|place| literal(place).is_none()) {
            let name = Watched {
                service: Arc::clone(service),
                place: place.clone(),
                server,
                trouble: None,
                wait: Duration::ZERO,
                retry: SOON,
            };
            let is_known = !service.lasting.answers.of(place).is_empty();
            if is_known { watched.push(name) } else { new.push(name) }
        }
    }
    watched.extend(at_once(new).await);
    watched
}

/// Looks names up, all at once. Those without an answer in time are looked up again later.
async fn at_once(names: Vec<Watched>) -> Vec<Watched> {
    let mut asked = JoinSet::new();
    for mut name in names {
        asked.spawn(async move {
            let looked = look_up(&name.place, name.server, &[]);
            let looked = timeout(AT_START, looked).await;
            let late = |_| Looked::failed(format!("no answer within {AT_START:?}"));
            name.learn(looked.unwrap_or_else(late));
            name
        });
    }
    let mut names = Vec::new();
    while let Some(name) = asked.join_next().await {
        // A panic in it has been printed.
        names.extend(name.ok());
    }
    names
}

impl Watched {
    /// Looks it up for ever.
    pub(super) async fn keep(mut self) {
        loop {
            sleep(self.wait).await;
            let before = self.service.lasting.answers.of(&self.place);
            let looked = look_up(&self.place, self.server, &before).await;
            if self.learn(looked) {
                let now = self.service.lasting.answers.of(&self.place);
                eprintln!("fdflow: proxy: {}: {} is {}", self.service.name, self.place, list(&now));
                refresh(&self.service);
            }
        }
    }

    /// Whether it stands for something else now.
    fn learn(&mut self, looked: Looked) -> bool {
        let (answers, interval) = (&self.service.lasting.answers, self.service.times.resolve);
        let before = answers.of(&self.place);
        if looked.trouble.is_some() && looked.trouble != self.trouble {
            self.tell(&looked, !before.is_empty());
        }
        self.trouble = looked.trouble;
        let mut found = looked.found;
        if found.is_empty() {
            self.wait = self.retry.min(interval);
            self.retry = self.retry.saturating_mul(2).min(interval);
            return false;
        }
        (self.wait, self.retry) = (interval, SOON);
        found.sort();
        found.dedup();
        let has_changed = found != before;
        answers.set(&self.place, found);
        has_changed
    }

    fn tell(&self, looked: &Looked, is_known: bool) {
        let (service, place) = (&self.service.name, &self.place);
        let trouble = looked.trouble.as_deref().unwrap_or_default();
        if !looked.found.is_empty() {
            eprintln!("fdflow: proxy: {service}: {place}: {trouble}");
        } else if is_known {
            eprintln!(
                "fdflow: proxy: {service}: cannot find {place}: {trouble}; it stays what it was"
            );
        } else {
            eprintln!(
                "fdflow: proxy: {service}: cannot find {place}: {trouble}; nothing goes there \
                 until it is found"
            );
        }
    }
}

async fn look_up(place: &Place, server: Option<SocketAddr>, before: &[Found]) -> Looked {
    match place {
        Place::Unix(_) => Looked::default(),
        Place::Srv(name) => srv::look_up(name, server, before).await,
        Place::Tcp(name) => match tokio::net::lookup_host(name.as_str()).await {
            Ok(found) => {
                let found = found.map(|address| Found::plain(Address::Tcp(address))).collect();
                Looked { found, trouble: None }
            }
            Err(error) => Looked::failed(error.to_string()),
        },
    }
}

/// As it is printed.
fn list(found: &[Found]) -> String {
    let one = |found: &Found| {
        let weight =
            if found.weight == 1 { String::new() } else { format!(" of weight {}", found.weight) };
        let backup = if found.is_backup { " as backup" } else { "" };
        format!("{}{weight}{backup}", found.address)
    };
    let mut text: Vec<String> = found.iter().take(SHOWN).map(one).collect();
    if let Some(more) = found.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        text.push(format!("and {more} more"));
    }
    text.join(", ")
}
