//! A service as it runs: its flags, read and completed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fdflow::{Policy, Routes};
use fdflow_proxy::NameRules;
use fdflow_proxy::header::Version;
use fdflow_proxy::{Access, Networks};

use super::figures::Figures;
use super::flags::ServiceFlags;
use super::gate::Sources;
use super::pool::Pool;
use super::resolve::Answers;
use super::tap::{Tap, Unwritten};
use super::target::Target;
use super::upstream::Known;
use crate::daemon::gate::Gate;
use crate::daemon::values::Span;

/// What a service does with connections.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: Arc<str>,
    pub(super) times: Times,
    pub(super) access: Access,
    /// Whose PROXY headers are believed, where there are to be some.
    pub(super) trust: Option<Networks>,
    pub(super) send_proxy: Option<Version>,
    /// Where connections go that no rule for names sends elsewhere.
    pub(super) pool: Option<Arc<Pool>>,
    pub(super) names: Option<NameRules<Arc<Pool>>>,
    pub(super) max_connections: usize,
    pub(super) max_per_source: Option<usize>,
    pub(super) rate: Option<u64>,
    pub(super) routes: Routes,
    pub(super) bind: Option<IpAddr>,
    pub(super) no_delay: bool,
    /// Where flows are recorded.
    pub(super) tap: Option<Arc<Tap>>,
    pub(super) max_fails: u32,
    pub(super) lasting: Arc<Lasting>,
}

/// How long is waited for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) connect: Duration,
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) half_closed: Duration,
    pub(super) lifetime: Option<Duration>,
    pub(super) keepalive: Option<Duration>,
    pub(super) user: Option<Duration>,
    pub(super) check: Option<Duration>,
    pub(super) resolve: Duration,
}

impl Times {
    /// The shortest that a flow may take for anything.
    pub(super) fn shortest(&self) -> Duration {
        let some = [self.connect, self.header, self.idle, self.half_closed];
        let shortest = some.into_iter().min().unwrap_or_default();
        self.lifetime.map_or(shortest, |lifetime| lifetime.min(shortest))
    }
}

/// What outlives a reload of a service: who is in, what was counted, what is known of upstreams.
#[derive(Debug, Default)]
pub(super) struct Lasting {
    pub(super) gate: Arc<Gate>,
    pub(super) sources: Arc<Sources>,
    pub(super) known: Known,
    pub(super) answers: Answers,
    pub(super) figures: Figures,
}

/// That of all services there have been, by name; and which recordings are not at their end.
#[derive(Debug, Default)]
pub(super) struct AllLasting {
    services: Mutex<HashMap<String, Arc<Lasting>>>,
    pub(super) unwritten: Arc<Unwritten>,
}

impl AllLasting {
    fn of(&self, name: &str) -> Arc<Lasting> {
        let mut all = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.to_owned()).or_default())
    }

    pub(super) fn all(&self) -> Vec<(String, Arc<Lasting>)> {
        let all = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, lasting)| (name.clone(), Arc::clone(lasting))).collect()
    }
}

impl Service {
    pub(super) fn new(flags: &ServiceFlags, lasting: &AllLasting) -> Result<Self, String> {
        let name = flags.name.clone().unwrap_or_default();
        let own = lasting.of(&name);
        let count = |most: Option<u32>| most.and_then(|most| usize::try_from(most).ok());
        let balance = flags.balance.map(|balance| balance.0).unwrap_or_default();
        let checked = flags.check_interval.is_some();
        let pool = |to: Vec<Target>, backup| Arc::new(Pool::new(to, backup, balance, checked));
        let default = (!flags.to.is_empty()).then(|| pool(flags.to.clone(), flags.backup.clone()));
        let names = names(flags, |to| pool(to, Vec::new()))?;
        let networks = |peers: &[super::values::Peers]| peers.iter().map(|peers| peers.0).collect();
        Ok(Self {
            lasting: Arc::clone(&own),
            times: times(flags),
            access: Access { allow: networks(&flags.allow_from), deny: networks(&flags.deny_from) },
            trust: (flags.accept_proxy == Some(true)).then(|| networks(&flags.trust)),
            send_proxy: flags.send_proxy.map(|version| version.0),
            pool: default,
            names,
            max_connections: count(flags.max_connections).unwrap_or(usize::MAX),
            max_per_source: count(flags.max_per_source),
            rate: flags.rate.map(|rate| rate.0),
            routes: routes(flags),
            bind: flags.bind.map(|bind| bind.0),
            no_delay: flags.delay != Some(true),
            tap: Tap::open(flags, &own, &lasting.unwritten)?.map(Arc::new),
            max_fails: flags.max_fails.unwrap_or(3),
            name: name.into(),
        })
    }

    /// Every pool of it.
    pub(super) fn pools(&self) -> impl Iterator<Item = &Arc<Pool>> {
        let named = self.names.iter().flat_map(NameRules::values);
        self.pool.iter().chain(named)
    }
}

fn times(flags: &ServiceFlags) -> Times {
    let span =
        |span: Option<Span>, default| span.map_or(Duration::from_secs(default), |span| span.0);
    Times {
        connect: span(flags.connect_timeout, 5),
        header: span(flags.header_timeout, 5),
        idle: span(flags.idle_timeout, 3600),
        half_closed: span(flags.half_closed_timeout, 300),
        lifetime: flags.lifetime.map(|span| span.0),
        keepalive: flags.keepalive.map(|span| span.0),
        user: flags.user_timeout.map(|span| span.0),
        check: flags.check_interval.map(|span| span.0),
        resolve: span(flags.resolve_interval, 10),
    }
}

/// What `--deny` leaves, of what the environment leaves.
fn routes(flags: &ServiceFlags) -> Routes {
    let denied = flags.deny.iter().fold(Routes::none(), |all, some| all.union(some.0));
    Policy::default().routes.difference(denied)
}

/// Rules for the same name share a pool.
fn names(
    flags: &ServiceFlags,
    pool: impl Fn(Vec<Target>) -> Arc<Pool>,
) -> Result<Option<NameRules<Arc<Pool>>>, String> {
    if flags.sni.is_empty() {
        return Ok(None);
    }
    let mut order: Vec<(&str, Vec<Target>)> = Vec::new();
    for rule in &flags.sni {
        match order.iter_mut().find(|(name, _)| *name == rule.name) {
            Some((_, targets)) => targets.push(rule.to.clone()),
            None => order.push((&rule.name, vec![rule.to.clone()])),
        }
    }
    let mut rules = NameRules::default();
    for (name, targets) in order {
        rules.insert(name, pool(targets)).map_err(|error| format!("--sni {name}: {error}"))?;
    }
    Ok(Some(rules))
}
