use super::*;

#[test]
fn hosts_have_ports_of_their_own_or_the_default() {
    let read = |item| host_and_port(item, 5432);
    let host = |name: &str, port| Some((name.to_owned(), port));
    assert_eq!(read("db"), host("db", 5432));
    assert_eq!(read("db:6000"), host("db", 6000));
    assert_eq!(read("10.0.0.1:6000"), host("10.0.0.1", 6000));
    assert_eq!(read("::1"), host("::1", 5432));
    assert_eq!(read("[::1]"), host("::1", 5432));
    assert_eq!(read("[::1]:6000"), host("::1", 6000));
    assert_eq!(
        read("/var/run/postgresql"),
        host("/var/run/postgresql", 5432)
    );
}

#[test]
fn what_is_no_host_is_refused() {
    for item in ["db:", "db:0", "db:65536", ":5432", "[::1", "[::1]6000"] {
        assert_eq!(host_and_port(item, 5432), None, "{item}");
    }
}
