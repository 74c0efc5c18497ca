//! Declarative files, and nodes without a database.

use crate::place::{Place, eventually, request};

fn document(path: &str, status_port: u16) -> String {
    format!(
        "_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://127.0.0.1:{status_port}/status\n  routes:\n  - name: r\n    paths: [{path}]\n"
    )
}

#[test]
fn a_file_is_checked_imported_and_exported() {
    let place = Place::new();
    let file = place.folder().join("in.yml");
    let file = file.to_str().expect("text");
    std::fs::write(file, document("/imported", place.status)).expect("written");
    assert_eq!(
        place.succeed(&["config", "parse", file]),
        "parse successful\n"
    );
    assert!(
        place
            .succeed(&["config", "db_import", file])
            .contains("import successful")
    );
    place.succeed(&["start"]);
    assert_eq!(request(place.proxy, "GET", "/imported", "").status, 200);
    place.succeed(&["stop"]);

    let out = place.folder().join("out.yml");
    let out = out.to_str().expect("text");
    place.succeed(&["config", "db_export", out]);
    assert!(
        std::fs::read_to_string(out)
            .expect("a file")
            .contains("/imported")
    );
    assert!(
        place
            .fail(&["config", "db_export", out])
            .contains("already exists")
    );
    place.succeed(&["config", "db_export", out, "--force"]);
}

#[test]
fn mistakes_in_a_file_are_named() {
    let place = Place::new();
    let file = place.folder().join("bad.yml");
    let text = "_format_version: \"3.0\"\nservices:\n- name: s\n  retries: many\n";
    std::fs::write(&file, text).expect("written");
    let complaint = place.fail(&["config", "parse", file.to_str().expect("text")]);
    assert!(
        complaint.contains("Failed parsing") && complaint.contains("retries"),
        "{complaint}"
    );
}

#[test]
fn the_example_can_be_parsed() {
    let place = Place::new();
    let file = place.folder().join("kong.yml");
    let file = file.to_str().expect("text");
    place.succeed(&["config", "init", file]);
    place.succeed(&["config", "parse", file]);
    assert!(
        place
            .fail(&["config", "init", file])
            .contains("already exists")
    );
}

#[test]
fn a_node_without_a_database_serves_its_file_and_reads_it_again() {
    let place = Place::new().with("DATABASE", "off");
    let file = place.folder().join("kong.yml");
    std::fs::write(&file, document("/one", place.status)).expect("written");
    let place = place.with("DECLARATIVE_CONFIG", file.to_str().expect("text"));
    place.succeed(&["start"]);
    assert_eq!(request(place.proxy, "GET", "/one", "").status, 200);
    std::fs::write(&file, document("/two", place.status)).expect("written");
    place.succeed(&["reload"]);
    assert_eq!(request(place.proxy, "GET", "/two", "").status, 200);
    assert_eq!(request(place.proxy, "GET", "/one", "").status, 404);
    std::fs::write(&file, "services: nonsense").expect("written");
    place.fail(&["reload"]);
    assert_eq!(request(place.proxy, "GET", "/two", "").status, 200);
}

#[test]
fn a_posted_configuration_serves_and_is_kept() {
    let place = Place::new().with("DATABASE", "off");
    place.succeed(&["start"]);
    assert_eq!(
        request(place.status, "GET", "/status/ready", "").status,
        503
    );
    let config = serde_json::json!({ "config": document("/posted", place.status) });
    let answer = request(place.admin, "POST", "/config", &config.to_string());
    assert_eq!(answer.status, 201, "{}", answer.body);
    assert_eq!(request(place.proxy, "GET", "/posted", "").status, 200);
    assert_eq!(
        request(place.status, "GET", "/status/ready", "").status,
        200
    );
    let service = r#"{"name":"x","host":"localhost"}"#;
    assert_eq!(
        request(place.admin, "POST", "/services", service).status,
        405
    );
    place.succeed(&["restart"]);
    assert_eq!(request(place.proxy, "GET", "/posted", "").status, 200);
}

#[test]
fn a_running_node_notices_what_is_imported_beside_it() {
    let place = Place::new();
    place.succeed(&["start"]);
    let file = place.folder().join("in.yml");
    std::fs::write(&file, document("/beside", place.status)).expect("written");
    place.succeed(&["config", "db_import", file.to_str().expect("text")]);
    eventually("the route serves", || {
        request(place.proxy, "GET", "/beside", "").status == 200
    });
}
