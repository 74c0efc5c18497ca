use std::path::PathBuf;

use super::*;

fn listener(address: Address) -> Listener {
    Listener::plain(address)
}

#[test]
fn http2_counts_for_all_addresses_of_a_setting() {
    let first = listener(Address::Ip("127.0.0.1:1".parse().expect("valid")));
    let mut second = listener(Address::Ip("127.0.0.1:2".parse().expect("valid")));
    second.http2 = true;
    let specs = listen_specs("proxy_listen", &[first, second], Path::new("/p")).expect("valid");
    assert!(specs.iter().all(|spec| spec.http2));
}

#[test]
fn sockets_in_the_file_system_start_at_the_prefix() {
    let listeners = [listener(Address::Unix(PathBuf::from("sockets/a")))];
    let specs = listen_specs("admin_listen", &listeners, Path::new("/p")).expect("valid");
    assert_eq!(
        specs[0].address,
        ListenAddress::Unix(PathBuf::from("/p/sockets/a"))
    );
}

#[test]
fn names_are_resolved_and_unknown_ones_named() {
    let local = [listener(Address::Name("localhost".to_owned(), 80))];
    let specs = listen_specs("admin_listen", &local, Path::new("/p")).expect("resolved");
    assert!(
        specs
            .iter()
            .all(|spec| matches!(&spec.address, ListenAddress::Tcp(a) if a.ip().is_loopback()))
    );
    let unknown = [listener(Address::Name(
        "no-such-host.invalid".to_owned(),
        80,
    ))];
    let error = listen_specs("admin_listen", &unknown, Path::new("/p")).expect_err("unknown");
    assert!(
        error
            .to_string()
            .starts_with("admin_listen: cannot resolve no-such-host.invalid")
    );
}

#[test]
fn what_spans_are_made_of_is_what_the_settings_name() {
    let settings = |instrumentations: &str| {
        let environment = [
            ("KONG_TRACING_INSTRUMENTATIONS", instrumentations),
            ("KONG_TRACING_SAMPLING_RATE", "0.5"),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let sources = config::Sources {
            file: Some(PathBuf::from("/dev/null")),
            environment: environment.into_iter().map(owned).collect(),
            ..config::Sources::default()
        };
        config::load(&sources).expect("valid").settings
    };
    let (off, all) = (spans(&settings("off")), spans(&settings("all")));
    assert!(!off.request && !off.balancer && !off.plugins());
    assert!(all.request && all.balancer && all.plugin_rewrite);
    let some = settings("router, plugin_access");
    assert_eq!(
        spans(&some),
        Spans {
            request: true,
            plugin_access: true,
            sampling_rate: 0.5,
            ..Spans::default()
        }
    );
    assert_eq!(parts_without_spans(&some), ["router"]);
    let unrecorded = "db_query, dns_query, router, http_client, plugin_certificate";
    assert_eq!(parts_without_spans(&settings("all")).join(", "), unrecorded);
    for nothing_missing in ["off", "request", "request, balancer, plugin_rewrite"] {
        let settings = settings(nothing_missing);
        assert!(parts_without_spans(&settings).is_empty());
    }
}
