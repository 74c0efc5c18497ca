//! The spans of an exchange that is over: the request, the attempts to reach an upstream, the turns of plugins.

use plugin_api::{Exchange, Random, Spans, Summary, Try, Turn, Version};

use super::handler::Trace;
use super::otlp::{KeyValue, Kind, Span, Status, Value, nanos};
use crate::propagation::SpanId;

/// Everything that spans are made of.
pub struct Report<'a, 'b> {
    pub wanted: &'a Spans,
    pub random: &'a dyn Random,
    pub trace: &'a Trace,
    pub exchange: &'a Exchange<'b>,
    pub summary: &'a Summary<'a>,
}

impl Report<'_, '_> {
    /// The spans, that of the request first.
    pub fn spans(&self) -> Vec<Span> {
        let mut spans = vec![self.request()];
        let turns = self.exchange.work.turns.iter();
        let wanted = turns.filter(|turn| self.wanted.plugins_in(turn.phase));
        spans.extend(wanted.map(|turn| self.turn(turn)));
        if let Some(last_id) = self.trace.balancer_id {
            let tries = self.summary.tries;
            for (at, one) in tries.iter().enumerate() {
                let (id, end) = match tries.get(at + 1) {
                    Some(next) => (SpanId::new(self.random), nanos(next.started_at)),
                    None => (last_id, self.end()),
                };
                spans.push(self.attempt(at, one, id, end));
            }
        }
        spans
    }

    /// When the exchange ended.
    fn end(&self) -> u64 {
        nanos(self.summary.started_at + self.summary.latencies.request)
    }

    fn request(&self) -> Span {
        let connection = &self.exchange.connection;
        let scheme = match connection.tls {
            Some(_) => "https",
            None => "http",
        };
        let host = connection.host;
        let flavor = match (connection.http2, self.exchange.head.version()) {
            (true, _) => "2.0",
            (false, Version::Http10) => "1.0",
            (false, _) => "1.1",
        };
        let mut attributes = vec![
            KeyValue::text("http.method", &*self.trace.method),
            KeyValue::text("http.url", format!("{scheme}://{host}{}", self.summary.uri)),
            KeyValue::text("http.host", host),
            KeyValue::text("http.scheme", scheme),
            KeyValue::text("http.flavor", flavor),
            KeyValue::text("kong.request.id", connection.request_id),
            KeyValue::new(
                "http.status_code",
                Value::Integer(self.summary.status.into()),
            ),
            KeyValue::text(
                "http.route",
                self.exchange.matched.route_path.unwrap_or_default(),
            ),
        ];
        for (name, address) in [
            ("http.client_ip", connection.client),
            ("net.peer.ip", connection.peer),
        ] {
            if let Some(address) = address {
                attributes.push(KeyValue::text(
                    name,
                    address.ip().to_canonical().to_string(),
                ));
            }
        }
        let parent_id = self.trace.parent_id.map(SpanId::bytes);
        Span {
            parent_span_id: parent_id.map(Vec::from).unwrap_or_default(),
            start_time_unix_nano: nanos(self.summary.started_at),
            end_time_unix_nano: self.end(),
            attributes,
            ..self.span("kong".to_owned(), Kind::Server, self.trace.root_id)
        }
    }

    fn attempt(&self, at: usize, one: &Try, id: SpanId, end: u64) -> Span {
        let (ip, port) = (one.address.ip().to_canonical(), one.address.port());
        let mut attributes = vec![
            // Compat: these numbers are doubles.
            KeyValue::new("try_count", Value::Double((at + 1) as f64)),
            KeyValue::text("net.peer.ip", ip.to_string()),
            KeyValue::new("net.peer.port", Value::Double(port.into())),
        ];
        if let Some(host) = self.exchange.matched.service_host {
            attributes.push(KeyValue::text("net.peer.name", host));
        }
        if let Some(failure) = one.failed {
            let code = Value::Integer(failure.code.into());
            attributes.push(KeyValue::new("http.status_code", code));
        }
        let start = nanos(one.started_at);
        Span {
            start_time_unix_nano: start,
            end_time_unix_nano: end.max(start),
            attributes,
            status: one.failed.map(|_| Status::ERROR),
            ..self.span("kong.balancer".to_owned(), Kind::Client, id)
        }
    }

    fn turn(&self, turn: &Turn) -> Span {
        let name = format!("kong.{}.plugin.{}", turn.phase.name(), turn.plugin);
        let start = nanos(turn.began);
        Span {
            start_time_unix_nano: start,
            end_time_unix_nano: nanos(turn.ended).max(start),
            ..self.span(name, Kind::Internal, SpanId::new(self.random))
        }
    }

    /// A part of the request; whoever calls says when it was.
    fn span(&self, name: String, kind: Kind, id: SpanId) -> Span {
        Span {
            trace_id: self.trace.trace_id.bytes().to_vec(),
            span_id: id.bytes().to_vec(),
            parent_span_id: self.trace.root_id.bytes().to_vec(),
            name,
            kind: kind.into(),
            ..Span::default()
        }
    }
}
