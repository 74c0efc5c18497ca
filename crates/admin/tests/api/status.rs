//! The Status API, and the status page that the Admin API shares with it.

use axum::body::Body;
use serde_json::json;

use crate::{Answer, Api, request, send};

async fn status(api: &Api, line: &str) -> Answer {
    send(&api.status, request(line).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn the_status_page_counts_connections_and_memory() {
    let api = Api::start();
    let page = status(&api, "GET /status").await.expect(200);
    assert_eq!(page["database"], json!({ "reachable": true }));
    assert_eq!(page["server"]["connections_accepted"], 3);
    assert_eq!(
        page["memory"]["lua_shared_dicts"]["kong_db_cache"]["capacity"],
        "1.00 MiB"
    );
    assert_eq!(
        page["memory"]["workers_lua_vms"][0],
        json!({ "pid": 7, "http_allocated_gc": "1.00 MiB" })
    );
    let page = api
        .call("GET /status?unit=k&scale=1", None)
        .await
        .expect(200);
    assert_eq!(
        page["memory"]["lua_shared_dicts"]["kong_db_cache"]["allocated_slabs"],
        "1.0 KiB"
    );
    let page = api.call("GET /status?unit=b", None).await.expect(200);
    assert_eq!(
        page["memory"]["lua_shared_dicts"]["kong_db_cache"]["allocated_slabs"],
        1024
    );
}

#[tokio::test]
async fn an_unknown_unit_or_a_negative_scale_is_refused() {
    let api = Api::start();
    let refused = api.call("GET /status?unit=furlong", None).await.expect(400);
    assert_eq!(
        refused["message"],
        "invalid unit 'furlong' (expected 'k/K', 'm/M', or 'g/G')"
    );
    for query in ["scale=-1", "unit=furlong&scale=-1"] {
        let line = format!("GET /status?{query}");
        let refused = api.call(&line, None).await.expect(400);
        assert_eq!(refused["message"], "scale must be equal or greater than 0");
    }
    api.call("GET /status?unit=B&scale=-1", None)
        .await
        .expect(200);
}

#[tokio::test]
async fn a_draining_node_is_not_ready() {
    let api = Api::start();
    assert_eq!(
        status(&api, "GET /status/ready").await.expect(200),
        json!({ "message": "ready" })
    );
    status(&api, "POST /status/ready?status=other").await;
    assert_eq!(status(&api, "GET /status/ready").await.status, 200);
    status(&api, "POST /status/ready?status=draining")
        .await
        .expect(204);
    assert_eq!(
        status(&api, "GET /status/ready").await.expect(503),
        json!({ "message": "draining" })
    );
}

#[tokio::test]
async fn metrics_are_text() {
    let api = Api::start();
    let page = status(&api, "GET /metrics").await;
    assert_eq!(
        page.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert!(page.body.contains("kong_node_info"));
    let request = request("GET /metrics").header("accept", "application/openmetrics-text");
    let page = send(&api.status, request.body(Body::empty()).unwrap()).await;
    assert_eq!(
        page.header("content-type"),
        Some("application/openmetrics-text")
    );
}

#[tokio::test]
async fn the_status_api_changes_nothing_and_calls_no_browser() {
    let api = Api::start();
    for line in ["GET /services", "GET /", "GET /upstreams/u/health"] {
        let answer = status(&api, line).await;
        assert_eq!(answer.status, 404, "{line}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}
