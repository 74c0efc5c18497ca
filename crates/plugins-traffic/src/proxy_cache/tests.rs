use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http1::Framing;
use plugin_api::testing::{FakeCluster, FakeRecords, Sample, build, services};
use plugin_api::{
    Body, Consumer, EndpointCall, Flow, Handler, Method, Reply, ResponseHead, Services,
};
use serde_json::{Map, Value, json};
use stdx::ManualClock;
use uuid::Uuid;

use super::{endpoints, handler};

/// The id that [`build`] gives the record.
const PLUGIN: &str = "00000000-0000-0000-0000-000000000009";

/// A gateway with one proxy-cache, a clock to turn and another node to play.
struct Gateway {
    handler: Arc<dyn Handler>,
    config: Value,
    services: Services,
    clock: Arc<ManualClock>,
    cluster: Arc<FakeCluster>,
}

/// What the upstream says when it is asked.
#[derive(Clone, Copy)]
struct Upstream<'a> {
    status: u16,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
}

const FINE: Upstream<'_> = Upstream {
    status: 200,
    headers: &[("Content-Type", "text/plain")],
    body: "fine",
};

/// What a client got: where it came from, and the reply if it came from the plugin.
#[derive(Debug)]
struct Got {
    cache: Option<String>,
    key: Option<String>,
    reply: Option<Reply>,
}

impl Got {
    fn header(&self, name: &str) -> Option<String> {
        let headers = &self.reply.as_ref()?.headers;
        let (_, value) = headers.iter().find(|(said, _)| said == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    fn says(&self, cache: &str) -> bool {
        self.cache.as_deref() == Some(cache)
    }
}

impl Gateway {
    fn new(more: Value) -> Self {
        let mut config = json!({
            "response_code": [200, 301, 404], "request_method": ["GET", "HEAD"],
            "content_type": ["text/plain", "application/json"], "cache_ttl": 300, "strategy": "memory",
            "cache_control": false, "ignore_uri_case": false, "storage_ttl": null,
            "memory": { "dictionary_name": "kong_db_cache" }, "vary_query_params": null, "vary_headers": null,
            "response_headers": { "age": true, "X-Cache-Status": true, "X-Cache-Key": true },
        });
        for (name, value) in more.as_object().expect("an object") {
            config[name] = value.clone();
        }
        let clock = Arc::new(ManualClock::at(std::time::SystemTime::UNIX_EPOCH));
        let cluster = Arc::new(FakeCluster::default());
        let mut services = services(FakeRecords::default());
        services.clock = clock.clone();
        services.cluster = cluster.clone();
        Self {
            handler: build(handler::build, &config, &services).expect("a handler"),
            config,
            services,
            clock,
            cluster,
        }
    }

    /// The record is written again, so that a new handler takes the place of the old one.
    fn rebuild(&mut self) {
        self.handler = build(handler::build, &self.config, &self.services).expect("a handler");
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Got {
        self.ask(&mut Sample::new("GET", target, headers), FINE)
            .await
    }

    /// A request through the plugin, and to the upstream if it comes to that.
    async fn ask(&self, sample: &mut Sample, upstream: Upstream<'_>) -> Got {
        let pieces = [Bytes::copy_from_slice(upstream.body.as_bytes())];
        self.ask_in_pieces(sample, upstream, &pieces).await
    }

    async fn ask_in_pieces(
        &self,
        sample: &mut Sample,
        upstream: Upstream<'_>,
        pieces: &[Bytes],
    ) -> Got {
        let mut exchange = sample.exchange();
        let flow = self.handler.access(&mut exchange).outcome().await;
        let reply = match flow.expect("an outcome") {
            Flow::Answer(reply) => Some(*reply),
            Flow::Next => None,
        };
        let mut head = ResponseHead::new(upstream.status, Framing::None);
        let replayed = reply.iter().flat_map(|reply| &reply.headers);
        for (name, value) in replayed {
            head.headers.append(&**name, value).expect("a header");
        }
        if reply.is_none() {
            for (name, value) in upstream.headers {
                head.headers.append(*name, value).expect("a header");
            }
        }
        for edit in std::mem::take(&mut exchange.work.answer_headers) {
            edit.apply(&mut head).expect("an edit");
        }
        let filter = self.handler.header_filter(&mut exchange, &mut head);
        filter.expect("a head");
        if reply.is_none() {
            for piece in pieces {
                let filter = self
                    .handler
                    .body_filter(&mut exchange, &mut piece.clone(), false);
                filter.expect("a piece");
            }
        }
        let last = self
            .handler
            .body_filter(&mut exchange, &mut Bytes::new(), true);
        last.expect("an end");
        let header = |name| head.headers.get_str(name).map(str::to_owned);
        Got {
            cache: header("X-Cache-Status"),
            key: header("X-Cache-Key"),
            reply,
        }
    }

    /// A request to the Admin API: method and path.
    async fn admin(&self, method: Method, path: &str) -> Reply {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let names: Vec<&str> = template.split('/').collect();
            let mut both = names.iter().zip(&parts);
            names.len() == parts.len()
                && both.all(|(name, part)| name.starts_with('{') || name == part)
        };
        let endpoint = endpoints::ENDPOINTS
            .iter()
            .find(|endpoint| fits(endpoint.path) && endpoint.methods.contains(&method))
            .expect("an endpoint");
        let parameters = endpoint.path.split('/').zip(&parts);
        let parameters = parameters
            .filter(|(name, _)| name.starts_with('{'))
            .map(|(_, part)| (*part).to_owned());
        let call = EndpointCall {
            method,
            parameters: parameters.collect(),
            body: Map::new(),
            services: self.services.clone(),
        };
        (endpoint.run)(call).await.expect("an answer")
    }
}

fn body(got: &Got) -> Option<&[u8]> {
    match &got.reply.as_ref()?.body {
        Body::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}

#[tokio::test]
async fn an_answer_is_given_again_until_it_is_too_old() {
    let gateway = Gateway::new(json!({ "cache_ttl": 10, "storage_ttl": 60 }));
    let first = gateway.get("/a", &[]).await;
    assert!(first.says("Miss") && first.key.as_ref().is_some_and(|key| key.len() == 64));
    gateway.pass(7);
    let hit = gateway.get("/a", &[]).await;
    assert!(hit.says("Hit") && hit.key == first.key);
    assert_eq!(body(&hit), Some(&b"fine"[..]));
    assert_eq!(hit.header("Age").as_deref(), Some("7"));
    assert_eq!(hit.header("Content-Type").as_deref(), Some("text/plain"));
    let reply = hit.reply.expect("a reply");
    assert!(reply.replayed && reply.status == 200);
    gateway.pass(4);
    assert!(gateway.get("/a", &[]).await.says("Refresh"));
    assert!(gateway.get("/a", &[]).await.says("Hit"));
    gateway.pass(61);
    assert!(gateway.get("/a", &[]).await.says("Miss"));
}

#[tokio::test]
async fn a_handler_that_is_made_anew_finds_what_the_old_one_stored() {
    let mut gateway = Gateway::new(json!({}));
    assert!(gateway.get("/a", &[]).await.says("Miss"));
    gateway.rebuild();
    assert!(gateway.get("/a", &[]).await.says("Hit"));
}

#[tokio::test]
async fn requests_that_differ_have_keys_that_differ() {
    let gateway = Gateway::new(json!({ "request_method": ["GET", "HEAD", "POST"] }));
    let consumer = |id: u128| {
        let record = Map::from_iter([("id".to_owned(), Uuid::from_u128(id).to_string().into())]);
        Consumer::read(Arc::new(record)).map(Arc::new)
    };
    let mut samples: Vec<Sample> = Vec::new();
    let mut add = |method, target, headers: &[_], edit: &dyn Fn(&mut Sample)| {
        let mut sample = Sample::new(method, target, headers);
        edit(&mut sample);
        samples.push(sample);
    };
    let as_is: &dyn Fn(&mut Sample) = &|_| {};
    for target in [
        "/a",
        "/A",
        "/a/",
        "/a?",
        "/a?x",
        "/a?x=",
        "/a?x=1",
        "/a?x=2",
        "/a?x=1&x=2",
        "/a?x=2&x=1",
        "/a?x=1%26y=2",
        "/a?x=1&y=2",
        "/b",
    ] {
        if target != "/a?" {
            add("GET", target, &[], as_is);
        }
    }
    add("HEAD", "/a", &[], as_is);
    add("GET", "/a", &[("Authorization", "Basic YQ==")], as_is);
    add("GET", "/a", &[("Authorization", "Basic Yg==")], as_is);
    add("GET", "/a", &[], &|sample| sample.route = None);
    add("GET", "/a", &[], &|sample| {
        sample.connection.host = "evil.test"
    });
    add("GET", "/a", &[], &|sample| sample.connection.port = 81);
    add("GET", "/a", &[], &|sample| {
        sample.connection.forwarded_proto = "https"
    });
    add("GET", "/a", &[], &|sample| {
        sample.work.consumer = consumer(1)
    });
    add("GET", "/a", &[], &|sample| {
        sample.work.consumer = consumer(2)
    });
    add("GET", "/a", &[], &|sample| {
        sample.target = b"/elsewhere".to_vec()
    });
    add("GET", "/a", &[], &|sample| {
        sample.work.upstream.host = Some("other.test".into())
    });
    for sent in ["", "a", "b"] {
        add("POST", "/a", &[], &|sample| {
            sample.work.body = Some(Bytes::copy_from_slice(sent.as_bytes()));
            sample.work.body_length = sent.len() as u64;
        });
    }
    for forwarded in ["x.test", "y.test"] {
        add("GET", "/a", &[("X-Forwarded-Host", forwarded)], &|sample| {
            sample.connection.trusted = true;
        });
    }
    let mut keys = Vec::new();
    for sample in &mut samples {
        let got = gateway.ask(sample, FINE).await;
        assert!(
            got.says("Miss"),
            "{} {got:?}",
            sample.head.path().escape_ascii()
        );
        assert!(!keys.contains(&got.key));
        keys.push(got.key);
    }
    assert!(
        gateway.get("/a?y=2&x=1", &[]).await.says("Hit"),
        "another order of arguments"
    );
}

#[tokio::test]
async fn the_configuration_says_which_parts_of_a_request_count() {
    let gateway = Gateway::new(json!({
        "ignore_uri_case": true, "vary_query_params": ["x"], "vary_headers": ["x-lang"],
    }));
    assert!(gateway.get("/a?x=1&y=1", &[]).await.says("Miss"));
    assert!(gateway.get("/A?y=2&x=1", &[]).await.says("Hit"));
    assert!(gateway.get("/a?x=2", &[]).await.says("Miss"));
    assert!(
        gateway
            .get("/a?x=1", &[("X-Lang", "de")])
            .await
            .says("Miss")
    );
    assert!(gateway.get("/a?x=1", &[("x-lang", "de")]).await.says("Hit"));
}

#[tokio::test]
async fn cache_poisoning_by_unkeyed_headers_fails() {
    let gateway = Gateway::new(json!({}));
    // What the upstream says that it looked at tells answers apart, whatever the configuration says.
    let varying = Upstream {
        headers: &[
            ("Content-Type", "text/plain"),
            ("Vary", "X-Theme, Accept-Encoding"),
        ],
        ..FINE
    };
    let evil = [("X-Theme", "<script>"), ("Accept-Encoding", "gzip")];
    let ask = async |headers: &[(&str, &str)]| {
        gateway
            .ask(&mut Sample::new("GET", "/vary", headers), varying)
            .await
    };
    assert!(ask(&evil).await.says("Miss"));
    assert!(ask(&[]).await.says("Miss"));
    assert!(ask(&[]).await.says("Hit"));
    assert!(ask(&[("Accept-Encoding", "gzip")]).await.says("Miss"));
    assert!(ask(&evil).await.says("Hit"));
    let anything = Upstream {
        headers: &[("Content-Type", "text/plain"), ("Vary", "*")],
        ..FINE
    };
    for _ in 0..2 {
        let got = gateway
            .ask(&mut Sample::new("GET", "/any", &[]), anything)
            .await;
        assert!(got.says("Bypass"));
    }
    // Neither a body that GET does not ask for nor a part of an answer can be planted.
    let mut fat = Sample::new("GET", "/fat", &[]);
    fat.head
        .headers
        .append("Content-Length", "5")
        .expect("a header");
    let mut fat = with_framing(fat, Framing::Length(5));
    assert!(gateway.ask(&mut fat, FINE).await.says("Bypass"));
    let partial = Gateway::new(json!({ "response_code": [200, 206, 304] }));
    for status in [206, 304] {
        let part = Upstream { status, ..FINE };
        let got = partial
            .ask(
                &mut Sample::new("GET", "/part", &[("Range", "bytes=0-0")]),
                part,
            )
            .await;
        assert!(got.says("Bypass"));
    }
    // Cookies are for one client, and what an upstream says about the cache is not believed.
    let personal = Upstream {
        headers: &[("Content-Type", "text/plain"), ("Set-Cookie", "session=1")],
        ..FINE
    };
    assert!(
        gateway
            .ask(&mut Sample::new("GET", "/me", &[]), personal)
            .await
            .says("Bypass")
    );
    let lying = Upstream {
        headers: &[
            ("Content-Type", "text/plain"),
            ("X-Cache-Status", "Hit"),
            ("X-Cache-Key", "x"),
        ],
        ..FINE
    };
    assert!(
        gateway
            .ask(&mut Sample::new("GET", "/lie", &[]), lying)
            .await
            .says("Miss")
    );
    let hit = gateway.get("/lie", &[]).await;
    let reply = hit.reply.expect("a hit");
    let lines = reply
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("X-Cache"));
    assert_eq!(lines.count(), 1, "the status; the key is an edit");
}

/// The same request with another framing.
fn with_framing(sample: Sample, framing: Framing) -> Sample {
    let method = sample.head.method().clone();
    let mut head = plugin_api::RequestHead::new(method, &sample.target, framing).expect("a head");
    for field in sample.head.headers.iter() {
        head.headers
            .append(field.name, field.value)
            .expect("a header");
    }
    Sample { head, ..sample }
}

#[tokio::test]
async fn only_listed_statuses_and_media_types_are_kept() {
    let gateway = Gateway::new(json!({
        "content_type": ["text/plain", "application/json; charset=utf-8", "image/*"],
    }));
    for (at, (status, kind, expected)) in [
        (200, "Text/Plain", "Hit"),
        (200, "text/plain; charset=utf-8", "Bypass"),
        (200, "application/json", "Bypass"),
        (200, "application/json;charset=\"UTF-8\"", "Hit"),
        (200, "image/png", "Hit"),
        (200, "imag/e", "Bypass"),
        (200, "", "Bypass"),
        (404, "text/plain", "Hit"),
        (302, "text/plain", "Bypass"),
        (500, "text/plain", "Bypass"),
    ]
    .into_iter()
    .enumerate()
    {
        let headers = [("Content-Type", kind)];
        let upstream = Upstream {
            status,
            headers: &headers,
            ..FINE
        };
        let target = format!("/{at}");
        for _ in 0..2 {
            gateway
                .ask(&mut Sample::new("GET", &target, &[]), upstream)
                .await;
        }
        let got = gateway
            .ask(&mut Sample::new("GET", &target, &[]), upstream)
            .await;
        assert!(got.says(expected), "{status} {kind}: {got:?}");
        assert_eq!(
            got.reply.map(|reply| reply.status),
            (expected == "Hit").then_some(status)
        );
    }
}

#[tokio::test]
async fn cache_control_of_both_sides_is_obeyed_if_that_is_configured() {
    let gateway = Gateway::new(json!({ "cache_control": true, "storage_ttl": 1000 }));
    let ask = async |target: &str, wish: &str, headers: &[(&str, &str)]| {
        let headers = [&[("Content-Type", "text/plain")], headers].concat();
        let upstream = Upstream {
            headers: &headers,
            ..FINE
        };
        let wishes: &[_] = if wish.is_empty() {
            &[]
        } else {
            &[("Cache-Control", wish)]
        };
        gateway
            .ask(&mut Sample::new("GET", target, wishes), upstream)
            .await
    };
    for (at, headers) in [
        vec![("Cache-Control", "no-store")],
        vec![
            ("Cache-Control", "max-age=60"),
            ("Cache-Control", "Private"),
        ],
        vec![("Cache-Control", "no-cache=\"x\", max-age=60")],
        vec![("Cache-Control", "max-age=0")],
        vec![("Cache-Control", "s-maxage=0, max-age=60")],
        vec![("Expires", "Thu, 01 Jan 1970 00:00:00 GMT")],
        vec![("Cache-Control", "max-age=60"), ("Age", "60")],
        vec![],
    ]
    .into_iter()
    .enumerate()
    {
        let got = ask(&format!("/{at}"), "", &headers).await;
        assert!(got.says("Bypass"), "{headers:?}");
    }
    let fresh = [("Cache-Control", "public, max-age=60")];
    assert!(ask("/a", "", &fresh).await.says("Miss"));
    gateway.pass(20);
    for (wish, expected) in [
        ("", "Hit"),
        ("no-store", "Bypass"),
        ("No-Cache", "Bypass"),
        ("max-age=19", "Refresh"),
        ("min-fresh=30", "Hit"),
    ] {
        assert!(ask("/a", wish, &fresh).await.says(expected), "{wish}");
        if expected == "Refresh" {
            gateway.pass(20);
        }
    }
    assert!(ask("/a", "min-fresh=50", &fresh).await.says("Refresh"));
    gateway.pass(70);
    assert!(ask("/a", "max-stale=10", &fresh).await.says("Hit"));
    assert!(ask("/a", "max-stale", &fresh).await.says("Hit"));
    assert!(ask("/a", "max-stale=9", &fresh).await.says("Refresh"));
    gateway.pass(70);
    assert!(
        ask("/a", "", &fresh).await.says("Refresh"),
        "stale answers have to be asked for"
    );
    let until = [("Expires", "Thu, 01 Jan 1970 01:00:00 GMT")];
    assert!(ask("/until", "", &until).await.says("Miss"));
    assert!(ask("/until", "", &until).await.says("Hit"));
    let only = ask("/none", "only-if-cached", &fresh).await;
    assert_eq!(only.reply.map(|reply| reply.status), Some(504));
    let known = [("Authorization", "Basic YQ==")];
    let got = gateway
        .ask(&mut Sample::new("GET", "/a", &known), FINE)
        .await;
    assert!(got.says("Bypass"));
}

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_so() {
    let gateway = Gateway::new(json!({}));
    let tagged = Upstream {
        headers: &[
            ("Content-Type", "text/plain"),
            ("ETag", "W/\"1\""),
            ("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ],
        ..FINE
    };
    gateway
        .ask(&mut Sample::new("GET", "/a", &[]), tagged)
        .await;
    for (name, value, status) in [
        ("If-None-Match", "\"0\", \"1\"", 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"2\"", 200),
        ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 304),
        ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:01 GMT", 200),
    ] {
        let got = gateway.get("/a", &[(name, value)]).await;
        let reply = got.reply.expect("a hit");
        assert_eq!(reply.status, status, "{name}: {value}");
        assert_eq!(reply.body == Body::Empty, status == 304);
    }
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length() {
    let gateway = Gateway::new(json!({}));
    let long = Upstream {
        headers: &[
            ("Content-Type", "text/plain"),
            ("Content-Length", "99999999999"),
        ],
        body: "",
        ..FINE
    };
    assert!(
        gateway
            .ask(&mut Sample::new("HEAD", "/a", &[]), long)
            .await
            .says("Miss")
    );
    let hit = gateway.ask(&mut Sample::new("HEAD", "/a", &[]), long).await;
    assert_eq!(hit.header("Content-Length").as_deref(), Some("99999999999"));
}

#[tokio::test]
async fn the_headers_of_an_answer_come_again_but_for_those_of_its_moment() {
    let gateway = Gateway::new(json!({}));
    let upstream = Upstream {
        headers: &[
            ("Content-Type", "text/plain"),
            ("Link", "<a>"),
            ("Link", "<b>"),
            ("Age", "5"),
            ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ("X-RateLimit-Remaining-Minute", "3"),
            ("X-RateLimit-Limit-Minute", "5"),
            ("Server", "up"),
        ],
        ..FINE
    };
    gateway
        .ask(&mut Sample::new("GET", "/a", &[]), upstream)
        .await;
    let reply = gateway.get("/a", &[]).await.reply.expect("a hit");
    let headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
        .collect();
    assert_eq!(
        headers,
        [
            "Content-Type: text/plain",
            "Link: <a>",
            "Link: <b>",
            "X-RateLimit-Limit-Minute: 5",
            "Server: up",
            "Age: 5",
            "X-Cache-Status: Hit",
        ]
    );
}

#[tokio::test]
async fn memory_is_bounded_and_long_bodies_pass_by() {
    let gateway = Gateway::new(json!({}));
    // The cache of the tests has a mebibyte; an answer may take a quarter of it.
    let piece = Bytes::from(vec![b'x'; 100_000]);
    let (short, long) = (vec![piece.clone(); 2], vec![piece; 3]);
    for _ in 0..2 {
        let mut sample = Sample::new("GET", "/long", &[]);
        assert!(
            gateway
                .ask_in_pieces(&mut sample, FINE, &long)
                .await
                .says("Miss")
        );
    }
    let announced = Upstream {
        headers: &[("Content-Type", "text/plain"), ("Content-Length", "300000")],
        ..FINE
    };
    let mut sample = Sample::new("GET", "/announced", &[]);
    assert!(
        gateway
            .ask_in_pieces(&mut sample, announced, &long)
            .await
            .says("Bypass")
    );
    for at in 0..100 {
        let mut sample = Sample::new("GET", &format!("/{at}"), &[]);
        gateway.ask_in_pieces(&mut sample, FINE, &short).await;
    }
    let caches = super::cache::Caches::of(&gateway.services);
    let (_, cache) = caches.users().pop().expect("a cache");
    assert!(cache.size() <= 1 << 20);
    let mut newest = Sample::new("GET", "/99", &[]);
    assert!(
        gateway
            .ask_in_pieces(&mut newest, FINE, &short)
            .await
            .says("Hit")
    );
    let mut oldest = Sample::new("GET", "/0", &[]);
    assert!(
        gateway
            .ask_in_pieces(&mut oldest, FINE, &short)
            .await
            .says("Miss")
    );
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_kept() {
    let gateway = Gateway::new(json!({}));
    let mut sample = Sample::new("GET", "/a", &[]);
    let mut exchange = sample.exchange();
    let flow = gateway.handler.access(&mut exchange).outcome().await;
    assert!(matches!(flow, Ok(Flow::Next)));
    let mut head = ResponseHead::new(200, Framing::None);
    head.headers
        .append("Content-Type", "text/plain")
        .expect("a header");
    gateway
        .handler
        .header_filter(&mut exchange, &mut head)
        .expect("a head");
    let mut piece = Bytes::from_static(b"fi");
    gateway
        .handler
        .body_filter(&mut exchange, &mut piece, false)
        .expect("a piece");
    assert!(gateway.get("/a", &[]).await.says("Miss"));
}

#[tokio::test]
async fn entries_are_shown_and_purged_on_all_nodes() {
    let gateway = Gateway::new(json!({}));
    let key = gateway.get("/a", &[]).await.key.expect("a key");
    let paths = [
        format!("/proxy-cache/{key}"),
        format!("/proxy-cache/{PLUGIN}/caches/{key}"),
    ];
    for path in &paths {
        gateway.get("/a", &[]).await;
        let shown = gateway.admin(Method::Get, path).await;
        assert_eq!(
            shown.body,
            Body::Json(json!({
                "status": 200, "headers": { "Content-Type": "text/plain" }, "body": "fine", "body_len": 4,
                "timestamp": 0, "ttl": 300, "version": 1, "req_body": "",
            }))
        );
        assert_eq!(gateway.admin(Method::Delete, path).await, Reply::new(204));
        let word = format!("{PLUGIN}:{key}");
        assert_eq!(gateway.cluster.take_told(), [("proxy-cache:purge", word)]);
        for method in [Method::Get, Method::Delete] {
            assert_eq!(gateway.admin(method, path).await, Reply::new(404));
        }
        assert!(gateway.get("/a", &[]).await.says("Miss"));
    }
    for path in ["/proxy-cache/x", "/proxy-cache/x/caches/y"] {
        assert_eq!(gateway.admin(Method::Get, path).await, Reply::new(404));
    }
    assert_eq!(
        gateway.admin(Method::Delete, "/proxy-cache").await,
        Reply::new(204)
    );
    assert_eq!(
        gateway.cluster.take_told(),
        [("proxy-cache:purge", format!("{PLUGIN}:nil"))]
    );
    assert!(gateway.get("/a", &[]).await.says("Miss"));
}

#[tokio::test]
async fn what_another_node_purges_is_purged_here() {
    let gateway = Gateway::new(json!({}));
    let key = gateway.get("/a", &[]).await.key.expect("a key");
    gateway.get("/b", &[]).await;
    for strange in [
        "",
        "x",
        "x:nil",
        &format!("{PLUGIN}:"),
        &format!("{PLUGIN}:{key}0"),
    ] {
        gateway.cluster.say("proxy-cache:purge", strange);
    }
    assert!(gateway.get("/a", &[]).await.says("Hit"));
    gateway
        .cluster
        .say("proxy-cache:purge", &format!("{PLUGIN}:{key}"));
    assert!(gateway.get("/a", &[]).await.says("Miss"));
    assert!(gateway.get("/b", &[]).await.says("Hit"));
    gateway
        .cluster
        .say("proxy-cache:purge", &format!("{PLUGIN}:nil"));
    assert!(gateway.get("/b", &[]).await.says("Miss"));
}

#[tokio::test]
async fn an_answer_that_was_asked_for_before_a_purge_is_not_kept_after_it() {
    let gateway = Gateway::new(json!({}));
    let mut sample = Sample::new("GET", "/a", &[]);
    let mut exchange = sample.exchange();
    let flow = gateway.handler.access(&mut exchange).outcome().await;
    assert!(matches!(flow, Ok(Flow::Next)));
    gateway.admin(Method::Delete, "/proxy-cache").await;
    let mut head = ResponseHead::new(200, Framing::None);
    head.headers
        .append("Content-Type", "text/plain")
        .expect("a header");
    gateway
        .handler
        .header_filter(&mut exchange, &mut head)
        .expect("a head");
    gateway
        .handler
        .body_filter(&mut exchange, &mut Bytes::new(), true)
        .expect("an end");
    assert!(gateway.get("/a", &[]).await.says("Miss"));
}

#[tokio::test]
async fn headers_of_the_cache_can_be_switched_off_but_not_from_those_who_debug() {
    let gateway = Gateway::new(json!({
        "response_headers": { "age": false, "X-Cache-Status": false, "X-Cache-Key": false },
    }));
    for _ in 0..2 {
        let got = gateway.get("/a", &[]).await;
        assert_eq!(
            (&got.cache, &got.key, got.header("Age")),
            (&None, &None, None)
        );
    }
    let got = gateway.get("/a", &[("Kong-Debug", "1")]).await;
    assert!(got.says("Hit") && got.key.is_some() && got.header("Age").is_some());
}
