//! What the node logs, as records of OTLP.

use std::sync::Arc;

use plugin_api::{LogLine, LogLines};
use prost::Message as _;

use super::handler::Trace;
use super::otlp::{AnyValue, KeyValue, LogRecord, Value, nanos};
use crate::queue::Queue;

/// Who sends lines logs as well, and what it says of that would be one more line each time.
const OWN: &str = "plugins_observe::queue";

/// Lines on their way to a collector.
pub struct Logs {
    pub lines: Arc<LogLines>,
    pub queue: Arc<Queue>,
}

impl Logs {
    /// Sends what was logged since the last exchange ended. Lines about this exchange tell its trace.
    pub fn send(&self, request_id: &str, trace: Option<&Trace>) {
        for line in self.lines.take() {
            if line.source.starts_with(OWN) {
                continue;
            }
            let is_of_exchange = line.field("request_id") == Some(request_id);
            let record = record(line, trace.filter(|_| is_of_exchange));
            self.queue.push(&record.encode_to_vec());
        }
    }
}

fn record(line: LogLine, trace: Option<&Trace>) -> LogRecord {
    let (severity_number, severity_text) = severity(line.level);
    let mut attributes = vec![KeyValue::text("introspection.source", line.source)];
    for (name, value) in line.fields {
        let name = match name {
            // Compat: as Kong calls it.
            "request_id" => "request.id",
            name => name,
        };
        attributes.push(KeyValue::text(name, value));
    }
    LogRecord {
        time_unix_nano: nanos(line.time),
        observed_time_unix_nano: nanos(line.time),
        severity_number,
        severity_text: severity_text.to_owned(),
        body: Some(AnyValue {
            value: Some(Value::Text(line.message)),
        }),
        attributes,
        flags: trace.map_or(0, |trace| trace.sampled.into()),
        trace_id: trace.map_or_else(Vec::new, |trace| trace.trace_id.bytes().to_vec()),
        span_id: trace.map_or_else(Vec::new, |trace| trace.root_id.bytes().to_vec()),
    }
}

/// The number of the specification for a level, and Kong's name.
fn severity(level: &str) -> (i32, &'static str) {
    match level {
        "debug" => (5, "DEBUG"),
        "info" => (9, "INFO"),
        "notice" => (11, "NOTICE"),
        "warn" => (13, "WARN"),
        "error" => (17, "ERR"),
        "crit" => (19, "CRIT"),
        "alert" => (21, "ALERT"),
        "emerg" => (23, "EMERG"),
        _ => (0, ""),
    }
}
