//! Writes the metrics of each exchange: their scope in the name, or in tags.

use std::sync::Arc;

use plugin_api::{
    Configured, Destination, Exchange, Failure, Handler, Needs, Phase, Services, Summary,
};
use serde::Deserialize;

use super::names::{Defaults, Identifiers, Names};
use super::tags::TagStyle;
use crate::queue::{Limits, Queue};
use crate::stats::{Measure, Server, StatType, Transport, one_part, push_lines, write_value};

#[derive(Deserialize)]
struct Config {
    host: String,
    port: u16,
    prefix: String,
    metrics: Vec<Metric>,
    allow_status_codes: Option<Vec<String>>,
    udp_packet_size: f64,
    use_tcp: bool,
    hostname_in_prefix: bool,
    #[serde(flatten)]
    defaults: Defaults,
    tag_style: Option<TagStyle>,
}

#[derive(Deserialize)]
struct Metric {
    name: Value,
    stat_type: StatType,
    sample_rate: Option<f64>,
    #[serde(flatten)]
    identifiers: Identifiers,
}

/// What a metric tells.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Value {
    Measured(Measure),
    Counted(Counted),
}

/// What is told in names only.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Counted {
    UniqueUsers,
    RequestPerUser,
    StatusCount,
    StatusCountPerUser,
    StatusCountPerWorkspace,
    StatusCountPerUserPerRoute,
    /// Compat: the use of nginx's shared memory, of which there is none here.
    ShdictUsage,
}

struct Statsd {
    config: Config,
    /// What all names begin with.
    prefix: String,
    /// The node as a part of a name.
    node: String,
    /// The statuses that are measured; `None`: all.
    statuses: Option<Vec<(u16, u16)>>,
    queue: Arc<Queue>,
}

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let to = Destination {
        host: config.host.clone(),
        port: config.port,
    };
    let transport = match config.use_tcp {
        true => Transport::Tcp,
        false => Transport::Udp {
            // The declaration keeps it within what a datagram can hold.
            datagram: config.udp_packet_size as usize,
        },
    };
    let node = one_part(&services.node.hostname);
    let prefix = match config.hostname_in_prefix && config.tag_style.is_none() {
        true => format!("{}.node.{node}", config.prefix),
        false => config.prefix.clone(),
    };
    let ranges = config.allow_status_codes.as_ref();
    Ok(Arc::new(Statsd {
        statuses: ranges.map(|ranges| ranges.iter().filter_map(|text| range(text)).collect()),
        queue: Server::queue(services, "statsd", to, transport, Limits::read(record)?),
        config,
        prefix,
        node,
    }))
}

/// The bounds of `200-299`.
fn range(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

impl Handler for Statsd {
    fn needs(&self) -> Needs {
        if self.config.metrics.is_empty() {
            return Needs::default();
        }
        Needs::phases(&[Phase::Log])
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        let is_in = |(from, to): &(u16, u16)| (*from..=*to).contains(&summary.status);
        if !self
            .statuses
            .as_ref()
            .is_none_or(|ranges| ranges.iter().any(is_in))
        {
            return;
        }
        let lines = self.config.metrics.iter();
        let lines = lines.filter_map(|metric| self.line(metric, exchange, summary));
        push_lines(&self.queue, lines);
    }
}

impl Statsd {
    /// One metric; `None` if there is nothing to tell.
    fn line(
        &self,
        metric: &Metric,
        exchange: &Exchange<'_>,
        summary: &Summary<'_>,
    ) -> Option<String> {
        let names = Names::of(exchange, &metric.identifiers, &self.config.defaults);
        match (metric.name, self.config.tag_style) {
            (Value::Measured(measure), Some(style)) => {
                let value = measure.of(summary)?;
                let tags = names.tags(&self.node, summary.status);
                let name = format!("{}.{}", self.prefix, measure.name());
                Some(style.line(name, &tags, |text| {
                    write_value(text, value, metric.stat_type, metric.sample_rate);
                }))
            }
            (Value::Measured(measure), None) => {
                let value = measure.of(summary)?;
                let mut line = format!("{}.{}.{}", self.prefix, names.scope(), measure.name());
                write_value(&mut line, value, metric.stat_type, metric.sample_rate);
                Some(line)
            }
            // Compat: with tags, the scope that these have in their names has no other place.
            (Value::Counted(_), Some(_)) => None,
            (Value::Counted(counted), None) => self.count(counted, metric, &names, summary.status),
        }
    }

    fn count(
        &self,
        counted: Counted,
        metric: &Metric,
        names: &Names<'_>,
        status: u16,
    ) -> Option<String> {
        let scope = names.scope();
        let name = match counted {
            Counted::UniqueUsers => {
                let mut line = format!("{}.{scope}.user.uniques", self.prefix);
                write_value(&mut line, names.consumer()?, StatType::Set, None);
                return Some(line);
            }
            Counted::RequestPerUser => format!("{scope}.user.{}.request.count", names.consumer()?),
            Counted::StatusCount => format!("{scope}.status.{status}"),
            Counted::StatusCountPerUser => {
                format!("{scope}.user.{}.status.{status}", names.consumer()?)
            }
            Counted::StatusCountPerWorkspace => {
                format!("{scope}.workspace.{}.status.{status}", names.workspace())
            }
            Counted::StatusCountPerUserPerRoute => {
                let (route, user) = (names.route()?, names.consumer()?);
                format!("route.{route}.user.{user}.status.{status}")
            }
            Counted::ShdictUsage => return None,
        };
        let mut line = format!("{}.{name}", self.prefix);
        write_value(&mut line, 1, StatType::Counter, metric.sample_rate);
        Some(line)
    }
}
