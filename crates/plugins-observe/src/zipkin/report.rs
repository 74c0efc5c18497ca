//! The spans of an exchange that is over: one for the request, one for what was done for it, one for each attempt to reach
//! an upstream.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::SystemTime;

use plugin_api::{Exchange, NodeFacts, Random, Summary, Try};

use super::handler::{Config, Flavor, Recorded, Trace};
use super::span::{Annotation, Endpoint, Kind, Span, Tags, micros};
use crate::propagation::SpanId;

/// Everything that spans are made of.
pub struct Report<'a, 'b> {
    pub config: &'a Config,
    pub node: &'a NodeFacts,
    pub random: &'a dyn Random,
    pub trace: &'a Trace,
    pub recorded: &'a Recorded,
    pub exchange: &'a Exchange<'b>,
    pub summary: &'a Summary<'a>,
}

/// When the phases began and ended.
struct Times {
    start: SystemTime,
    access: SystemTime,
    access_end: SystemTime,
    head: SystemTime,
    end: SystemTime,
}

impl<'a> Report<'a, '_> {
    /// The spans, those of the attempts first.
    pub fn spans(&self) -> Vec<Span<'a>> {
        let times = self.times();
        let tries = self.summary.tries;
        let mut spans: Vec<_> = (tries.iter().enumerate())
            .map(|(at, one)| {
                let next = tries.get(at + 1).map(|next| next.started_at);
                self.attempt(at + 1, one, next.unwrap_or(times.head))
            })
            .collect();
        spans.push(self.proxy(&times));
        spans.push(self.request(&times));
        spans
    }

    fn times(&self) -> Times {
        let start = self.summary.started_at;
        let end = start + self.summary.latencies.request;
        let head = self.recorded.head.unwrap_or(end);
        let access = self.recorded.access.unwrap_or(head);
        let first = self.summary.tries.first();
        Times {
            start,
            access,
            access_end: first.map_or(head, |first| first.started_at),
            head,
            end,
        }
    }

    fn request(&self, times: &Times) -> Span<'a> {
        let (recorded, work) = (self.recorded, &self.exchange.work);
        let mut tags = Tags::new();
        for (name, value) in &recorded.tags {
            set(&mut tags, &**name, &**value);
        }
        for tag in self.config.static_tags.iter().flatten() {
            set(&mut tags, &*tag.name, &*tag.value);
        }
        set(&mut tags, "lc", "kong");
        set(&mut tags, "http.method", &*recorded.method);
        set(&mut tags, "http.host", &*recorded.host);
        set(&mut tags, "http.path", &*recorded.path);
        set(&mut tags, "http.protocol", recorded.protocol);
        set(
            &mut tags,
            "http.status_code",
            self.summary.status.to_string(),
        );
        if let Some(consumer) = &work.consumer {
            set(&mut tags, "kong.consumer", consumer.id.to_string());
        }
        if let Some(credential) = &work.credential
            && self.config.include_credential
        {
            set(&mut tags, "kong.credential", credential.id.to_string());
        }
        set(&mut tags, "kong.node.id", self.node.id.to_string());
        let annotations = match self.config.phase_duration_flavor {
            Flavor::Annotations => vec![
                Annotation::at("krs", times.start),
                Annotation::at("krf", times.access),
            ],
            Flavor::Tags => {
                let rewrite = millis(times.start, times.access);
                set(&mut tags, "kong.rewrite.duration_ms", rewrite);
                Vec::new()
            }
        };
        Span {
            parent_id: self.trace.parent_id,
            id: Some(self.trace.span_id),
            kind: Kind::Server,
            tags,
            annotations,
            ..self.span(
                "",
                times.start,
                times.end,
                None,
                self.exchange.connection.client,
            )
        }
    }

    fn proxy(&self, times: &Times) -> Span<'a> {
        let mut tags = Tags::new();
        let last = self.summary.tries.last();
        if let (Some(_), Some(host)) = (last, self.exchange.matched.service_host) {
            set(&mut tags, "peer.hostname", host.to_owned());
        }
        let service_name = self.tag_matched(&mut tags);
        let annotations = match self.config.phase_duration_flavor {
            Flavor::Annotations => vec![
                Annotation::at("kas", times.access),
                Annotation::at("kaf", times.access_end),
                Annotation::at("khs", times.head),
                Annotation::at("khf", times.head),
                Annotation::at("kbs", times.head),
                Annotation::at("kbf", times.end),
            ],
            Flavor::Tags => {
                let access = millis(times.access, times.access_end);
                set(&mut tags, "kong.access.duration_ms", access);
                let body = millis(times.head, times.end);
                set(&mut tags, "kong.body_filter.duration_ms", body);
                Vec::new()
            }
        };
        let address = last.map(|last| last.address);
        Span {
            parent_id: Some(self.trace.span_id),
            id: Some(self.trace.proxy_id),
            tags,
            annotations,
            ..self.span(" (proxy)", times.access, times.end, service_name, address)
        }
    }

    fn attempt(&self, number: usize, one: &Try, end: SystemTime) -> Span<'a> {
        let mut tags = Tags::new();
        set(&mut tags, "kong.balancer.try", number.to_string());
        if let Some(failure) = one.failed {
            set(&mut tags, "error", "true");
            set(&mut tags, "kong.balancer.state", "failed");
            set(&mut tags, "http.status_code", failure.code.to_string());
        }
        let service_name = self.tag_matched(&mut tags);
        let kind = format!(" (balancer try {number})");
        let (start, address) = (one.started_at, Some(one.address));
        Span {
            parent_id: Some(self.trace.span_id),
            id: Some(SpanId::new(self.random)),
            tags,
            ..self.span(&kind, start, end, service_name, address)
        }
    }

    /// A span of a client with what all spans have; whoever calls completes it.
    fn span(
        &self,
        kind: &str,
        start: SystemTime,
        end: SystemTime,
        service_name: Option<Cow<'a, str>>,
        address: Option<SocketAddr>,
    ) -> Span<'a> {
        let default = self.config.default_service_name.as_deref().map(Cow::from);
        Span {
            trace_id: &self.trace.trace_id,
            name: format!("{}{kind}", self.recorded.name).into(),
            parent_id: None,
            id: None,
            kind: Kind::Client,
            timestamp: micros(start),
            duration: micros(end).saturating_sub(micros(start)),
            local_endpoint: Endpoint::of(
                Some(self.config.local_service_name.as_str().into()),
                None,
            ),
            remote_endpoint: Endpoint::of(service_name.or(default), address),
            tags: Tags::new(),
            annotations: Vec::new(),
        }
    }

    /// Tells where the request went; gives the name of its service.
    fn tag_matched(&self, tags: &mut Tags<'a>) -> Option<Cow<'a, str>> {
        let matched = &self.exchange.matched;
        let mut name_of_service = None;
        if let Some(service) = matched.service {
            set(tags, "kong.service", service.id.to_string());
            if let Some(name) = service.name {
                set(tags, "kong.service_name", name.to_owned());
                name_of_service = Some(name.to_owned().into());
            }
        }
        if let Some(route) = matched.route {
            set(tags, "kong.route", route.id.to_string());
            if let Some(name) = route.name {
                set(tags, "kong.route_name", name.to_owned());
            }
        }
        name_of_service
    }
}

/// Compat: an empty value is no tag.
fn set<'a>(tags: &mut Tags<'a>, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
    let value = value.into();
    if !value.is_empty() {
        tags.insert(name.into(), value);
    }
}

/// The time between in whole milliseconds.
fn millis(from: SystemTime, to: SystemTime) -> String {
    let between = to.duration_since(from).unwrap_or_default();
    between.as_millis().to_string()
}
