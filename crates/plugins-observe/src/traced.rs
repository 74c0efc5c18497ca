//! One request that a plugin of traces takes part in, with its server played by the test.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use plugin_api::testing::{Sample, answer_head};
use plugin_api::{Handler, HttpRequest, Latencies, ResponseHead, Source, Summary, Try, TryFailure};
use serde_json::Value;

use crate::entries::tests::Bench;

/// A trace and a span of a client.
pub const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub const SPAN: &str = "00f067aa0ba902b7";

pub struct Traced {
    pub bench: Bench,
    pub handler: Arc<dyn Handler>,
    pub sample: Sample,
    /// The head of the answer.
    pub head: ResponseHead,
}

impl Traced {
    pub fn new(bench: Bench, handler: Arc<dyn Handler>, lines: &[(&str, &str)]) -> Self {
        Self {
            bench,
            handler,
            sample: Sample::new("GET", "/a?b=c", lines),
            head: answer_head(200),
        }
    }

    /// The request goes through the phases; gives what the server gets.
    pub async fn requests(&mut self, tries: &[Try]) -> Vec<HttpRequest> {
        let mut exchange = self.sample.exchange();
        self.handler.access(&mut exchange).outcome().await.unwrap();
        self.answer(tries).await
    }

    /// The phases from the answer on, as for a request that something before the plugin answers.
    pub async fn answer(&mut self, tries: &[Try]) -> Vec<HttpRequest> {
        let mut exchange = self.sample.exchange();
        self.handler
            .header_filter(&mut exchange, &mut self.head)
            .unwrap();
        let summary = Summary {
            status: 418,
            head: None,
            source: Source::Service,
            request_size: 52,
            response_size: 150,
            upstream_status: Some(418),
            uri: "/a?b=c",
            started_at: at(0),
            latencies: Latencies {
                request: Duration::from_millis(20),
                ..Latencies::default()
            },
            tries,
        };
        self.handler.log(&mut exchange, &summary);
        // Longer than a queue waits; time is paused.
        tokio::time::sleep(Duration::from_secs(4)).await;
        self.bench.requests()
    }

    /// A header that the upstream gets.
    pub fn upstream_header(&self, name: &str) -> Option<&str> {
        self.sample.head.headers.get_str(name)
    }
}

/// Milliseconds after the request.
pub fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

/// Two attempts, of which the first failed.
pub fn tries() -> [Try; 2] {
    let one = Try {
        address: "127.0.0.1:81".parse().unwrap(),
        started_at: at(5),
        balancing: Duration::from_millis(1),
        failed: Some(TryFailure { code: 502 }),
        keep_alive: false,
    };
    let other = Try {
        address: "[::1]:82".parse().unwrap(),
        started_at: at(7),
        failed: None,
        ..one.clone()
    };
    [one, other]
}

/// Settings with changes.
pub fn changed(mut settings: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        settings[name] = value.clone();
    }
    settings
}
