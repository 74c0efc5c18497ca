//! Takes part in traces, and sends the spans that the settings of the node ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Needs, Phase, Phases, ResponseHead, Services,
    Step, Summary,
};
use prost::Message as _;
use serde::Deserialize;

use super::logs::Logs;
use super::otlp::{self, KeyValue, Resource};
use super::report::Report;
use crate::http_server::{self, HttpServer, Timeouts};
use crate::propagation::{Context, Place, Propagation, SpanId, TraceId, Width};
use crate::queue::{Batch, Collector, Limits, Queue, Sending};

#[derive(Deserialize)]
struct Config {
    traces_endpoint: Option<String>,
    logs_endpoint: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    resource_attributes: Option<BTreeMap<String, String>>,
    #[serde(flatten)]
    timeouts: Timeouts,
    http_response_header_for_traceid: Option<String>,
    sampling_rate: Option<f64>,
}

struct OpenTelemetry {
    config: Config,
    propagation: Propagation,
    /// `None` if the record is about logs only.
    traces: Option<Arc<Queue>>,
    /// `None` if it is about traces only.
    logs: Option<Logs>,
    services: Services,
}

/// The server.
struct Server {
    http: HttpServer,
    resource: Resource,
}

/// One exchange in its trace.
pub struct Trace {
    pub trace_id: TraceId,
    /// The span of the request.
    pub root_id: SpanId,
    pub parent_id: Option<SpanId>,
    /// The span of the attempt that is answered, if attempts have spans.
    pub balancer_id: Option<SpanId>,
    /// Whether it is recorded.
    pub sampled: bool,
    /// The method that the client used.
    pub method: String,
}

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let limits = Limits::read(record)?;
    let traces = config.traces_endpoint.as_ref().map(|url| {
        if !services.node.spans.request {
            tracing::info!(
                plugin_id = %record.id,
                "opentelemetry passes traces on and sends no spans: tracing_instrumentations is off"
            );
        }
        config.queue(services, "traces", url, limits.clone())
    });
    let logs = config.logs_endpoint.as_ref().map(|url| Logs {
        lines: services.log.follow(),
        queue: config.queue(services, "logs", url, limits),
    });
    Ok(Arc::new(OpenTelemetry {
        propagation: Propagation::read(record)?,
        config,
        traces,
        logs,
        services: services.clone(),
    }))
}

impl Config {
    /// The queue of one kind of data to its server.
    fn queue(&self, services: &Services, kind: &str, url: &str, limits: Limits) -> Arc<Queue> {
        let timeout = self.timeouts.total();
        let (headers, attributes) = (&self.headers, &self.resource_attributes);
        let parameters = format!("{kind} {url} {timeout:?} {headers:?} {attributes:?} {limits:?}");
        Queue::of(services, "opentelemetry", &parameters, limits, || {
            let named = headers.clone().unwrap_or_default();
            let headers = http_server::headers(services, "application/x-protobuf", named);
            let takes = |status| status == 200;
            Box::new(Server {
                http: HttpServer::of_traces(services, url, headers, timeout, takes),
                resource: self.resource(services),
            })
        })
    }

    fn resource(&self, services: &Services) -> Resource {
        let node = &services.node;
        let version = node
            .token
            .split_once('/')
            .map_or("", |(_, version)| version);
        let mut attributes = BTreeMap::from([
            ("service.name".to_owned(), "kong".to_owned()),
            ("service.instance.id".to_owned(), node.id.to_string()),
            ("service.version".to_owned(), version.to_owned()),
        ]);
        attributes.extend(self.resource_attributes.clone().unwrap_or_default());
        let attributes = attributes.into_iter();
        Resource {
            attributes: attributes
                .map(|(key, value)| KeyValue::text(key, value))
                .collect(),
        }
    }
}

impl Collector for Server {
    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        let body = otlp::export(&self.resource, batch.entries());
        Box::pin(self.http.send(body))
    }
}

impl Handler for OpenTelemetry {
    fn needs(&self) -> Needs {
        let spans = &self.services.node.spans;
        let mut needs = Needs::default();
        if self.traces.is_some() {
            needs = Needs::phases(&[Phase::Access]);
            if self.config.http_response_header_for_traceid.is_some() {
                needs.phases = needs.phases.union(Phases::of(&[Phase::HeaderFilter]));
            }
            if spans.request {
                needs.phases = needs.phases.union(Phases::of(&[Phase::Log]));
                needs.turns = spans.plugins();
            }
        }
        if self.logs.is_some() {
            needs.phases = needs.phases.union(Phases::of(&[Phase::Log]));
        }
        needs
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::Now(self.propagate(exchange).map(|()| Flow::Next))
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        if let Some(name) = &self.config.http_response_header_for_traceid
            && let Some(trace) = self.trace(exchange)
        {
            let trace_id = trace.trace_id.hex(Width::Sixteen);
            head.headers.append(name.as_str(), trace_id)?;
        }
        Ok(())
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        if self.traces.is_some() {
            self.trace(exchange);
        }
        let trace = exchange.state::<Option<Trace>>().take();
        if let Some(logs) = &self.logs {
            logs.send(exchange.connection.request_id, trace.as_ref());
        }
        let Some((trace, queue)) = trace.zip(self.traces.as_ref()) else {
            return;
        };
        if !trace.sampled {
            return;
        }
        let report = Report {
            wanted: &self.services.node.spans,
            random: &*self.services.random,
            trace: &trace,
            exchange,
            summary,
        };
        for span in report.spans() {
            queue.push(&span.encode_to_vec());
        }
    }
}

impl OpenTelemetry {
    /// Begins the trace, and tells the upstream where in it its request is.
    fn propagate(&self, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        let (trace, context) = self.begin(exchange);
        let (span_id, parent_id) = match trace.balancer_id {
            Some(balancer_id) => (balancer_id, Some(trace.root_id)),
            None => (trace.root_id, trace.parent_id),
        };
        let place = Place {
            trace_id: trace.trace_id,
            span_id,
            parent_id,
            sampled: Some(trace.sampled),
        };
        *exchange.state() = Some(trace);
        self.propagation.inject(exchange, &context, place)
    }

    /// The trace of an exchange. One that was answered before this plugin had its turn has one only if spans are made.
    fn trace<'a>(&self, exchange: &'a mut Exchange<'_>) -> Option<&'a mut Trace> {
        let known = exchange.state::<Option<Trace>>().take();
        let trace = match known {
            Some(trace) => trace,
            None if self.services.node.spans.request => self.begin(exchange).0,
            None => return None,
        };
        Some(exchange.state::<Option<Trace>>().insert(trace))
    }

    fn begin(&self, exchange: &Exchange<'_>) -> (Trace, Context) {
        let random = &*self.services.random;
        let context = self.propagation.extract(&exchange.head.headers);
        let new = || TraceId::new(random, Width::Sixteen);
        let trace_id = context.trace_id.unwrap_or_else(new);
        let sampled = self.samples(trace_id, context.sampled);
        let has_balancer = self.services.node.spans.request && self.services.node.spans.balancer;
        let trace = Trace {
            trace_id,
            root_id: SpanId::new(random),
            parent_id: context.span_id.or(context.parent_id),
            balancer_id: has_balancer.then(|| SpanId::new(random)),
            sampled,
            method: match sampled {
                true => exchange.head.method().as_str().to_owned(),
                false => String::new(),
            },
        };
        (trace, context)
    }

    /// Compat: that the client does not record a trace decides it; that it does, does not. The rest goes by the trace id, so
    /// that all nodes of a cluster decide alike.
    fn samples(&self, trace_id: TraceId, by_client: Option<bool>) -> bool {
        let spans = &self.services.node.spans;
        if !spans.request || by_client == Some(false) {
            return false;
        }
        let rate = self.config.sampling_rate.unwrap_or(spans.sampling_rate);
        trace_id.fraction() < rate
    }
}
