//! What plugins can do to an exchange, with plugins that are not in the product.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Needs, Phase, Reply, ResponseHead, Step, Summary,
};
use proxy::DataPlaneSettings;
use serde_json::{Value, json};
use snapshot::{Change, PluginTable};

use crate::support::{
    Gateway, Upstream, body, eventually, header, record, service_and_route, snapshot, status,
};

/// Plugins by name: each does one thing, and writes into the journal when its turn comes.
#[derive(Debug, Clone, Default)]
pub struct Table(Arc<Mutex<Vec<String>>>);

impl Table {
    pub fn journal(&self) -> Vec<String> {
        self.0.lock().expect("a lock").clone()
    }
}

impl PluginTable for Table {
    fn priority(&self, name: &str) -> Option<i64> {
        i64::try_from(name.len()).ok()
    }

    fn build(&self, name: &str, record: &Configured<'_>) -> Result<Arc<dyn Handler>, Failure> {
        Ok(Arc::new(Scripted {
            name: name.to_owned(),
            config: Value::Object(record.config.clone()),
            journal: self.clone(),
        }))
    }
}

/// Does what its configuration says.
struct Scripted {
    name: String,
    config: Value,
    journal: Table,
}

impl Scripted {
    fn does(&self, what: &str) -> bool {
        self.config["does"] == what
    }

    fn note(&self, what: impl std::fmt::Display) {
        let line = format!("{} {what}", self.name);
        self.journal.0.lock().expect("a lock").push(line);
    }
}

/// How long a plugin says that it waited for somebody else.
const WAITED: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct Pieces(usize);

impl Handler for Scripted {
    fn needs(&self) -> Needs {
        let all = [
            Phase::Rewrite,
            Phase::Access,
            Phase::HeaderFilter,
            Phase::BodyFilter,
            Phase::Log,
        ];
        let held = [Phase::Response, Phase::Log];
        let passed = [Phase::Access, Phase::Response, Phase::HeaderFilter];
        Needs {
            request_body: ["replace the body", "hold 1 MiB", "measure"]
                .iter()
                .any(|what| self.does(what)),
            held_body: if self.does("hold 1 MiB") { 1 << 20 } else { 0 },
            body_arguments: self.does("look for arguments"),
            changes_length: true,
            answer_head: true,
            turns: self.does("look at turns"),
            ..Needs::phases(match self.config["does"].as_str() {
                Some("hold the answer" | "answer instead") => &held,
                Some("pass the answer") => &passed,
                Some("only log") => &[Phase::Log],
                _ => &all,
            })
        }
    }

    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        self.note("rewrite");
        if self.does("send elsewhere") {
            return Step::answer(Reply::new(418));
        }
        assert!(exchange.matched.route.is_none());
        Step::next()
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        self.note("access");
        match self.config["does"].as_str().unwrap_or_default() {
            "fail" => return Step::Now(Err(Failure::new("on purpose"))),
            "panic" => panic!("on purpose"),
            "say nothing" => return Step::answer(Reply::new(204)),
            "refuse" => {
                let refusal = Reply::message(403, "not you").with_header("X-Why", "because");
                return Step::answer(refusal);
            }
            "wait" => {
                return Step::later(async move {
                    tokio::task::yield_now().await;
                    exchange.head.headers.set("X-Waited", "yes")?;
                    Ok(Flow::Next)
                });
            }
            "replace the body" => {
                let upper = exchange.body().to_ascii_uppercase();
                exchange.set_body([upper, b"!".to_vec()].concat());
            }
            "look for arguments" => {
                let body = String::from_utf8_lossy(exchange.body());
                self.note(format_args!("sees {body:?}"));
            }
            "hold 1 MiB" | "measure" => {
                let (held, sent) = (exchange.body().len(), exchange.work.body_length);
                self.note(format_args!("holds {held} of {sent}"));
            }
            "ask elsewhere" => {
                exchange.work.waited = Some(WAITED);
                return Step::answer(Reply::new(418));
            }
            "pass the answer" => exchange.work.skip_response(),
            "ask for something else" => {
                *exchange.target = b"/else".to_vec();
                exchange.set_query(b"a=b");
            }
            _ => {}
        }
        Step::next()
    }

    fn response<'a>(
        &'a self,
        _: &'a mut Exchange<'_>,
        head: &'a mut ResponseHead,
        body: &'a mut Bytes,
    ) -> Step<'a> {
        self.note(format_args!("response {}", body.len()));
        if self.does("answer instead") {
            return Step::answer(Reply::new(418));
        }
        head.set_status(201);
        *body = Bytes::from(body.iter().rev().copied().collect::<Vec<_>>());
        Step::next()
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        self.note(format_args!("header_filter {}", head.status()));
        assert_eq!(exchange.from_upstream, head.status() / 100 == 2);
        assert!(!self.does("panic at heads"));
        head.headers.append("X-Filtered", self.name.as_bytes())?;
        Ok(())
    }

    fn body_filter(
        &self,
        exchange: &mut Exchange<'_>,
        piece: &mut Bytes,
        last: bool,
    ) -> Result<(), Failure> {
        let pieces = exchange.state::<Pieces>();
        pieces.0 += 1;
        assert!(!self.does("panic at bodies"));
        if last && self.does("append") {
            *piece = [&piece[..], b" and more"].concat().into();
        }
        if self.does("fold the trailers") {
            let trailers = exchange.work.trailers.take();
            assert_eq!(trailers.is_some(), last);
            for trailer in trailers.iter().flat_map(|trailers| trailers.iter()) {
                *piece = [trailer.name, b": ", trailer.value, b"\n"].concat().into();
            }
        }
        Ok(())
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        let head = summary.head.expect("a head was asked for");
        assert!(head.headers.contains("X-Kong-Request-Id") || summary.source.name() == "kong");
        let pieces = exchange.state::<Pieces>().0;
        let is_filtering = self.needs().phases.contains(Phase::BodyFilter);
        assert_eq!(pieces > 0, is_filtering);
        self.note(format_args!(
            "log {} {}",
            summary.status,
            summary.source.name()
        ));
        if self.does("ask elsewhere") {
            let (upstream, gateway) = (summary.latencies.upstream, summary.latencies.gateway);
            assert_eq!((upstream, gateway), (Some(WAITED), Duration::ZERO));
        }
        for turn in &exchange.work.turns {
            assert!(turn.began <= turn.ended);
            self.note(format_args!("sees {} {}", turn.plugin, turn.phase.name()));
        }
        assert!(!self.does("panic at the end"));
    }
}

/// A record of a plugin that does something.
pub fn plugin(number: u128, name: &str, does: &str, more: Value) -> Change {
    let mut fields = json!({ "name": name, "enabled": true, "config": { "does": does } });
    for (key, value) in more.as_object().expect("an object") {
        fields[key] = value.clone();
    }
    record("plugins", number, fields)
}

/// A gateway to an upstream with these plugins, and their journal.
fn gateway(upstream: &Upstream, plugins: Vec<Change>) -> (Gateway, Table) {
    gateway_with(upstream, plugins, DataPlaneSettings::default())
}

fn gateway_with(
    upstream: &Upstream,
    plugins: Vec<Change>,
    settings: DataPlaneSettings,
) -> (Gateway, Table) {
    let table = Table::default();
    let mut changes = service_and_route(upstream.address, json!({}), json!({"paths": ["/a"]}));
    changes.extend(plugins);
    let snapshot = snapshot(changes, Arc::new(table.clone()));
    let gateway = Gateway::of(snapshot, settings, |_| {});
    (gateway, table)
}

const GET: &str = "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn each_phase_gives_the_plugins_their_turns_by_priority() {
    let upstream = Upstream::ok();
    let (gateway, table) = gateway(
        &upstream,
        vec![
            plugin(10, "a", "", json!({})),
            plugin(11, "bb", "", json!({})),
        ],
    );
    let answer = gateway.exchange(GET);
    assert_eq!(status(&answer), 200);
    assert!(
        answer.contains("X-Filtered: bb\r\nX-Filtered: a\r\n"),
        "{answer}"
    );
    let expected = [
        "bb rewrite",
        "a rewrite",
        "bb access",
        "a access",
        "bb header_filter 200",
        "a header_filter 200",
        "bb log 200 upstream",
        "a log 200 upstream",
    ];
    assert_eq!(table.journal(), expected);
}

#[test]
fn a_handler_may_do_without_its_turn_in_response() {
    let upstream = Upstream::ok();
    let passing = plugin(10, "a", "pass the answer", json!({}));
    let (gateway, table) = gateway(&upstream, vec![passing.clone()]);
    assert_eq!(status(&gateway.exchange(GET)), 200);
    assert_eq!(table.journal(), ["a access", "a header_filter 200"]);
    let holding = plugin(11, "bb", "hold the answer", json!({}));
    let (gateway, table) = self::gateway(&upstream, vec![passing, holding]);
    assert_eq!(status(&gateway.exchange(GET)), 201);
    let journal = table.journal();
    assert!(
        journal.iter().any(|line| line.starts_with("bb response")),
        "{journal:?}"
    );
    assert!(
        !journal.iter().any(|line| line.starts_with("a response")),
        "{journal:?}"
    );
}

#[test]
fn turns_are_noted_for_those_who_look_at_them() {
    let upstream = Upstream::ok();
    let plugins = vec![
        plugin(10, "a", "look at turns", json!({})),
        plugin(11, "bb", "", json!({})),
    ];
    let (gateway, table) = gateway(&upstream, plugins);
    gateway.exchange(GET);
    let journal = table.journal();
    let seen = journal
        .iter()
        .filter_map(|line| line.strip_prefix("a sees "));
    assert_eq!(
        seen.collect::<Vec<_>>(),
        [
            "bb rewrite",
            "a rewrite",
            "bb access",
            "a access",
            "bb header_filter",
            "a header_filter",
        ]
    );
}

#[test]
fn an_answer_ends_access_for_those_behind_it_and_is_filtered_by_all() {
    let upstream = Upstream::ok();
    let plugins = vec![
        plugin(10, "a", "", json!({})),
        plugin(11, "bb", "refuse", json!({})),
    ];
    let (gateway, table) = gateway(&upstream, plugins);
    let answer = gateway.exchange(GET);
    assert_eq!(
        (status(&answer), body(&answer)),
        (403, r#"{"message":"not you"}"#)
    );
    assert_eq!(header(&answer, "X-Why"), Some("because"));
    assert!(
        answer.contains("X-Filtered: bb\r\nX-Filtered: a\r\n"),
        "{answer}"
    );
    assert!(upstream.requests().is_empty());
    let journal = table.journal();
    assert!(!journal.contains(&"a access".to_owned()), "{journal:?}");
    assert!(
        journal.contains(&"a log 403 kong".to_owned()),
        "{journal:?}"
    );
}

#[test]
fn a_failure_or_a_panic_ends_one_request_with_500() {
    let upstream = Upstream::ok();
    for does in ["fail", "panic"] {
        let plugins = vec![plugin(
            10,
            "a",
            does,
            json!({"route": {"id": "00000000-0000-0000-0000-000000000002"}}),
        )];
        let (gateway, _) = gateway(&upstream, plugins);
        for _ in 0..2 {
            let answer = gateway.exchange(GET);
            assert_eq!(status(&answer), 500, "{answer}");
            assert!(
                body(&answer).contains("An unexpected error occurred"),
                "{answer}"
            );
        }
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_panic_at_an_answer_of_the_gateway_changes_nothing_but_the_log() {
    let upstream = Upstream::ok();
    for does in ["panic at heads", "panic at bodies", "panic at the end"] {
        let plugins = vec![
            plugin(10, "a", "only log", json!({})),
            plugin(11, "bb", does, json!({})),
        ];
        let (gateway, table) = gateway(&upstream, plugins);
        for _ in 0..2 {
            let answer = gateway.exchange(GET.replace("/a", "/nowhere"));
            assert_eq!(status(&answer), 404, "{does}: {answer}");
            assert!(body(&answer).contains("no Route matched"), "{answer}");
        }
        let logged = |line: &&String| **line == "a log 404 kong";
        assert_eq!(table.journal().iter().filter(logged).count(), 2, "{does}");
    }
}

#[test]
fn plugins_of_all_requests_see_those_without_a_route() {
    let upstream = Upstream::ok();
    let plugins = vec![
        plugin(10, "a", "", json!({})),
        plugin(
            11,
            "bb",
            "",
            json!({"service": {"id": "00000000-0000-0000-0000-000000000001"}}),
        ),
    ];
    let (gateway, table) = gateway(&upstream, plugins);
    let answer = gateway.exchange(GET.replace("/a", "/nowhere"));
    assert_eq!(
        (status(&answer), header(&answer, "X-Filtered")),
        (404, Some("a"))
    );
    assert_eq!(
        table.journal(),
        ["a rewrite", "a header_filter 404", "a log 404 kong"]
    );
}

#[test]
fn rewrite_can_answer_before_a_route_is_sought() {
    let upstream = Upstream::ok();
    let (gateway, _) = gateway(
        &upstream,
        vec![plugin(10, "a", "send elsewhere", json!({}))],
    );
    assert_eq!(status(&gateway.exchange(GET)), 418);
}

#[test]
fn an_answer_that_can_have_no_body_announces_none() {
    let upstream = Upstream::ok();
    let (gateway, _) = gateway(&upstream, vec![plugin(10, "a", "say nothing", json!({}))]);
    let answer = gateway.exchange(GET);
    assert_eq!(status(&answer), 204);
    assert!(!answer.contains("Content-Length"), "{answer}");
}

#[test]
fn a_handler_may_wait() {
    let upstream = Upstream::ok();
    let (gateway, _) = gateway(&upstream, vec![plugin(10, "a", "wait", json!({}))]);
    assert_eq!(status(&gateway.exchange(GET)), 200);
    assert_eq!(header(&upstream.request(), "X-Waited"), Some("yes"));
}

#[test]
fn the_upstream_gets_the_body_and_the_target_that_a_plugin_made() {
    let upstream = Upstream::ok();
    let plugins = vec![
        plugin(10, "a", "replace the body", json!({})),
        plugin(11, "bb", "ask for something else", json!({})),
    ];
    let (gateway, _) = gateway(&upstream, plugins);
    for framing in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ] {
        let request = format!("POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{framing}");
        assert_eq!(status(&gateway.exchange(request)), 200);
    }
    for request in upstream.requests() {
        assert!(
            request.starts_with("POST /else?a=b HTTP/1.1\r\n"),
            "{request}"
        );
        assert_eq!(
            (header(&request, "Content-Length"), body(&request)),
            (Some("6"), "HELLO!")
        );
    }
}

#[test]
fn only_bodies_with_arguments_are_read_for_who_looks_for_arguments() {
    let upstream = Upstream::ok();
    let plugins = vec![plugin(10, "a", "look for arguments", json!({}))];
    let (gateway, table) = gateway(&upstream, plugins);
    for kind in [
        "application/x-www-form-urlencoded",
        "Application/JSON; charset=utf-8",
        "application/grpc",
    ] {
        let head = "POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n";
        let answer = gateway.exchange(format!("{head}Content-Type: {kind}\r\n\r\na=b"));
        assert_eq!(status(&answer), 200);
    }
    let seen = table.journal();
    let seen: Vec<_> = seen.iter().filter(|line| line.contains("sees")).collect();
    assert_eq!(seen, ["a sees \"a=b\"", "a sees \"a=b\"", "a sees \"\""]);
    let received = upstream.requests();
    assert!(received.iter().all(|request| body(request) == "a=b"));
}

#[test]
fn a_longer_body_is_held_for_who_says_how_long() {
    let upstream = Upstream::ok();
    for (does, expected) in [
        ("measure", "a holds 0 of 1048576"),
        ("hold 1 MiB", "a holds 1048576 of 1048576"),
    ] {
        let (gateway, table) = gateway(&upstream, vec![plugin(10, "a", does, json!({}))]);
        for (length, is_held) in [(1_048_576, true), (1_048_577, false)] {
            let head = format!(
                "POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
            );
            let answer = gateway.exchange(format!("{head}{}", "x".repeat(length)));
            assert_eq!(status(&answer), 200);
            let sent = upstream.requests().pop().expect("a request");
            assert_eq!(body(&sent).len(), length);
            let journal = table.journal();
            let last = journal.iter().rfind(|line| line.contains("holds"));
            let missed = format!("a holds 0 of {length}");
            let expected = if is_held { expected } else { &missed };
            assert_eq!(last.map(String::as_str), Some(expected));
        }
    }
}

#[test]
fn bodies_that_are_held_together_have_a_bound() {
    let long = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}",
        600_000,
        "x".repeat(600_000)
    );
    let upstream = Upstream::answering(long);
    let bounded = || {
        let mut settings = DataPlaneSettings::default();
        settings.limits.held_bodies = 512 << 10;
        settings
    };
    let holding = vec![plugin(10, "a", "hold 1 MiB", json!({}))];
    let (gateway, _) = gateway_with(&upstream, holding, bounded());
    for (length, expected) in [(500_000, 200), (600_000, 503), (500_000, 200)] {
        let head = format!(
            "POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
        );
        let answer = gateway.exchange(format!("{head}{}", "x".repeat(length)));
        assert_eq!(status(&answer), expected, "{length}");
        if expected == 503 {
            assert!(answer.contains("too many bodies are held"), "{answer}");
        }
    }
    eventually("all is given back", || {
        gateway.shared.stats().held_bodies().bytes() == 0
    });
    assert_eq!(gateway.shared.stats().held_bodies().refused(), 1);
    let holding = vec![plugin(10, "a", "hold the answer", json!({}))];
    let (gateway, _) = gateway_with(&upstream, holding, bounded());
    assert_eq!(status(&gateway.exchange(GET)), 503);
    assert_eq!(gateway.shared.stats().held_bodies().refused(), 1);
}

#[test]
fn what_a_plugin_waited_for_somebody_else_is_the_upstreams_time() {
    let upstream = Upstream::ok();
    let plugins = vec![plugin(10, "a", "ask elsewhere", json!({}))];
    let (gateway, table) = gateway(&upstream, plugins);
    let answer = gateway.exchange(GET);
    assert_eq!(header(&answer, "X-Kong-Response-Latency"), Some("0"));
    assert!(table.journal().contains(&"a log 418 kong".to_owned()));
}

#[test]
fn a_body_that_grows_is_sent_in_chunks() {
    let upstream = Upstream::ok();
    let (gateway, _) = gateway(&upstream, vec![plugin(10, "a", "append", json!({}))]);
    let answer = gateway.exchange(GET);
    assert_eq!(header(&answer, "Content-Length"), None);
    assert_eq!(body(&answer), "b\r\nok and more\r\n0\r\n\r\n");
    let old = gateway.exchange("GET /a HTTP/1.0\r\nHost: x\r\n\r\n");
    assert_eq!(
        (header(&old, "Transfer-Encoding"), body(&old)),
        (None, "ok and more")
    );
    let head = gateway.exchange(GET.replace("GET", "HEAD"));
    assert_eq!((status(&head), body(&head)), (200, ""));
}

#[test]
fn an_answer_that_is_held_can_be_changed_as_a_whole() {
    let upstream = Upstream::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
    );
    let (gateway, table) = gateway(
        &upstream,
        vec![plugin(10, "a", "hold the answer", json!({}))],
    );
    let answer = gateway.exchange(GET);
    assert_eq!((status(&answer), body(&answer)), (201, "cba"));
    assert_eq!(header(&answer, "Content-Length"), Some("3"));
    assert_eq!(table.journal(), ["a response 3", "a log 201 upstream"]);
}
