//! Decides which requests are traced, tells the upstream, and sends the spans.

use std::sync::Arc;
use std::time::SystemTime;

use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Needs, Phase, ResponseHead, Services, Step,
    Summary, Version,
};
use serde::Deserialize;

use super::report::Report;
use super::request_tags;
use crate::http_server::{self, HttpServer, Timeouts};
use crate::propagation::{Context, Place, Propagation, SpanId, TraceId, Width};
use crate::queue::{Batch, Collector, Framing, Limits, Queue, Sending};

/// What a record says of spans.
#[derive(Deserialize)]
pub struct Config {
    pub local_service_name: String,
    http_endpoint: Option<String>,
    sample_ratio: Option<f64>,
    pub default_service_name: Option<String>,
    pub include_credential: bool,
    traceid_byte_count: u8,
    tags_header: String,
    pub static_tags: Option<Vec<StaticTag>>,
    http_span_name: SpanName,
    #[serde(flatten)]
    timeouts: Timeouts,
    http_response_header_for_traceid: Option<String>,
    pub phase_duration_flavor: Flavor,
}

#[derive(Deserialize)]
pub struct StaticTag {
    pub name: String,
    pub value: String,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SpanName {
    Method,
    MethodPath,
}

/// How spans tell when phases began and how long they took.
#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavor {
    Annotations,
    Tags,
}

struct Zipkin {
    config: Config,
    propagation: Propagation,
    /// `None` if spans go nowhere.
    queue: Option<Arc<Queue>>,
    services: Services,
}

/// The server.
struct Server(HttpServer);

/// One exchange in its trace.
pub struct Trace {
    /// As it is reported.
    pub trace_id: String,
    /// The span of the request.
    pub span_id: SpanId,
    pub parent_id: Option<SpanId>,
    /// The span below it, of what is done for the request.
    pub proxy_id: SpanId,
    /// What is recorded, if anything is.
    pub recorded: Option<Recorded>,
}

/// What is known of a request from its beginning.
pub struct Recorded {
    pub method: String,
    pub path: String,
    pub name: String,
    pub protocol: &'static str,
    pub host: String,
    /// What the client gave.
    pub tags: Vec<(String, String)>,
    /// When the phase `access` began; `None` for a request that no route took.
    pub access: Option<SystemTime>,
    /// When the head of the answer was there.
    pub head: Option<SystemTime>,
}

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let limits = Limits::read(record)?;
    let timeout = config.timeouts.total();
    let queue = config.http_endpoint.as_ref().map(|url| {
        let parameters = format!("{url} {timeout:?} {limits:?}");
        Queue::of(services, "zipkin", &parameters, limits, || {
            let headers = http_server::headers(services, "application/json", [].into());
            let takes = |status| (200..300).contains(&status);
            Box::new(Server(HttpServer::of_traces(
                services, url, headers, timeout, takes,
            )))
        })
    });
    Ok(Arc::new(Zipkin {
        propagation: Propagation::read(record)?,
        config,
        queue,
        services: services.clone(),
    }))
}

impl Collector for Server {
    fn framing(&self) -> Framing {
        Framing::List
    }

    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(self.0.send(batch.text()))
    }
}

impl Handler for Zipkin {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access, Phase::HeaderFilter, Phase::Log])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::Now(self.propagate(exchange).map(|()| Flow::Next))
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        let trace = self.trace(exchange);
        if let Some(recorded) = &mut trace.recorded {
            recorded.head = Some(self.services.clock.now());
        }
        if let Some(name) = &self.config.http_response_header_for_traceid {
            head.headers.append(name.as_str(), &trace.trace_id)?;
        }
        Ok(())
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        self.trace(exchange);
        let trace = exchange.state::<Option<Trace>>().take();
        let Some((trace, queue)) = trace.zip(self.queue.as_ref()) else {
            return;
        };
        let Some(recorded) = &trace.recorded else {
            return;
        };
        let report = Report {
            config: &self.config,
            node: &self.services.node,
            random: &*self.services.random,
            trace: &trace,
            recorded,
            exchange,
            summary,
        };
        for span in report.spans() {
            match serde_json::to_vec(&span) {
                Ok(text) => queue.push(&text),
                Err(error) => tracing::error!("a span cannot be written: {error}"),
            }
        }
    }
}

impl Zipkin {
    /// Begins the trace, and tells the upstream where in it its request is.
    fn propagate(&self, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        let (mut trace, trace_id, context) = self.begin(exchange);
        if let Some(recorded) = &mut trace.recorded {
            recorded.access = Some(self.services.clock.now());
        }
        let place = Place {
            trace_id,
            span_id: trace.proxy_id,
            parent_id: Some(trace.span_id),
            // Compat: that a trace is not recorded is no decision for the upstream ("zipkin honours a trace that is not
            // sampled").
            sampled: trace.recorded.is_some().then_some(true),
        };
        *exchange.state() = Some(trace);
        self.propagation.inject(exchange, &context, place)
    }

    /// The trace of an exchange; that of a request that no route took begins with its answer.
    fn trace<'a>(&self, exchange: &'a mut Exchange<'_>) -> &'a mut Trace {
        let known = exchange.state::<Option<Trace>>().take();
        let trace = match known {
            Some(trace) => trace,
            None => self.begin(exchange).0,
        };
        exchange.state::<Option<Trace>>().insert(trace)
    }

    fn begin(&self, exchange: &Exchange<'_>) -> (Trace, TraceId, Context) {
        let (config, random) = (&self.config, &*self.services.random);
        let context = self.propagation.extract(&exchange.head.headers);
        let own_width = match config.traceid_byte_count {
            8 => Width::Eight,
            _ => Width::Sixteen,
        };
        let (trace_id, width) = match context.trace_id {
            Some(trace_id) => (trace_id, Width::Sixteen),
            None => (TraceId::new(random, own_width), own_width),
        };
        let (span_id, parent_id) = match context.shares_span {
            true => (context.span_id, context.parent_id),
            false => (None, context.span_id),
        };
        let sampled = context.sampled.unwrap_or_else(|| self.draws());
        let trace = Trace {
            trace_id: trace_id.hex(width),
            span_id: span_id.unwrap_or_else(|| SpanId::new(random)),
            parent_id,
            proxy_id: SpanId::new(random),
            recorded: sampled.then(|| self.record(exchange)),
        };
        (trace, trace_id, context)
    }

    /// Whether the request is one of those that are traced.
    fn draws(&self) -> bool {
        let mut bytes = [0; 4];
        self.services.random.fill(&mut bytes);
        let drawn = f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0);
        drawn < self.config.sample_ratio.unwrap_or_default()
    }

    fn record(&self, exchange: &Exchange<'_>) -> Recorded {
        let head = &*exchange.head;
        let method = head.method().as_str().to_owned();
        let path = String::from_utf8_lossy(head.path()).into_owned();
        let given = request_tags::parse(&head.headers, &self.config.tags_header);
        Recorded {
            name: match self.config.http_span_name {
                SpanName::Method => method.clone(),
                SpanName::MethodPath => format!("{method} {path}"),
            },
            method,
            path,
            protocol: match (exchange.connection.http2, head.version()) {
                (true, _) => "HTTP/2",
                (false, Version::Http10) => "HTTP/1.0",
                (false, _) => "HTTP/1.1",
            },
            host: exchange.connection.host.to_owned(),
            tags: given.collect(),
            access: None,
            head: None,
        }
    }
}
