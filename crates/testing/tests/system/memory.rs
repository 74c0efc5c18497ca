//! What a node weighs. The figures of a release build are a benchmark's business; these tests find what grows.

use serde_json::{Value, json};
use testing::{Backend, Place, eventually};

#[test]
fn ten_thousand_routes_are_imported_started_with_and_served() {
    const ROUTES: usize = 10_000;
    let backend = Backend::saying("here");
    let place = Place::new();
    let idle = place.start();
    println!("idle: {} MiB", idle.resident_mib());
    drop(idle);
    let services: Vec<Value> = (0..ROUTES)
        .map(|number| {
            json!({
                "name": format!("s{number}"),
                "url": backend.url(),
                "routes": [{ "name": format!("r{number}"), "paths": [format!("/r{number}/")] }],
            })
        })
        .collect();
    let document = json!({ "_format_version": "3.0", "services": services });
    let file = place.write("routes.json", &document.to_string());
    place.succeed(&["config", "db_import", &file]);
    let mut node = place.start();
    println!("{ROUTES} routes: {} MiB", node.resident_mib());
    for number in [0, 1, ROUTES / 2, ROUTES - 1] {
        node.assert_serves(&format!("/r{number}/"));
    }
    assert!(node.resident_mib() < 400, "{} MiB", node.resident_mib());
}

#[test]
fn changes_and_requests_in_great_number_do_not_make_a_node_grow() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut proxy = node.client();
    let work = |proxy: &mut testing::Client| {
        for number in 0..150 {
            let path = format!("/r{}", number % 7);
            node.configure("PATCH", "/routes/r", &json!({ "paths": ["/r", path] }));
            for _ in 0..10 {
                assert_eq!(proxy.get("/r").status, 200);
            }
        }
    };
    work(&mut proxy);
    let before = node.resident_mib();
    work(&mut proxy);
    work(&mut proxy);
    let grown = node.resident_mib().saturating_sub(before);
    println!("300 changes and 3000 requests: {grown} MiB more than {before} MiB");
    assert!(grown < 15, "{grown} MiB more");
    node.assert_serves("/r");
}

#[test]
fn a_node_gives_back_what_a_large_configuration_took_to_read() {
    let place = Place::new().with("DATABASE", "off");
    let node = place.start();
    let services: Vec<Value> = (0..5_000)
        .map(|number| {
            let routes = json!([{ "paths": [format!("/r{number}/")] }]);
            json!({ "url": "http://127.0.0.1:1", "name": format!("s{number}"), "routes": routes })
        })
        .collect();
    let document = json!({ "_format_version": "3.0", "services": services });
    let idle = node.resident_mib();
    let loaded = node.admin("POST", "/config", &document);
    assert_eq!(loaded.status, 201, "{}", loaded.text());
    // What is resident now says little: some of it may have gone back already.
    let most = node.peak_mib();
    println!("{idle} MiB before, {most} MiB while it is loaded");
    // Half of it is what is kept.
    eventually("the garbage is given back", || {
        node.resident_mib() < (idle + most) / 2
    });
}
