//! What `/metrics` tells: the figures as they are when somebody asks.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use fdflow::{Pipes, Route};
use fdflow_proxy::health::State;
use fdflow_tokio::Counters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::figures::ByRoute;
use super::flow::{Flow, Stage};
use super::program::Program;
use super::service::Lasting;
use super::upstream::{Address, Upstream};
use crate::daemon::limits;

/// The text that Prometheus reads.
pub(super) fn text(program: &Program) -> Result<String, String> {
    let mut registry = Registry::with_prefix("fdflow");
    registry.register_collector(Box::new(Told::new(program)));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| error.to_string())?;
    Ok(text)
}

/// All that is told.
#[derive(Debug)]
struct Told {
    services: BTreeMap<String, Service>,
    pipes: Pipes,
    open_files: usize,
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
        let mut told = Self { services, pipes: fdflow::pipes(), open_files: limits::open_now() };
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
        add(&mut self.up, &link.up);
        add(&mut self.down, &link.down);
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
        let each = directions.into_iter().flat_map(|(direction, bytes)| {
            Route::ALL.into_iter().zip(bytes).map(move |(route, bytes)| (direction, route, *bytes))
        });
        // Between sockets there are two routes; any other is told if it was taken nevertheless.
        let is_told = |route, bytes| bytes > 0 || matches!(route, Route::Splice | Route::ReadWrite);
        let labels = |direction: &str, route: Route| {
            vec![("direction", direction.to_owned()), ("route", route.name().to_owned())]
        };
        each.filter(|(_, route, bytes)| is_told(*route, *bytes))
            .map(|(direction, route, bytes)| (labels(direction, route), bytes))
            .collect()
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

fn add(bytes: &mut ByRoute, counters: &Counters) {
    for (bytes, route) in bytes.iter_mut().zip(Route::ALL) {
        *bytes += counters.bytes_by(route);
    }
}

type Labels = Vec<(&'static str, String)>;

fn service_label(name: &str) -> Labels {
    vec![("service", safe(name))]
}

/// A label's value, which the encoder takes as it is.
fn safe(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

impl Collector for Told {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        self.flows(&mut out)?;
        self.upstreams(&mut out)?;
        let pipes = [("in_use", self.pipes.in_use), ("pooled", self.pipes.pooled)];
        let pipes = pipes.map(|(state, n)| (vec![("state", state.to_owned())], n as u64));
        out.gauges("pipes", "Private pipes that bytes are spliced through", pipes.into())?;
        let what = "Descriptors that the process has open";
        let mut open = out.0.encode_descriptor("open_files", what, None, MetricType::Gauge)?;
        open.encode_gauge(&(self.open_files as u64))
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

/// Where metrics are written to.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn counters(&mut self, name: &str, help: &str, values: Vec<(Labels, u64)>) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn gauges(&mut self, name: &str, help: &str, values: Vec<(Labels, u64)>) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn histograms(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Labels, impl EncodeMetric)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (labels, value) in values {
            value.encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
