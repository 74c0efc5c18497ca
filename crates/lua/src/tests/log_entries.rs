use std::time::SystemTime;

use plugin_api::testing::{FakeRecords, Sample, services};
use plugin_api::{Latencies, LogEdit, LogMode, Source, Summary};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Script, UntrustedLua};
use crate::scene::{Scene, Stage};

/// Runs code in `log`, for what it returns.
fn evaluate(records: FakeRecords, sample: &mut Sample, code: &str) -> Value {
    let services = services(records);
    let summary = Summary {
        status: 201,
        head: None,
        source: Source::Service,
        request_size: 52,
        response_size: 150,
        upstream_status: Some(201),
        uri: "/a%20b",
        started_at: SystemTime::UNIX_EPOCH,
        latencies: Latencies::default(),
        tries: &[],
    };
    let mut scene = Scene {
        exchange: &mut sample.exchange(),
        services: &services,
        plugin: "post-function",
        plugin_id: Uuid::from_u128(9),
        stage: Stage::Log(&summary),
    };
    let script = Script::new(code, &UntrustedLua::default()).unwrap();
    script.evaluate(&mut scene).unwrap().unwrap()
}

#[test]
fn the_log_entry_has_the_edits_so_far() {
    let mut sample = super::sample();
    sample.work.log_edits.push(LogEdit {
        path: "mine.first".into(),
        value: Some(json!(1)),
        mode: LogMode::Always,
    });
    let code = "
        kong.log.set_serialize_value('mine.second', { 'x' })
        local entry = kong.log.serialize({ ngx = ngx, kong = kong })
        return { entry.request.method, entry.response.status, entry.mine, entry.latencies.proxy }";
    let told = evaluate(FakeRecords::default(), &mut sample, code);
    assert_eq!(
        told,
        json!(["GET", 201, { "first": 1, "second": ["x"] }, -1])
    );
}

#[test]
fn the_log_entry_tells_the_route_as_far_as_it_is_at_hand() {
    let code = "local entry = kong.log.serialize() return { entry.route, entry.workspace_name }";
    let id = Uuid::from_u128(1).to_string();
    let unknown = evaluate(FakeRecords::default(), &mut super::sample(), code);
    assert_eq!(unknown, json!([{ "id": id }, "default"]));
    let workspace = Uuid::from_u128(3).to_string();
    let records = FakeRecords::default()
        .with("workspaces", json!({ "id": workspace, "name": "default" }))
        .with(
            "routes",
            json!({ "id": id, "name": "route", "paths": ["/a"] }),
        )
        .with("services", json!({ "id": Uuid::from_u128(2).to_string() }));
    let known = evaluate(records, &mut super::sample(), code);
    let route = json!({ "id": id, "name": "route", "paths": ["/a"], "ws_id": workspace });
    assert_eq!(known, json!([route, "default"]));
}

#[test]
fn there_is_no_log_entry_before_the_end() {
    super::check_fails(
        "return kong.log.serialize()",
        "function cannot be called in access phase",
    );
}
