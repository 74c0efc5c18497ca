//! The plugin ldap-auth in front of OpenLDAP: in the clear, over TLS, and while the server is away.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fleet::Slapd;
use serde_json::{Value, json};
use testing::{Backend, Node, PATIENCE, Place, eventually, self_signed};

const ALICE: (&str, &str) = ("alice", "se:cret");
const SMITH: (&str, &str) = ("Smith, J.", "other");

/// The status of a request with a name and a password.
fn status(node: &Node<'_>, path: &str, user: &str, password: &str) -> u16 {
    let credentials = STANDARD.encode(format!("{user}:{password}"));
    let mut client = node.client().with_patience(PATIENCE);
    client.send(format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: LDAP {credentials}\r\n\r\n"
    ));
    client.receive().status
}

/// Adds a route whose clients the server is asked about.
fn add_route(node: &Node<'_>, name: &str, backend: &Backend, settings: &Value) {
    let path = format!("/{name}");
    node.add_route(&path, &backend.url(), &Value::Null);
    let mut config = json!({
        "ldap_host": "localhost", "base_dn": Slapd::BASE, "attribute": "cn", "verify_ldap_host": true,
    });
    for (field, value) in settings.as_object().unwrap() {
        config[field] = value.clone();
    }
    let plugin = json!({ "name": "ldap-auth", "config": config });
    node.configure("POST", &format!("/routes/{name}/plugins"), &plugin);
    eventually("the route asks", || node.get(&path).status == 401);
}

#[test]
fn users_of_openldap_log_in_and_nobody_else() {
    let certificate = self_signed(&["localhost"]);
    let server = Slapd::start(&[ALICE, SMITH], &certificate.certificate, &certificate.key);
    let server = server.unwrap();
    let backend = Backend::saying("here");
    let place = Place::new();
    let trusted = place.write("trusted.pem", &certificate.certificate);
    place.set("LUA_SSL_TRUSTED_CERTIFICATE", trusted);
    let node = place.start();
    let (port, tls_port) = (server.port(), server.tls_port());
    let ways = [
        ("clear", json!({ "ldap_port": port })),
        ("start", json!({ "ldap_port": port, "start_tls": true })),
        ("tls", json!({ "ldap_port": tls_port, "ldaps": true })),
    ];
    for (name, settings) in &ways {
        add_route(&node, name, &backend, settings);
        let path = format!("/{name}");
        for (user, password) in [ALICE, SMITH] {
            assert_eq!(status(&node, &path, user, password), 200, "{name}");
            assert_eq!(status(&node, &path, user, "wrong"), 401, "{name}");
            assert_eq!(status(&node, &path, user, ""), 401, "{name}");
        }
        assert_eq!(status(&node, &path, "nobody", "se:cret"), 401, "{name}");
        assert_eq!(status(&node, &path, "alice,", "se:cret"), 401, "{name}");
    }

    // The certificate is for another name.
    let other = json!({ "ldap_host": "127.0.0.1", "ldap_port": port, "start_tls": true });
    add_route(&node, "other", &backend, &other);
    assert_eq!(status(&node, "/other", ALICE.0, ALICE.1), 500);

    server.stop().unwrap();
    for (name, _) in &ways {
        let path = format!("/{name}");
        assert_eq!(status(&node, &path, ALICE.0, ALICE.1), 200, "{name}");
        assert_eq!(status(&node, &path, ALICE.0, "new"), 500, "{name}");
    }
    server.resume().unwrap();
    for (name, _) in &ways {
        let path = format!("/{name}");
        assert_eq!(status(&node, &path, ALICE.0, "new"), 401, "{name}");
    }
}
