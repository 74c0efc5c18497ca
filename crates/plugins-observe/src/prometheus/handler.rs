//! Counts a request when it is over.

use std::sync::Arc;

use plugin_api::{
    Configured as Record, Exchange, Failure, Handler, Needs, Phase, Services, Source, Summary,
    TargetHealthShown, Workspace,
};
use serde::Deserialize;

use super::series::{Status, Subject};
use super::state::{Configured, State};

#[derive(Debug, Clone, Copy, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the configuration"
)]
struct Config {
    per_consumer: bool,
    status_code_metrics: bool,
    ai_metrics: bool,
    latency_metrics: bool,
    bandwidth_metrics: bool,
    upstream_health_metrics: bool,
}

struct Prometheus {
    config: Config,
    state: Arc<State>,
    _shown: Configured,
    _target_health: Option<TargetHealthShown>,
}

pub(super) fn build(record: &Record<'_>, services: &Services) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let state = State::of(services);
    let shows_health = config.upstream_health_metrics;
    Ok(Arc::new(Prometheus {
        _shown: state.configured(),
        _target_health: shows_health.then(|| services.metrics.show_target_health()),
        config,
        state,
    }))
}

impl Handler for Prometheus {
    fn needs(&self) -> Needs {
        let config = &self.config;
        let counts = config.status_code_metrics
            || config.ai_metrics
            || config.latency_metrics
            || config.bandwidth_metrics;
        if counts {
            Needs::phases(&[Phase::Log])
        } else {
            Needs::default()
        }
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        let config = &self.config;
        let matched = exchange.matched;
        // Compat: what no route took is not counted.
        let Some(route) = matched.route else {
            return;
        };
        let mut id = [0; 36];
        let route_name = match route.name {
            Some(name) => name,
            None => &*route.id.as_hyphenated().encode_lower(&mut id),
        };
        let consumer = exchange.work.consumer.as_ref();
        let consumer = consumer.filter(|_| config.per_consumer);
        let counting = self.state.series.counting(&Subject {
            route: (route.id, route_name),
            service: matched.service.map(|service| {
                let host = matched.service_host.unwrap_or_default();
                (service.id, service.name.unwrap_or(host))
            }),
            consumer: consumer.map(|consumer| {
                (
                    consumer.id,
                    consumer.username.as_deref().unwrap_or_default(),
                )
            }),
            workspace: Workspace::NAME,
        });
        if config.bandwidth_metrics {
            counting.set.ingress.add(summary.request_size);
            counting.set.egress.add(summary.response_size);
        }
        if config.status_code_metrics {
            let status = Status {
                code: summary.status,
                of_service: summary.source == Source::Service,
            };
            self.state.series.answered(&counting, status);
        }
        if config.latency_metrics {
            let latencies = &summary.latencies;
            counting.times.request.observe(latencies.request);
            counting.times.gateway.observe(latencies.gateway);
            if let Some(upstream) = latencies.upstream {
                counting.times.upstream.observe(upstream);
            }
        }
        if config.ai_metrics {
            self.state
                .models
                .count(&exchange.work.log_edits, Workspace::NAME);
        }
    }
}
