//! What attackers try against plugins that say who a client is, what it may and what it gets.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use testing::{
    Answer, Backend, Cluster, Node, PATIENCE, Place, Stop, Then, eventually, eventually_answers,
};

/// A request with these header lines.
fn ask(node: &Node, target: &str, headers: &str) -> Answer {
    let mut client = node.client().with_patience(PATIENCE);
    client.exchange(format!(
        "GET {target} HTTP/1.1\r\nHost: gateway.test\r\n{headers}\r\n"
    ))
}

/// A node with a route `/a` that needs a key, and Alice who has the key `good`.
fn with_keys<'a>(place: &'a Place, backend: &Backend) -> Node<'a> {
    let node = place.start();
    node.add_route("/a", &backend.url(), &Value::Null);
    protect(&node);
    node
}

fn protect(node: &Node) {
    node.configure(
        "POST",
        "/services/a/plugins",
        &json!({ "name": "key-auth" }),
    );
    node.configure("POST", "/consumers", &json!({ "username": "alice" }));
    node.configure(
        "POST",
        "/consumers/alice/key-auth",
        &json!({ "key": "good" }),
    );
}

const SPOOFED: [&str; 5] = [
    "X-Consumer-ID",
    "X-Consumer-Username",
    "X-Consumer-Custom-ID",
    "X-Credential-Identifier",
    "X-Anonymous-Consumer",
];

/// Every spoofed header, in the forms that upstreams might take for it.
fn spoofed() -> String {
    let lines = SPOOFED.map(|name| {
        let underscored = name.replace('-', "_");
        format!(
            "{name}: root\r\n{}: root\r\n{underscored}: root\r\n",
            name.to_lowercase()
        )
    });
    lines.concat()
}

#[test]
fn spoofed_identity_headers_are_stripped_unless_the_sender_is_trusted() {
    let backend = Backend::saying("in");
    let place = Place::new();
    let node = with_keys(&place, &backend);
    node.add_route("/open", &backend.url(), &Value::Null);
    for (target, key) in [("/open", ""), ("/a", "apikey: good\r\n")] {
        assert_eq!(
            ask(&node, target, &format!("{}{key}", spoofed())).status,
            200
        );
        let received = backend.received().pop().unwrap();
        assert!(!received.head.contains("root"), "{}", received.head);
    }
    let received = backend.received().pop().unwrap();
    assert_eq!(received.header("X-Consumer-Username"), Some("alice"));
    drop(node);

    let trusting = Place::new().with("TRUSTED_IPS", "127.0.0.1");
    let node = trusting.start();
    node.add_route("/open", &backend.url(), &Value::Null);
    assert_eq!(
        ask(&node, "/open", "X-Consumer-Username: bob\r\n").status,
        200
    );
    let received = backend.received().pop().unwrap();
    assert_eq!(received.header("X-Consumer-Username"), Some("bob"));
}

#[test]
fn ip_rules_look_through_trusted_proxies_and_through_no_others() {
    let backend = Backend::saying("in");
    let rule = json!({ "name": "ip-restriction", "config": { "allow": ["192.0.2.7"] } });
    let claims = [
        "X-Forwarded-For: 192.0.2.7\r\n",
        "X-Real-IP: 192.0.2.7\r\n",
        "Forwarded: for=192.0.2.7\r\n",
        "X-Real-IP: 192.0.2.7\r\nX-Forwarded-For: 192.0.2.7\r\nClient-IP: 192.0.2.7\r\n",
    ];
    let untrusting = Place::new().with("TRUSTED_IPS", "192.0.2.0/24");
    let node = untrusting.start();
    node.add_route("/a", &backend.url(), &Value::Null);
    node.configure("POST", "/services/a/plugins", &rule);
    for claim in claims {
        assert_eq!(ask(&node, "/a", claim).status, 403, "{claim}");
    }
    drop(node);

    let trusting = Place::new()
        .with("TRUSTED_IPS", "127.0.0.1")
        .with("REAL_IP_HEADER", "X-Forwarded-For")
        .with("REAL_IP_RECURSIVE", "on");
    let node = trusting.start();
    node.add_route("/a", &backend.url(), &Value::Null);
    node.configure("POST", "/services/a/plugins", &rule);
    for (claim, status) in [
        ("X-Forwarded-For: 192.0.2.7\r\n", 200),
        ("X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n", 200),
        // The last address that nobody trusted wrote is the client's, whatever it wrote before.
        ("X-Forwarded-For: 192.0.2.7, 203.0.113.9\r\n", 403),
        (
            "X-Forwarded-For: 192.0.2.7, 203.0.113.9, 127.0.0.1\r\n",
            403,
        ),
        ("X-Forwarded-For: 192.0.2.7:80000, x\r\n", 403),
        ("X-Real-IP: 192.0.2.7\r\n", 403),
        ("", 403),
    ] {
        assert_eq!(ask(&node, "/a", claim).status, status, "{claim}");
    }
}

#[test]
fn oversized_keys_and_tokens_are_refused_and_forgotten() {
    let backend = Backend::saying("in");
    let place = Place::new().with("MEM_CACHE_SIZE", "1m");
    let mut node = with_keys(&place, &backend);
    node.add_route("/jwt", &backend.url(), &Value::Null);
    node.configure("POST", "/services/jwt/plugins", &json!({ "name": "jwt" }));
    let before = node.resident_mib();
    for number in 0..2000 {
        let key = format!("{number}{}", "k".repeat(7000));
        assert_eq!(ask(&node, "/a", &format!("apikey: {key}\r\n")).status, 401);
    }
    for body in ["[".repeat(5000), "{\"a\":".repeat(1000), "\"".repeat(5000)] {
        let part = URL_SAFE_NO_PAD.encode(body);
        let token = part.get(..6500).unwrap_or(&part);
        let answer = ask(
            &node,
            "/jwt",
            &format!("Authorization: Bearer {token}.{{}}.x\r\n"),
        );
        assert_eq!(answer.status, 401);
    }
    let huge = ask(&node, "/a", &format!("apikey: {}\r\n", "k".repeat(1 << 20)));
    assert!((400..500).contains(&huge.status), "{}", huge.status);
    assert!(
        node.resident_mib() < before + 24,
        "14 MB of keys are not kept"
    );
    assert_eq!(ask(&node, "/a", "apikey: good\r\n").status, 200);
    node.add_route("/open", &backend.url(), &Value::Null);
    node.assert_serves("/open");
}

/// A token with this header and these claims, signed as `sign` says.
fn token(header: Value, claims: Value, secret: Option<&[u8]>) -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = secret.map_or_else(Vec::new, |secret| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        tag.as_ref().to_vec()
    });
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn jwt_refuses_confused_algorithms_none_and_tokens_out_of_their_time() {
    let key = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
        aws_lc_rs::encoding::AsDer::as_der(aws_lc_rs::signature::KeyPair::public_key(&key))
            .unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(der.as_ref())
    );
    let backend = Backend::saying("in");
    let place = Place::new();
    let node = place.start();
    node.add_route("/a", &backend.url(), &Value::Null);
    let plugin = json!({ "name": "jwt", "config": { "claims_to_verify": ["exp", "nbf"] } });
    node.configure("POST", "/services/a/plugins", &plugin);
    node.configure("POST", "/consumers", &json!({ "username": "alice" }));
    let rsa = json!({ "key": "rsa", "algorithm": "RS256", "rsa_public_key": pem });
    node.configure("POST", "/consumers/alice/jwt", &rsa);
    node.configure(
        "POST",
        "/consumers/alice/jwt",
        &json!({ "key": "hmac", "secret": "sec" }),
    );
    let claims = |key: &str, exp: u64, nbf: u64| json!({ "iss": key, "exp": exp, "nbf": nbf });
    const FAR: u64 = 4_102_444_800;
    for (attack, header, claims, secret, status) in [
        (
            "none at all",
            "HS256",
            claims("hmac", FAR, 0),
            Some(&b"sec"[..]),
            200,
        ),
        (
            "confusion",
            "HS256",
            claims("rsa", FAR, 0),
            Some(pem.as_bytes()),
            401,
        ),
        (
            "confusion, trimmed",
            "HS256",
            claims("rsa", FAR, 0),
            Some(pem.trim().as_bytes()),
            401,
        ),
        ("none", "none", claims("hmac", FAR, 0), None, 401),
        ("None", "None", claims("rsa", FAR, 0), None, 401),
        ("no signature", "HS256", claims("hmac", FAR, 0), None, 401),
        (
            "an empty secret",
            "HS256",
            claims("hmac", FAR, 0),
            Some(&b""[..]),
            401,
        ),
        (
            "expired",
            "HS256",
            claims("hmac", 1, 0),
            Some(&b"sec"[..]),
            401,
        ),
        (
            "not yet valid",
            "HS256",
            claims("hmac", FAR, FAR - 1),
            Some(&b"sec"[..]),
            401,
        ),
        (
            "another key",
            "RS256",
            claims("rsa", FAR, 0),
            Some(&b"sec"[..]),
            401,
        ),
    ] {
        let token = token(json!({ "alg": header }), claims, secret);
        let answer = ask(&node, "/a", &format!("Authorization: Bearer {token}\r\n"));
        assert_eq!(answer.status, status, "{attack}: {}", answer.text());
    }
    assert_eq!(
        backend.received().len(),
        1,
        "only the good token came through"
    );
}

#[test]
fn cache_poisoning_by_unkeyed_headers_fails() {
    // An upstream that believes whatever it is told about where it is.
    let backend = Backend::http(|received| {
        let said = |name| received.header(name).unwrap_or_default().to_owned();
        let body = format!(
            "{} {} {}",
            said("X-Forwarded-Host"),
            said("X-Forwarded-Proto"),
            said("X-Theme")
        );
        let vary = if received.line().contains("vary") {
            "Vary: X-Theme\r\n"
        } else {
            ""
        };
        let length = body.len();
        Then::Answer(
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{vary}Content-Length: {length}\r\n\r\n{body}")
                .into_bytes(),
        )
    });
    for trusted in ["192.0.2.1", "127.0.0.1"] {
        let place = Place::new().with("TRUSTED_IPS", trusted);
        let node = place.start();
        node.add_route("/a", &backend.url(), &Value::Null);
        let cache = json!({ "name": "proxy-cache", "config": { "strategy": "memory" } });
        node.configure("POST", "/services/a/plugins", &cache);
        let innocent = |target: &str| ask(&node, target, "").text();
        for (number, poison) in [
            "X-Forwarded-Host: evil.test\r\n",
            "X-Forwarded-Proto: evil\r\n",
            "X-Forwarded-Host: evil.test\r\nX-Forwarded-Host: evil.test\r\n",
            "X-Theme: evil\r\n",
            "x-theme:evil\r\nX-Cache-Key: 0\r\nX-Cache-Status: Hit\r\n",
        ]
        .into_iter()
        .enumerate()
        {
            let target = format!("/a/vary?{number}");
            ask(&node, &target, poison);
            assert!(!innocent(&target).contains("evil"), "{poison}");
            assert!(!innocent(&target).contains("evil"), "{poison}");
        }
        let mut client = node.client();
        client.exchange("GET /a/host HTTP/1.1\r\nHost: evil.test\r\n\r\n");
        assert!(!innocent("/a/host").contains("evil"));
        let mut client = node.client();
        client.exchange("GET /a/fat HTTP/1.1\r\nHost: gateway.test\r\nX-Theme: evil\r\nContent-Length: 4\r\n\r\nevil");
        assert!(!innocent("/a/fat").contains("evil"));
    }
}

#[test]
fn log_injection_makes_no_lines_of_its_own() {
    let backend = Backend::saying("in");
    let place = Place::new().with("PROXY_ACCESS_LOG", "logs/access.log");
    let node = with_keys(&place, &backend);
    let forged = "%0d%0a127.0.0.1%20-%20forged%22";
    for (target, headers) in [
        (format!("/a?{forged}"), "apikey: good\r\n".to_owned()),
        (
            "/a".to_owned(),
            "apikey: good\r\nUser-Agent: \"\x1b[2J\\n\"} {\"forged\":1}\r\n".to_owned(),
        ),
        (
            "/a".to_owned(),
            "apikey: x\\r\\nforged\r\nReferer: \t\"forged\r\n".to_owned(),
        ),
        (format!("/nothing/{forged}"), String::new()),
    ] {
        ask(&node, &target, &headers);
    }
    let lines = || {
        let log = std::fs::read(place.prefix().join("logs/access.log"));
        let text = String::from_utf8_lossy(&log.unwrap_or_default()).into_owned();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    eventually("every request is logged", || lines().len() >= 4);
    assert_eq!(lines().len(), 4);
    for line in lines() {
        assert!(
            line.starts_with("127.0.0.1 ") && !line.contains('\x1b'),
            "{line}"
        );
    }
    assert!(!node.log().lines().any(|line| line.starts_with("forged")));
}

#[test]
fn during_an_outage_an_unknown_key_is_unknown_and_not_wrong() {
    let backend = Backend::saying("in");
    let cluster = Cluster::new(1);
    let [node] = cluster.start();
    node.add_route("/a", &backend.url(), &Value::Null);
    protect(&node);
    eventually_answers(&node, "/a", 401);
    assert_eq!(ask(&node, "/a", "apikey: bad\r\n").status, 401);
    cluster.postgres().stop(Stop::Fast).unwrap();
    eventually("the outage is noticed", || {
        ask(&node, "/a", "apikey: bad\r\n").status == 503
    });
    assert_eq!(ask(&node, "/a", "apikey: another\r\n").status, 503);
    assert_eq!(
        ask(&node, "/a", "apikey: good\r\n").status,
        200,
        "never asked for before"
    );
    assert_eq!(ask(&node, "/a", "").status, 401, "no key is no key");
    drop(node);
    let node = cluster.place(0).start();
    assert_eq!(
        ask(&node, "/a", "apikey: good\r\n").status,
        200,
        "after a restart without the database"
    );
    assert_eq!(ask(&node, "/a", "apikey: bad\r\n").status, 503);
    cluster.postgres().resume().unwrap();
    eventually("the end of the outage is noticed", || {
        ask(&node, "/a", "apikey: bad\r\n").status == 401
    });
}
