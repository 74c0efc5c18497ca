//! Media types, malformed bodies, and bodies that are too much.

use std::convert::Infallible;
use std::time::Duration;

use admin::Options;
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::json;

use crate::Api;

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_form_makes_a_route() {
    let api = Api::start();
    api.call("PUT /services/s", Some(json!({ "host": "a.test" })))
        .await
        .expect(200);
    let form = "paths[]=/x&methods=GET&methods=POST&headers.X-A=1&strip_path=false&regex_priority=12&service.name=s&tags=";
    let route = api.post("/routes", FORM, form).await.expect(201);
    assert_eq!(route["paths"], json!(["/x"]));
    assert_eq!(route["methods"], json!(["GET", "POST"]));
    assert_eq!(route["headers"], json!({ "X-A": ["1"] }));
    assert_eq!(
        (&route["strip_path"], &route["regex_priority"]),
        (&json!(false), &json!(12))
    );
    assert!(route["service"]["id"].is_string());
}

#[tokio::test]
async fn bytes_that_are_no_utf8_are_no_names_and_no_tags() {
    let api = Api::start();
    let form = "host=a.test&name=a%FFb&tags=%C3%28";
    let refused = api.post("/services", FORM, form).await.expect(400);
    assert_eq!(
        refused["fields"],
        json!({
            "name": "invalid utf-8 character sequence detected at position 2",
            "tags": ["invalid utf-8 character sequence detected at position 1"],
        })
    );
    let refused = api.call("GET /services/%FF", None).await.expect(400);
    assert_eq!(refused["name"], "invalid unique name");
    let refused = api.call("GET /services?tags=%FF", None).await.expect(400);
    assert_eq!(
        refused["options"],
        json!({ "tags": "invalid filter syntax" })
    );
}

#[tokio::test]
async fn a_multipart_body_makes_a_consumer() {
    let body = "--X\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\na\r\n\
                --X\r\nContent-Disposition: form-data; name=\"tags[]\"\r\n\r\nt\r\n--X--\r\n";
    let consumer = Api::start()
        .post("/consumers", "multipart/form-data; boundary=X", body)
        .await
        .expect(201);
    assert_eq!(
        (&consumer["username"], &consumer["tags"]),
        (&json!("a"), &json!(["t"]))
    );
}

#[tokio::test]
async fn other_media_types_get_nginxs_page() {
    let answer = Api::start()
        .post("/consumers", "text/plain", "username=a")
        .await;
    assert_eq!(answer.status, 415);
    assert_eq!(
        answer.header("content-type"),
        Some("text/html; charset=UTF-8")
    );
    assert_eq!(answer.body.len(), 144);
}

#[tokio::test]
async fn malformed_bodies_are_refused() {
    let api = Api::start();
    for body in ["", "{", "[]x", "7", "{\"a\": 1} 2"] {
        let refused = api
            .post("/consumers", "application/json", body)
            .await
            .expect(400);
        assert_eq!(refused["message"], "Cannot parse JSON body", "{body}");
    }
    let refused = api
        .post("/consumers", FORM, "a=1&".repeat(1001))
        .await
        .expect(400);
    assert_eq!(refused["message"], "Too many arguments");
    let query = "a=1&".repeat(1001);
    api.call(&format!("GET /consumers?{query}"), None)
        .await
        .expect(400);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
    let api = Api::with(Options {
        max_body_size: 10,
        ..Options::default()
    });
    assert_eq!(
        api.post("/consumers", FORM, "username=abc").await.status,
        413
    );
    let chunks =
        futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b"a=b&")));
    assert_eq!(
        api.post("/consumers", FORM, Body::from_stream(chunks))
            .await
            .status,
        413
    );
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_ends_the_request() {
    let api = Api::with(Options {
        body_timeout: Duration::from_secs(5),
        ..Options::default()
    });
    let stalled = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"a="))]);
    let stalled = Body::from_stream(stalled.chain(futures_util::stream::pending()));
    assert_eq!(api.post("/consumers", FORM, stalled).await.status, 408);
}

#[tokio::test]
async fn a_body_of_a_read_or_a_deletion_is_not_looked_at() {
    let api = Api::start();
    for line in ["GET /consumers", "DELETE /consumers/a"] {
        let request = crate::request(line).header("content-type", "application/json");
        let answer = crate::send(&api.admin, request.body(Body::from("{broken")).unwrap()).await;
        assert!(answer.status.is_success(), "{line}");
    }
}
