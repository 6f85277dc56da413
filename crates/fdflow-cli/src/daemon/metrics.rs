//! How `/metrics` is written, for figures that are looked at when somebody asks.

use std::fmt;

use fdflow::{Pipes, Route};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::by_route::ByRoute;
use super::limits;

/// The text that Prometheus reads.
pub(crate) fn text(told: impl Collector) -> Result<String, String> {
    let mut registry = Registry::with_prefix("fdflow");
    registry.register_collector(Box::new(told));
    let mut text = String::new();
    encode(&mut text, &registry).map_err(|error| error.to_string())?;
    Ok(text)
}

pub(crate) type Labels = Vec<(&'static str, String)>;

/// A label's value, which the encoder takes as it is.
pub(crate) fn safe(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// A value for each route that bytes went by, and for the two that there always are.
pub(crate) fn by_route(bytes: &ByRoute, common: [Route; 2]) -> Vec<(Labels, u64)> {
    let each = Route::ALL.into_iter().zip(*bytes);
    let told = each.filter(|(route, bytes)| *bytes > 0 || common.contains(route));
    told.map(|(route, bytes)| (vec![("route", route.name().to_owned())], bytes)).collect()
}

/// Of the whole process.
#[derive(Debug)]
pub(crate) struct Process {
    pipes: Pipes,
    open_files: usize,
}

impl Process {
    pub(crate) fn now() -> Self {
        Self { pipes: fdflow::pipes(), open_files: limits::open_now() }
    }

    pub(crate) fn tell(&self, out: &mut Out<'_>) -> fmt::Result {
        let pipes = [("in_use", self.pipes.in_use), ("pooled", self.pipes.pooled)];
        let pipes = pipes.map(|(state, n)| (vec![("state", state.to_owned())], n as u64));
        out.gauges("pipes", "Private pipes that bytes are spliced through", pipes.into())?;
        let what = "Descriptors that the process has open";
        out.gauge("open_files", what, self.open_files as u64)
    }
}

/// Where metrics are written to.
pub(crate) struct Out<'a>(pub(crate) DescriptorEncoder<'a>);

impl Out<'_> {
    pub(crate) fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Labels, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    pub(crate) fn gauges(
        &mut self,
        name: &str,
        help: &str,
        values: Vec<(Labels, u64)>,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    pub(crate) fn histograms(
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

    /// One without labels.
    pub(crate) fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    /// One without labels.
    pub(crate) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: impl EncodeGaugeValue,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }
}
