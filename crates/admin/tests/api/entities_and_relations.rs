//! Collections, entities, and what is reached through foreign fields.

use serde_json::{Value, json};

use crate::{Api, request, send};
use axum::body::Body;

const CERTIFICATE: &str = include_str!("../../../../conformance/tls/upstream.crt");
const KEY: &str = include_str!("../../../../conformance/tls/upstream.key");
const UNKNOWN: &str = "7f1c0a52-9d0e-4c1b-8a37-d24a4f6a1b42";

#[tokio::test]
async fn a_service_is_created_read_changed_and_deleted_by_name_and_id() {
    let api = Api::start();
    let created = api
        .call(
            "POST /services",
            Some(json!({ "name": "s", "url": "http://a.test/p" })),
        )
        .await
        .expect(201);
    assert_eq!(
        (&created["host"], &created["path"]),
        (&json!("a.test"), &json!("/p"))
    );
    let id = created["id"].as_str().unwrap();
    assert_eq!(api.call("GET /services/s", None).await.expect(200), created);
    assert_eq!(
        api.call(&format!("GET /services/{}", id.to_uppercase()), None)
            .await
            .expect(200),
        created
    );
    let changed = api
        .call("PATCH /services/s", Some(json!({ "port": 81 })))
        .await
        .expect(200);
    assert_eq!(
        (&changed["port"], &changed["host"]),
        (&json!(81), &json!("a.test"))
    );
    let replaced = api
        .call("PUT /services/s", Some(json!({ "host": "b.test" })))
        .await
        .expect(200);
    assert_eq!(
        (&replaced["id"], &replaced["path"]),
        (&json!(id), &json!(null))
    );
    api.call("DELETE /services/s", None).await.expect(204);
    api.call("DELETE /services/s", None).await.expect(204);
    assert_eq!(
        api.call("GET /services/s", None).await.expect(404),
        json!({ "message": "Not found" })
    );
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong_in_kongs_words() {
    let api = Api::start();
    let refused = api
        .call("POST /services", Some(json!({ "port": 70000, "x": 1 })))
        .await
        .expect(400);
    assert_eq!(refused["code"], 2);
    assert_eq!(refused["fields"]["host"], "required field missing");
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .starts_with("3 schema violations (host: ")
    );
    let refused = api.call("GET /services/a%2Fb", None).await.expect(400);
    assert_eq!(
        (&refused["code"], &refused["name"]),
        (&json!(10), &json!("invalid unique name"))
    );
    let refused = api
        .call("GET /ca_certificates/name", None)
        .await
        .expect(400);
    assert_eq!(
        refused["message"],
        "invalid primary key: '{id=\"expected a valid UUID\"}'"
    );
    let refused = api
        .call(&format!("PATCH /routes/{UNKNOWN}"), Some(json!({})))
        .await
        .expect(404);
    assert_eq!(
        refused["message"],
        format!("could not find the entity with primary key '{{id=\"{UNKNOWN}\"}}'")
    );
    let route = json!({ "paths": ["/"], "service": { "name": "nobody" } });
    let refused = api.call("POST /routes", Some(route)).await.expect(400);
    assert_eq!(
        (&refused["code"], &refused["name"]),
        (&json!(13), &json!("foreign keys unresolved"))
    );
    let route = json!({ "paths": ["/"], "service": { "id": UNKNOWN } });
    let refused = api.call("POST /routes", Some(route)).await.expect(400);
    assert_eq!(
        (&refused["code"], &refused["fields"]["service"]["id"]),
        (&json!(4), &json!(UNKNOWN))
    );
}

#[tokio::test]
async fn a_taken_name_conflicts_and_a_used_service_stays() {
    let api = Api::start();
    api.call("PUT /services/s", Some(json!({ "host": "a.test" })))
        .await
        .expect(200);
    let refused = api
        .call(
            "POST /services",
            Some(json!({ "name": "s", "host": "a.test" })),
        )
        .await
        .expect(409);
    assert_eq!(
        refused["message"],
        "UNIQUE violation detected on '{name=\"s\"}'"
    );
    api.call("POST /services/s/routes", Some(json!({ "paths": ["/"] })))
        .await
        .expect(201);
    let refused = api.call("DELETE /services/s", None).await.expect(400);
    assert_eq!(refused["fields"]["@referenced_by"], "routes");
}

#[tokio::test]
async fn a_route_is_reached_through_its_service_and_the_service_through_its_route() {
    let api = Api::start();
    let service = api
        .call("PUT /services/s", Some(json!({ "host": "a.test" })))
        .await
        .expect(200);
    api.call("PUT /services/other", Some(json!({ "host": "a.test" })))
        .await
        .expect(200);
    let route = api
        .call("PUT /services/s/routes/r", Some(json!({ "paths": ["/"] })))
        .await
        .expect(200);
    assert_eq!(route["service"]["id"], service["id"]);
    assert_eq!(
        api.call("GET /services/s/routes", None).await.expect(200)["data"],
        json!([route])
    );
    assert_eq!(
        api.call("GET /services/s/routes/r", None).await.expect(200),
        route
    );
    api.call("GET /services/other/routes/r", None)
        .await
        .expect(404);
    api.call("DELETE /services/other/routes/r", None)
        .await
        .expect(404);
    api.call("GET /services/nobody/routes", None)
        .await
        .expect(404);
    assert_eq!(
        api.call("GET /routes/r/service", None).await.expect(200),
        service
    );
    let changed = api
        .call("PATCH /routes/r/service", Some(json!({ "port": 81 })))
        .await
        .expect(200);
    assert_eq!(
        (&changed["id"], &changed["port"]),
        (&service["id"], &json!(81))
    );
    api.call("DELETE /routes/r/service", None).await.expect(405);
    api.call("DELETE /services/s/routes/r", None)
        .await
        .expect(204);
}

#[tokio::test]
async fn putting_the_service_of_a_route_without_one_creates_and_links_it() {
    let api = Api::start();
    api.call("PUT /routes/r", Some(json!({ "paths": ["/"] })))
        .await
        .expect(200);
    api.call("GET /routes/r/service", None).await.expect(404);
    let service = api
        .call("PUT /routes/r/service", Some(json!({ "host": "a.test" })))
        .await
        .expect(200);
    assert_eq!(
        api.call("GET /routes/r", None).await.expect(200)["service"]["id"],
        service["id"]
    );
}

#[tokio::test]
async fn a_collection_is_paged_and_filtered_by_tags() {
    let api = Api::start();
    for (name, tags) in [
        ("a", json!(["x"])),
        ("b", json!(["x", "y"])),
        ("c", json!(["y"])),
    ] {
        api.call(
            &format!("PUT /consumers/{name}"),
            Some(json!({ "tags": tags })),
        )
        .await
        .expect(200);
    }
    let mut seen = Vec::new();
    let mut next = "/consumers?size=1&tags=x/y".to_owned();
    loop {
        let page = api.call(&format!("GET {next}"), None).await.expect(200);
        seen.extend(
            page["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|consumer| consumer["username"].clone()),
        );
        match page["next"].as_str() {
            Some(link) => next = link.to_owned(),
            None => break,
        }
    }
    seen.sort_by_key(ToString::to_string);
    assert_eq!(seen, [json!("a"), json!("b"), json!("c")]);
    let both = api.call("GET /consumers?tags=x,y", None).await.expect(200);
    assert_eq!(both["data"].as_array().unwrap().len(), 1);
    let tagged = api.call("GET /tags/x", None).await.expect(200);
    assert_eq!(tagged["data"].as_array().unwrap().len(), 2);
    assert_eq!(tagged["data"][0]["entity_name"], "consumers");
    api.call("POST /tags", Some(json!({ "tag": "x" })))
        .await
        .expect(400);
    assert_eq!(
        api.call("GET /consumers?offset=%21", None)
            .await
            .expect(400)["code"],
        7
    );
    assert_eq!(
        api.call("GET /consumers?size=0", None).await.expect(400)["code"],
        9
    );
}

#[tokio::test]
async fn a_consumer_is_found_by_custom_id() {
    let api = Api::start();
    api.call("POST /consumers", Some(json!({ "custom_id": "7" })))
        .await
        .expect(201);
    let found = api
        .call("GET /consumers?custom_id=7", None)
        .await
        .expect(200);
    assert_eq!(found["data"][0]["custom_id"], "7");
    assert_eq!(
        api.call("GET /consumers?custom_id=8", None)
            .await
            .expect(200)["data"],
        json!([])
    );
    api.call("GET /consumers?custom_id=", None)
        .await
        .expect(400);
}

#[tokio::test]
async fn the_snis_of_a_certificate_are_written_and_deleted_with_it() {
    let api = Api::start();
    let pair = json!({ "cert": CERTIFICATE, "key": KEY, "snis": ["b.test", "a.test"] });
    let created = api
        .call("POST /certificates", Some(pair.clone()))
        .await
        .expect(201);
    assert_eq!(created["snis"], json!(["a.test", "b.test"]));
    let refused = api.call("POST /certificates", Some(pair)).await.expect(400);
    assert!(
        refused["fields"]["snis"]
            .as_str()
            .unwrap()
            .contains("already associated with")
    );
    let twice = json!({ "cert": CERTIFICATE, "key": KEY, "snis": ["c.test", "c.test"] });
    let refused = api
        .call("POST /certificates", Some(twice))
        .await
        .expect(400);
    assert_eq!(refused["fields"]["snis"], "c.test is duplicated");
    let broken = json!({ "cert": CERTIFICATE, "key": KEY, "snis": ["c.test", "not a name"] });
    let refused = api
        .call("POST /certificates", Some(broken))
        .await
        .expect(400);
    let no_name = json!({ "code": 10, "name": "invalid unique name", "message": "invalid value: not a name" });
    assert_eq!(refused, no_name);
    let refused = api.call("GET /certificates/not%20a%20name", None).await;
    assert_eq!(refused.expect(400), no_name);
    api.call("GET /snis/c.test", None).await.expect(404);
    let changed = api
        .call(
            "PATCH /certificates/a.test",
            Some(json!({ "snis": ["b.test", "c.test"] })),
        )
        .await;
    assert_eq!(changed.expect(200)["snis"], json!(["b.test", "c.test"]));
    let listed = api.call("GET /certificates", None).await.expect(200);
    assert_eq!(listed["data"][0]["snis"], json!(["b.test", "c.test"]));
    assert_eq!(
        api.call("GET /certificates/a.test", None).await.expect(404)["message"],
        "SNI not found"
    );
    api.call(
        "PUT /certificates/new.test/services/s",
        Some(json!({ "host": "a.test" })),
    )
    .await
    .expect(404);
    api.call("DELETE /certificates/c.test", None)
        .await
        .expect(204);
    assert_eq!(
        api.call("GET /snis", None).await.expect(200)["data"],
        json!([])
    );
}

#[tokio::test]
async fn one_name_stands_for_a_list_where_a_certificate_is_changed() {
    let api = Api::start();
    let pair = |snis: Value| Some(json!({ "cert": CERTIFICATE, "key": KEY, "snis": snis }));
    let refused = api.call("POST /certificates", pair(json!("a.test"))).await;
    assert_eq!(
        refused.expect(400)["fields"],
        json!({ "snis": "expected an array" })
    );
    let put = api
        .call("PUT /certificates/a.test", pair(json!("b.test")))
        .await;
    assert_eq!(put.expect(200)["snis"], json!(["a.test", "b.test"]));
    let change = Some(json!({ "snis": "c.test" }));
    let patched = api.call("PATCH /certificates/a.test", change).await;
    assert_eq!(patched.expect(200)["snis"], json!(["c.test"]));
    let put = api
        .call("PUT /certificates/d.test", pair(json!(null)))
        .await;
    assert_eq!(put.expect(200)["snis"], json!([]));
}

#[tokio::test]
async fn a_certificate_behind_a_service_keeps_its_names() {
    let api = Api::start();
    let pair = json!({ "cert": CERTIFICATE, "key": KEY, "snis": ["a.test"] });
    let created = api.call("POST /certificates", Some(pair)).await.expect(201);
    let id = &created["id"];
    let service = json!({ "url": "https://a.test", "client_certificate": { "id": id } });
    api.call("PUT /services/s", Some(service)).await.expect(200);
    let path = "/services/s/client_certificate";
    let shown = api.call(&format!("GET {path}"), None).await.expect(200);
    assert_eq!((&shown["id"], &shown["snis"]), (id, &json!(null)));
    let again = json!({ "cert": CERTIFICATE, "key": KEY });
    let put = api.call(&format!("PUT {path}"), Some(again)).await;
    assert_eq!(put.expect(200)["snis"], json!(["a.test"]));
}

#[tokio::test]
async fn a_trusted_ca_certificate_cannot_be_deleted() {
    let api = Api::start();
    let cert = json!({ "cert": CERTIFICATE });
    let answer = api.call("POST /ca_certificates", Some(cert)).await;
    if answer.status != 201 {
        // The certificate of the mock upstream is no CA, and that is what the answer says.
        assert!(answer.body.contains("CA"), "{}", answer.body);
        return;
    }
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let service = json!({ "name": "s", "url": "https://a.test", "ca_certificates": [id] });
    api.call("POST /services", Some(service)).await.expect(201);
    let refused = api
        .call(&format!("DELETE /ca_certificates/{id}"), None)
        .await
        .expect(400);
    assert_eq!(refused["code"], 19);
}

#[tokio::test]
async fn a_target_is_found_by_address_below_its_upstream_only() {
    let api = Api::start();
    api.call("PUT /upstreams/u.test", Some(json!({})))
        .await
        .expect(200);
    api.call("PUT /upstreams/v.test", Some(json!({})))
        .await
        .expect(200);
    let target = json!({ "target": "127.0.0.1:81" });
    let created = api
        .call("POST /upstreams/u.test/targets", Some(target))
        .await
        .expect(201);
    assert_eq!(
        api.call("GET /upstreams/u.test/targets/127.0.0.1:81", None)
            .await
            .expect(200),
        created
    );
    let id = created["id"].as_str().unwrap();
    api.call(&format!("GET /upstreams/v.test/targets/{id}"), None)
        .await
        .expect(404);
    let path = "/upstreams/u.test/targets/127.0.0.1:81";
    let changed = api
        .call(&format!("PATCH {path}"), Some(json!({ "weight": 0 })))
        .await
        .expect(200);
    assert_eq!(changed["weight"], 0);
    api.call(
        "PUT /upstreams/u.test/targets/127.0.0.1:82",
        Some(json!({ "weight": 1 })),
    )
    .await
    .expect(404);
    for page in [
        "/targets",
        "/upstreams/u.test/targets",
        "/upstreams/u.test/targets/all",
    ] {
        let expected = if page == "/targets" { 404 } else { 200 };
        api.call(&format!("GET {page}"), None)
            .await
            .expect(expected);
    }
    api.call(&format!("DELETE {path}"), None).await.expect(204);
    api.call(&format!("DELETE {path}"), None).await.expect(404);
}

#[tokio::test]
async fn what_is_no_address_is_refused() {
    let api = Api::start();
    api.call("PUT /upstreams/u.test", Some(json!({})))
        .await
        .expect(200);
    let target = json!({ "target": "300.1.1.1:80", "weight": -1 });
    let refused = api
        .call("POST /upstreams/u.test/targets", Some(target.clone()))
        .await
        .expect(400);
    let reason = "Invalid target; not a valid hostname or ip address";
    assert_eq!(refused["fields"], json!({ "target": reason }));
    api.call(
        "POST /upstreams/u.test/targets",
        Some(json!({ "target": "a.test" })),
    )
    .await
    .expect(201);
    let refused = api
        .call("PATCH /upstreams/u.test/targets/a.test:8000", Some(target))
        .await
        .expect(400);
    assert_eq!(
        refused["fields"],
        json!({
            "target": "Invalid target ('300.1.1.1:80'); not a valid hostname or ip address",
            "weight": "value should be between 0 and 65535",
        })
    );
}

#[tokio::test]
async fn a_change_of_an_address_is_answered_as_it_was_written() {
    let api = Api::start();
    api.call("PUT /upstreams/u.test", Some(json!({})))
        .await
        .expect(200);
    let target = |address: &str| Some(json!({ "target": address }));
    let path = "/upstreams/u.test/targets";
    api.call(&format!("POST {path}"), target("a.test"))
        .await
        .expect(201);
    let changed = api
        .call(&format!("PATCH {path}/a.test:8000"), target("b.test"))
        .await
        .expect(200);
    assert_eq!(changed["target"], "b.test");
    let stored = api
        .call(&format!("GET {path}/b.test:8000"), None)
        .await
        .expect(200);
    assert_eq!(stored["target"], "b.test:8000");
}

#[tokio::test]
async fn targets_come_newest_first_and_are_paged_by_number() {
    let api = Api::start();
    api.call("PUT /upstreams/u.test", Some(json!({})))
        .await
        .expect(200);
    for created_at in 1..=3 {
        let target =
            json!({ "target": format!("127.0.0.1:{created_at}"), "created_at": created_at });
        api.call("POST /upstreams/u.test/targets", Some(target))
            .await
            .expect(201);
    }
    let page = api
        .call("GET /upstreams/u.test/targets?size=2", None)
        .await
        .expect(200);
    assert_eq!(page["data"][0]["target"], "127.0.0.1:3");
    assert_eq!(page["next"], "/upstreams/u.test/targets?offset=2");
    let page = api
        .call("GET /upstreams/u.test/targets?size=2&offset=2", None)
        .await
        .expect(200);
    assert_eq!(
        (page["data"].as_array().unwrap().len(), &page["next"]),
        (1, &json!(null))
    );
    api.call("GET /upstreams/u.test/targets?offset=x", None)
        .await
        .expect(400);
}

#[tokio::test]
async fn an_unknown_plugin_is_refused_and_a_patch_of_none_is_not_found() {
    let api = Api::start();
    let refused = api
        .call("POST /plugins", Some(json!({ "name": "x" })))
        .await
        .expect(400);
    assert!(
        refused["fields"]["name"]
            .as_str()
            .unwrap()
            .starts_with("plugin 'x' not enabled")
    );
    let answer = api
        .call(
            &format!("PATCH /plugins/{UNKNOWN}"),
            Some(json!({ "enabled": false })),
        )
        .await;
    assert_eq!(answer.expect(404), json!({ "message": "Not found" }));
}

#[tokio::test]
async fn a_write_tells_its_version_to_those_who_ask() {
    let api = Api::start();
    let put = |with: bool| {
        let mut put = request("PUT /consumers/a").header("content-type", "application/json");
        if with {
            put = put.header(admin::CONFIG_VERSION, "?");
        }
        send(&api.admin, put.body(Body::from("{}")).unwrap())
    };
    let first: u64 = put(true)
        .await
        .header("x-silverback-config-version")
        .unwrap()
        .parse()
        .unwrap();
    let second: u64 = put(true)
        .await
        .header("x-silverback-config-version")
        .unwrap()
        .parse()
        .unwrap();
    assert!(second > first);
    assert_eq!(put(false).await.header("x-silverback-config-version"), None);
}

#[tokio::test]
async fn a_plugin_shares_a_protocol_with_what_it_is_for() {
    let api = Api::start();
    let service = api
        .call("PUT /services/s", Some(json!({ "host": "a.test" })))
        .await
        .expect(200);
    let plugin = |protocols: &[&str]| Some(json!({ "name": "nothing", "protocols": protocols }));
    // A service without routes may get any.
    let of_service = api
        .call("POST /services/s/plugins", plugin(&["grpc"]))
        .await
        .expect(201);
    let route =
        json!({ "paths": ["/"], "protocols": ["http"], "service": { "id": service["id"] } });
    api.call("PUT /routes/r", Some(route)).await.expect(200);
    for (line, expected) in [
        (
            "POST /routes/r/plugins",
            "must match the associated route's protocols",
        ),
        (
            "POST /services/s/plugins",
            "must match the protocols of at least one route pointing to this Plugin's service",
        ),
    ] {
        let refused = api.call(line, plugin(&["grpc"])).await.expect(400);
        assert_eq!(
            refused["fields"],
            json!({ "protocols": expected }),
            "{line}"
        );
    }
    let id = of_service["id"].as_str().unwrap();
    for change in [
        json!({ "protocols": ["grpc", "grpcs"] }),
        json!({ "service": { "id": service["id"] } }),
    ] {
        let line = format!("PATCH /plugins/{id}");
        let refused = api.call(&line, Some(change)).await.expect(400);
        assert_eq!(refused["name"], "schema violation");
    }
    api.call(
        &format!("PATCH /plugins/{id}"),
        Some(json!({ "enabled": false, "instance_name": "i" })),
    )
    .await
    .expect(200);
    api.call("PATCH /plugins/i", plugin(&["grpcs"]))
        .await
        .expect(200);
    api.call(&format!("PATCH /plugins/{id}"), plugin(&["grpc", "http"]))
        .await
        .expect(200);
    api.call("POST /routes/r/plugins", plugin(&["http", "grpc"]))
        .await
        .expect(201);
}
