use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Body, Flow, Handshake, LuaMode, Outcome, Phase, UntrustedLua};
use serde_json::{Value, json};

use super::{check, handler};

fn config(more: Value) -> Value {
    let mut config = json!({
        "certificate": [], "rewrite": [], "access": [], "header_filter": [], "body_filter": [], "log": [],
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

async fn access(functions: Value, sample: &mut Sample) -> Outcome {
    let records = FakeRecords::default().with(
        "routes",
        json!({ "id": "00000000-0000-0000-0000-000000000001", "name": "r", "paths": ["/a"], "hosts": null }),
    );
    let config = config(json!({ "access": functions }));
    let handler = build(handler::build, &config, &services(records)).expect("a handler");
    let mut exchange = sample.exchange();
    handler.access(&mut exchange).outcome().await
}

#[tokio::test]
async fn functions_run_in_their_order_until_one_answers() {
    let mut sample = Sample::new("GET", "/a", &[]);
    let functions = json!([
        "kong.service.request.set_header('X-A', '1')",
        "kong.response.exit(201, { hello = 'world' }, { ['X-A'] = '1' })",
        "kong.service.request.set_header('X-B', '1')",
    ]);
    let Ok(Flow::Answer(reply)) = access(functions, &mut sample).await else {
        panic!("no answer");
    };
    assert_eq!(reply.status, 201);
    assert_eq!(reply.body, Body::Json(json!({ "hello": "world" })));
    assert!(sample.head.headers.contains("X-A") && !sample.head.headers.contains("X-B"));
}

#[tokio::test]
async fn a_function_sees_the_record_of_the_route() {
    let mut sample = Sample::new("GET", "/a", &[]);
    let code = "local r = kong.router.get_route() kong.response.exit(200, { r.name, r.paths, r.hosts == nil })";
    let Ok(Flow::Answer(reply)) = access(json!([code]), &mut sample).await else {
        panic!("no answer");
    };
    assert_eq!(reply.body, Body::Json(json!(["r", ["/a"], true])));
}

#[tokio::test]
async fn an_error_of_a_function_ends_the_request() {
    let mut sample = Sample::new("GET", "/a", &[]);
    let failure = access(json!(["local t = nil return t.x"]), &mut sample).await;
    let text = failure.expect_err("a failure").to_string();
    assert!(text.contains("attempt to index local 't'"), "{text}");
}

#[test]
fn only_phases_with_functions_have_a_turn() {
    let services = services(FakeRecords::default());
    let needs = |more: Value| {
        let handler = build(handler::build, &config(more), &services);
        handler.expect("a handler").needs()
    };
    let log = needs(json!({ "log": ["return"] }));
    assert!(log.phases.contains(Phase::Log) && !log.phases.contains(Phase::Access));
    assert!(!log.request_body && !log.changes_length);
    let body = needs(
        json!({ "access": ["return kong.request.get_raw_body()"], "body_filter": ["return"] }),
    );
    assert!(body.request_body && body.changes_length);
}

#[test]
fn functions_for_the_handshake_run_in_it_in_their_order() {
    let services = services(FakeRecords::default());
    let functions =
        json!({ "certificate": ["kong.client.tls.disable_session_reuse()", "error('not you')"] });
    let handler = build(handler::build, &config(functions), &services).expect("a handler");
    assert!(handler.needs().phases.contains(Phase::Certificate));
    let mut handshake = Handshake::new(Some("a.test"));
    let failure = handler.certificate(&mut handshake).expect_err("a refusal");
    assert!(failure.to_string().contains("not you"), "{failure}");
    assert!(!handshake.is_resumable);
}

#[test]
fn what_cannot_run_is_refused() {
    let mut services = services(FakeRecords::default());
    let node = plugin_api::NodeFacts {
        lua: UntrustedLua {
            mode: LuaMode::Off,
            ..UntrustedLua::default()
        },
        ..(*services.node).clone()
    };
    services.node = node.into();
    let access = config(json!({ "access": ["return"] }));
    assert!(build(handler::build, &access, &services).is_err());
}

#[test]
fn a_function_that_is_no_lua_is_refused_with_loadstrings_words() {
    assert_eq!(check(&json!("return 1")), Ok(()));
    assert_eq!(
        check(&json!("if then")),
        Err(
            "error parsing pre-function: [string \"if then\"]:1: unexpected symbol near 'then'"
                .to_owned()
        )
    );
}

#[test]
fn the_body_of_the_answer_is_rewritten() {
    let config = config(json!({
        "body_filter": ["local b = kong.response.get_raw_body() if b then kong.response.set_raw_body(b:upper()) end"],
    }));
    let handler =
        build(handler::build, &config, &services(FakeRecords::default())).expect("a handler");
    let mut sample = Sample::new("GET", "/a", &[]);
    let mut exchange = sample.exchange();
    let mut out = Vec::new();
    for (piece, last) in [("ab", false), ("c", true)] {
        let mut piece = Bytes::from_static(piece.as_bytes());
        handler
            .body_filter(&mut exchange, &mut piece, last)
            .expect("a piece");
        out.extend_from_slice(&piece);
    }
    assert_eq!(out, b"ABC");
}
