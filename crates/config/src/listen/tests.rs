use super::*;

fn parse_text(text: &str) -> Result<Vec<Listener>, String> {
    let entries: Vec<String> = text
        .split(',')
        .map(|entry| entry.trim().to_owned())
        .collect();
    parse(&entries, false)
}

fn one(text: &str) -> Listener {
    parse_text(text).expect("valid").remove(0)
}

#[test]
fn reads_every_flag() {
    let listener = one(
        "0.0.0.0:8443 ssl http2 proxy_protocol deferred bind reuseport backlog=16384 ipv6only=on so_keepalive=30m::10",
    );
    assert_eq!(
        listener.address,
        Address::Ip("0.0.0.0:8443".parse().expect("valid"))
    );
    assert!(listener.ssl && listener.http2 && listener.proxy_protocol);
    assert!(listener.deferred && listener.bind && listener.reuseport);
    assert_eq!(listener.backlog, Some(16384));
    assert_eq!(listener.ipv6only, Some(true));
    let tuned = Keepalive::Tuned {
        idle: Some(Duration::from_secs(1800)),
        interval: None,
        count: Some(10),
    };
    assert_eq!(listener.so_keepalive, Some(tuned));
}

#[test]
fn reads_addresses_of_all_forms() {
    assert_eq!(one("[::1]:80").address.to_string(), "[::1]:80");
    assert_eq!(
        one("localhost:80").address,
        Address::Name("localhost".to_owned(), 80)
    );
    assert_eq!(
        one("unix:/run/gateway.sock").address,
        Address::Unix(PathBuf::from("/run/gateway.sock"))
    );
    assert_eq!(one("127.0.0.1:0").port(), Some(0));
}

#[test]
fn off_means_no_listener() {
    assert_eq!(parse_text("off"), Ok(Vec::new()));
}

#[test]
fn refuses_what_is_not_a_listener_and_says_what_is() {
    for bad in [
        "",
        "8000",
        "1.2.3.4",
        "1.2.3.400:80",
        "::1:80",
        "127.0.0.1:99999",
        "127.0.0.1:80 sssl",
        "127.0.0.1:80 backlog=",
        "127.0.0.1:80 so_keepalive=1:2",
        "127.0.0.1:80 udp",
        "unix:",
    ] {
        let error = parse_text(bad).expect_err(bad);
        assert!(
            error.starts_with("must be of form: [off] | <ip>:<port> [ssl] [http2]"),
            "{bad}: {error}"
        );
    }
}

#[test]
fn stream_listeners_know_udp_and_no_http2() {
    let entry = ["0.0.0.0:53 udp".to_owned()];
    assert!(parse(&entry, true).expect("valid")[0].udp);
    assert!(parse(&["0.0.0.0:53 http2".to_owned()], true).is_err());
}
