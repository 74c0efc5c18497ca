use super::*;

fn told(ip: Option<&str>, at: Option<u64>) -> Told {
    Told {
        host: "a.test".into(),
        ip: ip.map(|ip| ip.parse().unwrap()),
        port: 80,
        healthy: false,
        upstream: Uuid::nil(),
        at,
    }
}

#[test]
fn what_is_told_is_heard_and_kong_hears_it_too() {
    for at in [Some(17), None] {
        for ip in [None, Some("127.0.0.1"), Some("::1")] {
            let told = told(ip, at);
            assert_eq!(Told::read(&told.write("u")), Some(told));
        }
    }
    let text = told(Some("127.0.0.1"), None).write("u");
    let kong = "a.test|127.0.0.1|80|0|00000000-0000-0000-0000-000000000000|u";
    assert_eq!(text, kong);
}

#[test]
fn strange_words_are_no_marks() {
    for text in [
        "",
        "?",
        "a||b|1|x|u",
        "a|1.2.3.4|80|1|no id|u",
        "a|1.2.3.4|80000|1",
    ] {
        assert_eq!(Told::read(text), None, "{text}");
    }
}

#[test]
fn a_mark_is_about_one_address_or_about_all_of_a_target() {
    let address = |target_port, host: &str, port| Address {
        target: "a.test".into(),
        target_port,
        host: host.into(),
        record: host.into(),
        port,
        weight: 1,
    };
    let all = told(None, None);
    assert!(all.is_about(&address(80, "127.0.0.1", 8080)));
    assert!(!all.is_about(&address(81, "127.0.0.1", 80)));
    let one = told(Some("::1"), None);
    assert!(one.is_about(&address(1, "[::1]", 80)));
    assert!(!one.is_about(&address(80, "[::1]", 81)));
    assert!(!one.is_about(&address(80, "[::2]", 80)));
}
