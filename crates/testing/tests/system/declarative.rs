//! Nodes without a database: where their configuration comes from, and what cannot take it away.

use serde_json::{Value, json};
use testing::{Backend, Node, Place, texts};

fn place() -> Place {
    Place::new().with("DATABASE", "off")
}

/// One service with routes for paths.
fn document(backend: &Backend, paths: &[&str]) -> String {
    let routes: String = paths
        .iter()
        .map(|path| format!("  - paths: [{path}]\n"))
        .collect();
    format!(
        "_format_version: \"3.0\"\nservices:\n- name: s\n  url: {}\n  routes:\n{routes}",
        backend.url()
    )
}

fn load(node: &Node<'_>, text: &str) -> testing::Answer {
    node.admin("POST", "/config", &json!({ "config": text }))
}

#[test]
fn a_node_starts_from_its_file_and_takes_no_writes() {
    let backend = Backend::saying("here");
    let place = place();
    let file = place.write("kong.yml", &document(&backend, &["/file"]));
    place.set("DECLARATIVE_CONFIG", file);
    let mut node = place.start();
    node.assert_serves("/file");
    assert_eq!(node.status_api("/status/ready").status, 200);
    let refused = node.admin("POST", "/services", &json!({ "url": backend.url() }));
    assert_eq!(refused.status, 405, "{}", refused.text());
}

#[test]
fn a_node_without_a_configuration_is_not_ready() {
    let backend = Backend::saying("here");
    let place = place();
    let node = place.start();
    assert_eq!(node.status_api("/status/ready").status, 503);
    assert_eq!(load(&node, &document(&backend, &["/r"])).status, 201);
    assert_eq!(node.status_api("/status/ready").status, 200);
    assert_eq!(node.get("/r").status, 200);
}

#[test]
fn a_bad_configuration_changes_nothing() {
    let backend = Backend::saying("here");
    let place = place();
    let mut node = place.start();
    assert_eq!(load(&node, &document(&backend, &["/good"])).status, 201);
    let copy = std::fs::read(place.prefix().join("declarative.json")).unwrap();
    let deep = "[".repeat(100_000);
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned()
        + &(0..20)
            .map(|level| {
                let from = char::from(b'a' + level);
                let to = char::from(b'b' + level);
                format!("{to}: &{to} [*{from}, *{from}, *{from}, *{from}, *{from}, *{from}]\n")
            })
            .collect::<String>();
    for bad in [
        "",
        "just words",
        "- a\n- list",
        "_format_version: \"3.0\"\nservices: [",
        "_format_version: \"9.9\"\n",
        "services:\n- url: http://127.0.0.1:1\n",
        "_format_version: \"3.0\"\nnonsense:\n- a: b\n",
        "_format_version: \"3.0\"\nservices:\n- name: s\n  port: 99999999\n",
        "_format_version: \"3.0\"\nroutes:\n- service: nobody\n  paths: [/x]\n",
        &deep,
        &bomb,
    ] {
        let answer = load(&node, bad);
        let shown: String = bad.chars().take(60).collect();
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        node.assert_serves("/good");
    }
    let raw = node
        .client_of_admin()
        .exchange("POST /config HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(raw.status, 400, "{}", raw.text());
    assert_eq!(
        std::fs::read(place.prefix().join("declarative.json")).unwrap(),
        copy
    );
    // An empty configuration is one: it takes everything away.
    assert_eq!(load(&node, "_format_version: \"3.0\"\n").status, 201);
    assert_eq!(node.get("/good").status, 404);
}

#[test]
fn the_last_good_configuration_survives_crashes() {
    let backend = Backend::saying("here");
    let place = place();
    for round in 0..5 {
        let node = place.start();
        if round > 0 {
            let before = format!("/p{}", round - 1);
            assert_eq!(node.get(&before).status, 200, "{before} is lost");
        }
        let path = format!("/p{round}");
        let loaded = load(&node, &document(&backend, &[&path]));
        assert_eq!(loaded.status, 201);
        // The crash comes while another one is being loaded, or before, or after.
        let both = document(&backend, &[&path, "/more"]);
        std::thread::scope(|scope| {
            let mut client = node.client_of_admin();
            scope.spawn(move || {
                let body = json!({ "config": both }).to_string();
                // An error is the crash.
                let _ = client.try_send(format!(
                    "POST /config HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                ));
                let _ = client.try_receive();
            });
            node.crash();
        });
    }
}

#[test]
fn a_broken_copy_is_refused_and_named() {
    let backend = Backend::saying("here");
    let place = place();
    let node = place.start();
    assert_eq!(load(&node, &document(&backend, &["/r"])).status, 201);
    node.crash();
    let copy = place.prefix().join("declarative.json");
    let good = std::fs::read(&copy).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let half = good[..middle].to_vec();
    for bad in [flipped, half, Vec::new(), b"{}".to_vec()] {
        std::fs::write(&copy, &bad).unwrap();
        let node = place.start();
        let log = node.log();
        let run = log.rsplit("[error]").next().unwrap_or_default();
        assert!(run.contains("declarative.json"), "{log}");
        assert_eq!(node.get("/r").status, 404);
        assert_eq!(node.status_api("/status/ready").status, 503);
        node.crash();
        // Nothing was written over it: a person may want to look.
        assert_eq!(std::fs::read(&copy).unwrap(), bad);
    }
    std::fs::write(&copy, &good).unwrap();
    assert_eq!(place.start().get("/r").status, 200);
}

#[test]
fn a_bad_file_stops_the_start_and_names_itself() {
    let place = place();
    for text in [
        "_format_version: \"3.0\"\nservices: [",
        "_format_version: \"3.0\"\nservices:\n- name: s\n",
        "",
    ] {
        let file = place.write("broken.yml", text);
        place.set("DECLARATIVE_CONFIG", file);
        let output = place.run(&["run"]);
        let (_, words) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(words.contains("broken.yml"), "{words}");
    }
    place.set("DECLARATIVE_CONFIG", "/nowhere/kong.yml");
    let (_, words) = place.fail(&["run"]);
    assert!(words.contains("/nowhere/kong.yml"), "{words}");
}

#[test]
fn a_reload_reads_the_file_again_and_keeps_what_it_has_if_that_is_bad() {
    let backend = Backend::saying("here");
    let place = place();
    let file = place.write("kong.yml", &document(&backend, &["/one"]));
    place.set("DECLARATIVE_CONFIG", file);
    let mut node = place.start();
    node.assert_serves("/one");
    place.write("kong.yml", &document(&backend, &["/two"]));
    place.succeed(&["reload"]);
    node.assert_serves("/two");
    assert_eq!(node.get("/one").status, 404);
    place.write("kong.yml", "services: [");
    let (_, words) = place.fail(&["reload"]);
    assert!(words.contains("kong.yml"), "{words}");
    node.assert_serves("/two");
}

#[test]
fn the_same_configuration_again_is_noticed() {
    let backend = Backend::saying("here");
    let place = place();
    let node = place.start();
    let text = document(&backend, &["/r"]);
    assert_eq!(load(&node, &text).status, 201);
    let again = node.admin("POST", "/config?check_hash=1", &json!({ "config": text }));
    assert_eq!(again.status, 304, "{}", again.text());
    let flattened = node.admin(
        "POST",
        "/config?flatten_errors=1",
        &json!({ "config": "_format_version: \"3.0\"\nservices:\n- name: s\n  port: -1\n" }),
    );
    assert_eq!(flattened.status, 400);
    let errors = &flattened.json()["flattened_errors"];
    assert!(
        errors.as_array().is_some_and(|errors| errors.len() == 1),
        "{errors}"
    );
    assert_ne!(errors[0]["entity"], Value::Null);
}
