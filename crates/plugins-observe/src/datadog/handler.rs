//! Writes the metrics of each exchange with their tags.

use std::sync::Arc;

use plugin_api::{
    Configured, Consumer, Destination, Exchange, Failure, Handler, Needs, Phase, Services, Summary,
};
use serde::Deserialize;

use crate::queue::{Limits, Queue};
use crate::stats::{
    ConsumerBy, Measure, Server, StatType, Transport, in_tag, one_part, push_lines, write_value,
};

#[derive(Deserialize)]
struct Config {
    host: String,
    port: u16,
    prefix: String,
    service_name_tag: String,
    status_tag: String,
    consumer_tag: String,
    metrics: Vec<Metric>,
}

#[derive(Deserialize)]
struct Metric {
    name: Measure,
    stat_type: StatType,
    tags: Option<Vec<String>>,
    sample_rate: Option<f64>,
    consumer_identifier: Option<ConsumerBy>,
}

struct Datadog {
    config: Config,
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
    let one_each = Transport::Udp { datagram: 0 };
    let limits = Limits::read(record)?;
    Ok(Arc::new(Datadog {
        queue: Server::queue(services, "datadog", to, one_each, limits),
        config,
    }))
}

impl Handler for Datadog {
    fn needs(&self) -> Needs {
        if self.config.metrics.is_empty() {
            return Needs::default();
        }
        Needs::phases(&[Phase::Log])
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        let lines = self.config.metrics.iter();
        let lines = lines.filter_map(|metric| self.line(metric, exchange, summary));
        push_lines(&self.queue, lines);
    }
}

impl Datadog {
    /// One metric; `None` if the exchange has no such value.
    fn line(
        &self,
        metric: &Metric,
        exchange: &Exchange<'_>,
        summary: &Summary<'_>,
    ) -> Option<String> {
        let config = &self.config;
        let value = metric.name.of(summary)?;
        let matched = &exchange.matched;
        let service = matched
            .service
            .map(|service| one_part(service.name.or(matched.service_host).unwrap_or_default()));
        let consumer = exchange.work.consumer.as_deref();
        let consumer = consumer.zip(metric.consumer_identifier);
        let consumer = consumer.and_then(|(consumer, by)| name(consumer, by));

        let mut line = format!("{}.{}", config.prefix, metric.name.name());
        write_value(&mut line, value, metric.stat_type, metric.sample_rate);
        line.push_str("|#");
        line.push_str(&config.service_name_tag);
        line.push(':');
        line.push_str(&in_tag(&service.unwrap_or_default()));
        line.push_str(&format!(",{}:{}", config.status_tag, summary.status));
        if let Some(consumer) = consumer {
            line.push_str(&format!(",{}:{}", config.consumer_tag, in_tag(&consumer)));
        }
        for tag in metric.tags.iter().flatten() {
            line.push(',');
            line.push_str(tag);
        }
        Some(line)
    }
}

/// Compat: an id has underscores where it has dashes elsewhere.
fn name(consumer: &Consumer, by: ConsumerBy) -> Option<String> {
    match by {
        ConsumerBy::ConsumerId => Some(consumer.id.to_string().replace('-', "_")),
        ConsumerBy::CustomId => consumer.custom_id.as_deref().map(str::to_owned),
        ConsumerBy::Username => consumer.username.as_deref().map(str::to_owned),
    }
}
