//! Routing, the headers of every answer, and the pages about the node.

use axum::body::Body;
use http::HeaderValue;
use serde_json::json;

use admin::Options;

use crate::{Api, request, send};

#[tokio::test]
async fn every_answer_has_the_common_headers() {
    let api = Api::start();
    for line in [
        "GET /services",
        "GET /nowhere",
        "DELETE /services",
        "DELETE /services/x",
        "OPTIONS /services",
    ] {
        let answer = api.call(line, None).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{line}"
        );
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            Some("true"),
            "{line}"
        );
        assert!(answer.header("x-kong-admin-latency").is_some(), "{line}");
        assert!(
            answer.header("server").unwrap().starts_with("silverback/"),
            "{line}"
        );
        assert_eq!(answer.header("connection"), Some("keep-alive"), "{line}");
    }
}

#[tokio::test]
async fn browsers_are_told_which_origin_may_call() {
    let from = |api: &Api, origin: &str| {
        let request = request("GET /services").header("origin", origin);
        let router = api.admin.clone();
        async move { send(&router, request.body(Body::empty()).unwrap()).await }
    };
    let any = from(&Api::start(), "http://a.test").await;
    assert_eq!(
        any.header("access-control-allow-origin"),
        Some("http://a.test")
    );
    let allowed_origins = vec![HeaderValue::from_static("http://gui.test")];
    let api = Api::with(Options {
        allowed_origins,
        ..Options::default()
    });
    for origin in ["http://a.test", "http://gui.test"] {
        let answer = from(&api, origin).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("http://gui.test")
        );
    }
}

#[tokio::test]
async fn options_lists_the_methods() {
    let api = Api::start();
    let answer = api.call("OPTIONS /services/x", None).await;
    let methods = Some("DELETE, GET, HEAD, OPTIONS, PATCH, PUT");
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("allow"), methods);
    assert_eq!(answer.header("access-control-allow-methods"), methods);
    assert_eq!(
        answer.header("access-control-allow-headers"),
        Some("Content-Type")
    );
    let wanted = request("OPTIONS /services").header("access-control-request-headers", "X-A");
    let answer = send(&api.admin, wanted.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("access-control-allow-headers"), Some("X-A"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_told_apart() {
    let api = Api::start();
    for path in [
        "/Services",
        "//services",
        "/services//",
        "/services/a/b",
        "/services/a/routes/b/c",
        "/key_sets",
    ] {
        let answer = api.call(&format!("GET {path}"), None).await;
        assert_eq!(
            answer.expect(404),
            json!({ "message": "Not found" }),
            "{path}"
        );
    }
    for line in [
        "PUT /services",
        "POST /services/a",
        "PATCH /endpoints",
        "GET /cache",
    ] {
        let answer = api.call(line, None).await;
        assert_eq!(answer.header("allow"), None);
        assert_eq!(
            answer.expect(405),
            json!({ "message": "Method not allowed" }),
            "{line}"
        );
    }
    api.call("GET /services/", None).await.expect(200);
    let answer = api.post("/nowhere", "text/plain", "x").await;
    assert_eq!(answer.status, 415);
    let answer = api.post("/nowhere", "application/json", "x").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let answer = Api::start().call("HEAD /services", None).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, "");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
}

#[tokio::test]
async fn the_root_page_describes_the_node() {
    let root = Api::start().call("GET /", None).await.expect(200);
    assert_eq!(root["version"], "3.9.1");
    assert_eq!(root["silverback"]["name"], "Silverback");
    assert_eq!(root["hostname"], "gateway-1");
    assert_eq!(
        root["plugins"]["available_on_server"]["cors"]["priority"],
        2000
    );
    assert_eq!(root["plugins"]["enabled_in_cluster"], json!([]));
    assert_eq!(
        root["configuration"],
        json!({ "pg_password": "******", "log_level": "notice" })
    );
}

#[tokio::test]
async fn the_listed_endpoints_are_those_that_kong_has() {
    let api = Api::start();
    let listed = api.call("GET /endpoints", None).await.expect(200);
    let listed = listed["data"].as_array().unwrap();
    assert!(listed.contains(&json!(
        "/upstreams/{upstreams}/targets/{targets}/{address}/unhealthy"
    )));
    assert!(!listed.contains(&json!("/openapi.json")));
    let document = api.call("GET /openapi.json", None).await.expect(200);
    assert_eq!(
        document,
        admin::openapi::document(entities::all(), Vec::new())
    );
}

#[tokio::test]
async fn declarations_are_shown_and_validate_without_storing() {
    let api = Api::start();
    assert!(api.call("GET /schemas/services", None).await.expect(200)["fields"].is_array());
    assert!(api.call("GET /schemas/vaults/env", None).await.expect(200)["fields"].is_array());
    let counters = "/schemas/ratelimiting_metrics";
    assert!(api.call(&format!("GET {counters}"), None).await.expect(200)["fields"].is_array());
    api.call(&format!("POST {counters}/validate"), Some(json!({})))
        .await
        .expect(400);
    api.call("GET /ratelimiting_metrics", None)
        .await
        .expect(404);
    for (path, message) in [
        ("/schemas/unicorns", "No entity named 'unicorns'"),
        ("/schemas/plugins/unicorn", "No plugin named 'unicorn'"),
        ("/schemas/vaults/unicorn", "No vault named 'unicorn'"),
        ("/schemas/filters/unicorn", "Filter 'unicorn' not found"),
        ("/plugins/schema/unicorn", "No plugin named 'unicorn'"),
    ] {
        assert_eq!(
            api.call(&format!("GET {path}"), None).await.expect(404),
            json!({ "message": message })
        );
    }
    let valid = api
        .call(
            "POST /schemas/services/validate",
            Some(json!({ "host": "a.test" })),
        )
        .await;
    assert_eq!(
        valid.expect(200),
        json!({ "message": "schema validation successful" })
    );
    api.call("POST /schemas/services/validate", Some(json!({})))
        .await
        .expect(400);
    let form = api
        .post(
            "/schemas/services/validate",
            "application/x-www-form-urlencoded",
            "host=a.test&port=81",
        )
        .await;
    form.expect(200);
    api.call("POST /schemas/unicorns/validate", Some(json!({})))
        .await
        .expect(404);
    assert_eq!(
        api.call("GET /services", None).await.expect(200)["data"],
        json!([])
    );
}

#[tokio::test]
async fn the_log_level_is_read_and_set() {
    let api = Api::start();
    let message = |text: &str| json!({ "message": text });
    let shown = api
        .call("GET /debug/node/log-level", None)
        .await
        .expect(200);
    assert_eq!(shown, message("log level: notice"));
    let unknown = api
        .call("PUT /debug/node/log-level/chatty", None)
        .await
        .expect(400);
    assert_eq!(unknown, message("unknown log level: chatty"));
    let same = api
        .call("PUT /debug/node/log-level/notice", None)
        .await
        .expect(200);
    assert_eq!(same, message("log level is already notice"));
    let negative = api
        .call("PUT /debug/node/log-level/debug?timeout=-1", None)
        .await
        .expect(400);
    assert_eq!(
        negative,
        message("timeout must be greater than or equal to 0")
    );
    let set = api
        .call(
            "PUT /debug/cluster/log-level/debug",
            Some(json!({ "timeout": 5 })),
        )
        .await
        .expect(200);
    assert_eq!(set, message("log level changed"));
    let shown = api
        .call("GET /debug/node/log-level", None)
        .await
        .expect(200);
    assert_eq!(shown, message("log level: debug"));
}

#[tokio::test]
async fn what_this_node_is_not_is_refused_in_kongs_words() {
    let api = Api::start();
    for (line, status, text) in [
        ("GET /config", 400, "not use a database"),
        ("GET /clustering/status", 400, "Control Plane"),
        ("GET /filter-chains", 400, "wasm is enabled"),
        ("GET /routes/r/filters/all", 400, "wasm is enabled"),
        ("GET /status/dns", 501, "legacy DNS client"),
        ("GET /snis/a.test/certificate", 404, "Not found"),
    ] {
        let refused = api.call(line, None).await.expect(status);
        assert!(
            refused["message"].as_str().unwrap().contains(text),
            "{line}"
        );
    }
}

#[tokio::test]
async fn cached_values_are_shown_and_dropped() {
    let api = Api::start();
    assert_eq!(
        api.call("GET /cache/known", None).await.expect(200),
        json!({ "id": 1 })
    );
    api.call("GET /cache/unknown", None).await.expect(404);
    api.call("DELETE /cache/unknown", None).await.expect(204);
    api.call("DELETE /cache", None).await.expect(204);
}

#[tokio::test]
async fn the_health_of_targets_comes_from_the_node() {
    let api = Api::start();
    api.call("PUT /upstreams/u.test", Some(json!({})))
        .await
        .expect(200);
    for target in ["127.0.0.1:81", "127.0.0.1:82"] {
        let target = json!({ "target": target, "created_at": 81 });
        api.call("POST /upstreams/u.test/targets", Some(target))
            .await
            .expect(201);
    }
    let health = api
        .call("GET /upstreams/u.test/health", None)
        .await
        .expect(200);
    let of = |port: u16| {
        let targets = health["data"].as_array().unwrap();
        let target = json!(format!("127.0.0.1:{port}"));
        targets
            .iter()
            .find(|entry| entry["target"] == target)
            .unwrap()["health"]
            .clone()
    };
    assert_eq!((of(81), of(82)), (json!("UNHEALTHY"), json!("DNS_ERROR")));
    assert!(health["node_id"].is_string());
    let whole = api
        .call("GET /upstreams/u.test/health?balancer_health=1", None)
        .await
        .expect(200);
    assert_eq!(
        whole["data"]["details"]["hosts"][0]["addresses"][0]["healthy"],
        false
    );
    api.call("PUT /upstreams/u.test/targets/127.0.0.1:81/unhealthy", None)
        .await
        .expect(204);
    api.call(
        "PUT /upstreams/u.test/targets/127.0.0.1:81/10.0.0.1:81/healthy",
        None,
    )
    .await
    .expect(204);
    api.call("PUT /upstreams/u.test/targets/127.0.0.1:99/healthy", None)
        .await
        .expect(404);
    let marked = |address: Option<&str>, healthy| {
        (
            "127.0.0.1:81".to_owned(),
            address.map(str::to_owned),
            healthy,
        )
    };
    let expected = [marked(None, false), marked(Some("10.0.0.1:81"), true)];
    assert_eq!(*api.node.marks.lock().unwrap(), expected);
}
