use std::collections::BTreeSet;

use super::*;

fn paths() -> Vec<String> {
    table(entities::all(), Vec::new())
        .into_iter()
        .map(|endpoint| endpoint.path)
        .collect()
}

#[test]
fn foreign_fields_make_endpoints_at_both_ends() {
    let paths: BTreeSet<String> = paths().into_iter().collect();
    for path in [
        "/services",
        "/services/{services}",
        "/services/{services}/routes",
        "/services/{services}/routes/{routes}",
        "/routes/{routes}/service",
        "/certificates/{certificates}/upstreams/{upstreams}",
        "/key-sets/{key_sets}/keys/{keys}",
        "/keys/{keys}/set",
    ] {
        assert!(paths.contains(path), "{path}");
    }
    for path in ["/workspaces", "/key_sets", "/parameters"] {
        assert!(!paths.contains(path), "{path}");
    }
}

#[test]
fn paths_are_sorted_by_whole_segments() {
    let paths = paths();
    let place = |path: &str| paths.iter().position(|other| other == path).unwrap();
    assert!(place("/") < place("/ca_certificates"));
    assert!(place("/status") < place("/status/dns"));
    assert!(place("/schemas/plugins/{name}") < place("/schemas/{db_entity_name}/validate"));
    assert!(
        place("/upstreams/{upstreams}/targets/all")
            < place("/upstreams/{upstreams}/targets/{targets}")
    );
}

#[test]
fn every_endpoint_answers_options_and_head_where_it_answers_get() {
    for endpoint in table(entities::all(), Vec::new()) {
        let methods = endpoint.methods();
        assert!(methods.contains(&Method::OPTIONS), "{}", endpoint.path);
        assert_eq!(
            methods.contains(&Method::GET),
            methods.contains(&Method::HEAD),
            "{}",
            endpoint.path
        );
    }
}
