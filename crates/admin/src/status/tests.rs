use super::*;

fn paths(without_database: bool) -> Vec<String> {
    let table = table(without_database);
    table.iter().map(|endpoint| endpoint.path.clone()).collect()
}

#[test]
fn upstreams_are_shown_only_without_a_database_and_only_to_be_read() {
    assert_eq!(
        paths(false),
        ["/status", "/status/dns", "/metrics", "/status/ready"]
    );
    assert_eq!(paths(true).len(), 8);
    let is_upstream = |endpoint: &&Endpoint| endpoint.path.starts_with("/upstreams");
    for endpoint in table(true).iter().filter(is_upstream) {
        assert_eq!(endpoint.allow(), "GET, HEAD, OPTIONS", "{}", endpoint.path);
    }
}
