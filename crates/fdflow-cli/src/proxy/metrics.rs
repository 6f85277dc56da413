//! What `/metrics` tells: the figures as they are when somebody asks.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fdflow::Route;
use fdflow_proxy::health::State;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::flow::{Flow, Stage};
use super::program::Program;
use super::service::Lasting;
use super::upstream::{Address, Upstream};
use crate::daemon::by_route::{self, ByRoute};
use crate::daemon::metrics::{self, Labels, Out, Process, safe};

/// The text that Prometheus reads.
pub(super) fn text(program: &Program) -> Result<String, String> {
    metrics::text(Told::new(program))
}

/// All that is told.
#[derive(Debug)]
struct Told {
    services: BTreeMap<String, Service>,
    process: Process,
}

/// Of a service.
#[derive(Debug)]
struct Service {
    lasting: Arc<Lasting>,
    open: HashMap<&'static str, u64>,
    /// Of flows that have ended and of those that have not.
    up: ByRoute,
    down: ByRoute,
    upstreams: HashMap<Address, Arc<Upstream>>,
}

impl Told {
    fn new(program: &Program) -> Self {
        let running = program.services();
        // No flow ends meanwhile: it would be counted twice, or not at all.
        let services = program.shared.live.look(|flows| {
            let mut services: BTreeMap<_, _> =
                program.lasting().into_iter().map(|(name, l)| (name, Service::new(l))).collect();
            for flow in flows.values() {
                if let Some(service) = services.get_mut(&*flow.service.name) {
                    service.add(flow);
                }
            }
            services
        });
        let mut told = Self { services, process: Process::now() };
        for service in &running {
            let Some(known) = told.services.get_mut(&*service.name) else { continue };
            for pool in service.pools() {
                let members = pool.members();
                for member in members.first.iter().chain(&members.backup) {
                    known.add_upstream(&member.upstream);
                }
            }
        }
        // One that a refused reload named has never been.
        told.services.retain(|name, service| {
            running.iter().any(|running| *running.name == **name)
                || service.lasting.figures.accepted.load(Relaxed) > 0
        });
        told
    }

    /// A value for each service.
    fn each<T>(&self, value: impl Fn(&Service) -> T) -> Vec<(Labels, T)> {
        let one = |(name, service): (&String, _)| (service_label(name), value(service));
        self.services.iter().map(one).collect()
    }

    /// Values for each service, with labels of their own.
    fn many<T>(&self, values: impl Fn(&Service) -> Vec<(Labels, T)>) -> Vec<(Labels, T)> {
        let of = |(name, service): (&String, _)| {
            let service_label = service_label(name);
            let with = move |(labels, value)| ([service_label.clone(), labels].concat(), value);
            values(service).into_iter().map(with).collect::<Vec<_>>()
        };
        self.services.iter().flat_map(of).collect()
    }
}

impl Service {
    fn new(lasting: Arc<Lasting>) -> Self {
        let (up, down) = lasting.figures.bytes();
        Self { lasting, open: HashMap::new(), up, down, upstreams: HashMap::new() }
    }

    fn add(&mut self, flow: &Flow) {
        *self.open.entry(flow.stage().name()).or_default() += 1;
        let Some(link) = flow.link.get() else { return };
        by_route::add(&mut self.up, &link.up);
        by_route::add(&mut self.down, &link.down);
        self.add_upstream(&link.upstream);
    }

    fn add_upstream(&mut self, upstream: &Arc<Upstream>) {
        if !self.upstreams.contains_key(&upstream.address) {
            self.upstreams.insert(upstream.address.clone(), Arc::clone(upstream));
        }
    }

    fn open(&self) -> Vec<(Labels, u64)> {
        let stages = [Stage::Greeting, Stage::Connecting, Stage::Relaying, Stage::Resting];
        let of = |stage: Stage| {
            let open = self.open.get(stage.name()).copied().unwrap_or_default();
            (vec![("state", stage.name().to_owned())], open)
        };
        stages.map(of).into()
    }

    fn ended(&self) -> Vec<(Labels, u64)> {
        let endings = self.lasting.figures.endings().into_iter();
        let labels = |who: &str, why: &str| vec![("who", who.to_owned()), ("why", why.to_owned())];
        endings.map(|(who, why, ended)| (labels(who.name(), why.name()), ended)).collect()
    }

    fn bytes(&self) -> Vec<(Labels, u64)> {
        let directions = [("up", &self.up), ("down", &self.down)];
        // Between sockets there are two routes; any other is told if it was taken nevertheless.
        let of = |(direction, bytes): (&str, _)| {
            let label = vec![("direction", direction.to_owned())];
            let each = metrics::by_route(bytes, [Route::Splice, Route::ReadWrite]);
            let with = |(route, bytes)| ([label.clone(), route].concat(), bytes);
            each.into_iter().map(with).collect::<Vec<_>>()
        };
        directions.into_iter().flat_map(of).collect()
    }

    fn refused(&self) -> Vec<(Labels, u64)> {
        let refusals = self.lasting.figures.refusals().into_iter();
        let labels =
            |route: &str, reason: &str| vec![("route", route.to_owned()), ("reason", safe(reason))];
        refusals.map(|((route, reason), count)| (labels(route, &reason), count)).collect()
    }

    /// A value for each upstream, in the order of their names.
    fn upstreams<T>(&self, value: impl Fn(&Upstream) -> T) -> Vec<(Labels, T)> {
        let label = |upstream: &Upstream| vec![("upstream", safe(&upstream.address.to_string()))];
        let each = self.upstreams.values().map(|upstream| (label(upstream), value(upstream)));
        let mut all: Vec<_> = each.collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    fn states(&self) -> Vec<(Labels, u64)> {
        let name = |upstream: &Upstream| match upstream.state() {
            State::Up => "up",
            State::Down { .. } => "down",
            State::Trial => "trial",
        };
        let all = self.upstreams(name).into_iter().flat_map(|(labels, state)| {
            ["up", "down", "trial"].map(|one| {
                let label = vec![("state", one.to_owned())];
                ([labels.clone(), label].concat(), u64::from(one == state))
            })
        });
        all.collect()
    }
}

fn service_label(name: &str) -> Labels {
    vec![("service", safe(name))]
}

impl Collector for Told {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.flows(&mut out)?;
        self.upstreams(&mut out)?;
        self.process.tell(&mut out)
    }
}

impl Told {
    fn flows(&self, out: &mut Out<'_>) -> fmt::Result {
        let accepted = self.each(|service| service.lasting.figures.accepted.load(Relaxed));
        out.counters("flows_accepted", "Connections accepted", accepted)?;
        out.gauges("flows_open", "Flows that have not ended", self.many(Service::open))?;
        out.counters("flows_ended", "Flows that have ended", self.many(Service::ended))?;
        out.counters(
            "flow_bytes",
            "Bytes given to upstreams (up) and to clients (down)",
            self.many(Service::bytes),
        )?;
        out.counters(
            "routes_refused",
            "Routes that flows did not take, or not to the end",
            self.many(Service::refused),
        )?;
        let flow_seconds = self.each(|service| service.lasting.figures.flow_seconds.clone());
        out.histograms("flow_seconds", "From accepting to the end", flow_seconds)?;
        let connect = self.each(|service| service.lasting.figures.connect_seconds.clone());
        out.histograms("connect_seconds", "Until an upstream had taken a connection", connect)?;
        let retries = self.each(|service| service.lasting.figures.retries.load(Relaxed));
        out.counters("connect_retries", "Connections that an upstream did not take", retries)?;
        let recorded = self.each(|service| service.lasting.figures.tap.recorded.load(Relaxed));
        out.counters("tap_bytes", "Bytes that were recorded", recorded)?;
        let missed = self.each(|service| service.lasting.figures.tap.missed.load(Relaxed));
        out.counters("tap_missed_bytes", "Bytes that went by a recording", missed)?;
        let gaps = self.each(|service| service.lasting.figures.tap.gaps.load(Relaxed));
        out.counters("tap_gaps", "Places where a recording misses bytes", gaps)
    }

    fn upstreams(&self, out: &mut Out<'_>) -> fmt::Result {
        let open = self.many(|service| service.upstreams(|one| one.open.load(Relaxed) as u64));
        out.gauges("upstream_state", "1 at the state it is in", self.many(Service::states))?;
        out.gauges("upstream_flows_open", "Flows that are with it", open)?;
        let connected = self.many(|service| service.upstreams(|one| one.connected.load(Relaxed)));
        out.counters("upstream_connected", "Connections that it has taken", connected)?;
        let failures = self.many(|service| service.upstreams(|one| one.failures.load(Relaxed)));
        out.counters("upstream_failures", "Connections that it has not", failures)
    }
}
