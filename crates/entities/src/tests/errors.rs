//! What is wrong with a record, to the letter.

use schema::Operation;
use serde_json::{Value, json};

use super::{catalog, check, insert, material, prepare, record};

const REQUIRED: &str = "required field missing";
const ID: &str = "5d0d6b1e-0a3c-4f10-9f0b-3c0e4a9a0032";

fn failed(field: &str) -> String {
    format!("failed conditional validation given value of field '{field}'")
}

#[test]
fn services() {
    let with = |name: &str, value: Value| json!({ "host": "a.test", name: value });
    for (input, errors) in [
        (json!({}), json!({ "host": REQUIRED })),
        (
            with("colour", json!("red")),
            json!({ "colour": "unknown field" }),
        ),
        (
            with("port", json!(65536)),
            json!({ "port": "value should be between 0 and 65535" }),
        ),
        (
            with("name", json!("a b")),
            json!({
                "name": "invalid value 'a b': the only accepted ascii characters are alphanumerics or ., -, _, and ~",
            }),
        ),
        (
            with("host", json!("a b")),
            json!({ "host": "invalid value: a b" }),
        ),
        (
            with("host", json!("a.test:80")),
            json!({ "host": "must not have a port" }),
        ),
        (
            with("host", json!("a.test:99999")),
            json!({ "host": "must not have a port" }),
        ),
        (
            with("path", json!("x")),
            json!({ "path": "should start with: /" }),
        ),
        (
            with("path", json!("/a//b")),
            json!({ "path": "must not have empty segments" }),
        ),
        (
            with("path", json!("/a%zz")),
            json!({ "path": "invalid url-encoded value: '%zz'" }),
        ),
        (
            with("path", json!("/a?b")),
            json!({
                "path": "invalid path: '/a?b' (characters outside of the reserved list of RFC 3986 found)",
            }),
        ),
        (
            with("tags", json!(["a,b"])),
            json!({
                "tags": ["invalid tag 'a,b': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"],
            }),
        ),
        (
            with("client_certificate", json!("x")),
            json!({
                "@entity": [failed("protocol")], "client_certificate": "value must be null",
            }),
        ),
        (
            json!({ "host": "a.test", "protocol": "https", "client_certificate": "x" }),
            json!({ "client_certificate": { "id": "missing primary key" } }),
        ),
        (
            json!({ "host": "a.test", "protocol": "https", "client_certificate": { "id": "x" } }),
            json!({ "client_certificate": { "id": "expected a valid UUID" } }),
        ),
        (
            json!({ "host": "a.test", "protocol": "https", "client_certificate": { "x": 1 } }),
            json!({ "client_certificate": { "x": "unknown field" } }),
        ),
        (
            json!({ "host": "a.test", "protocol": "tcp", "path": "/x" }),
            json!({ "@entity": [failed("protocol")], "path": "value must be null" }),
        ),
        (json!({ "url": 5 }), json!({ "url": "expected a string" })),
        (
            json!({ "url": null, "host": "a.test" }),
            json!({
                "host": REQUIRED,
                "path": "should start with: /",
                "protocol": "expected one of: grpc, grpcs, http, https, tcp, tls, tls_passthrough, udp",
            }),
        ),
    ] {
        check("services", input, errors);
    }
}

#[test]
fn consumers() {
    let nobody = "at least one of these fields must be non-empty: 'custom_id', 'username'";
    check("consumers", json!({}), json!({ "@entity": [nobody] }));
    check(
        "consumers",
        json!({ "username": "" }),
        json!({
            "@entity": [nobody], "username": "length must be at least 1",
        }),
    );
    check(
        "consumers",
        json!({ "username": "a", "tags": "x" }),
        json!({ "tags": "expected a set" }),
    );
    let stored = record(insert("consumers", json!({ "username": "a" })).expect("a consumer"));
    let update = prepare(
        catalog(),
        "consumers",
        Operation::Update,
        json!({ "username": null }),
        Some(&stored),
    );
    assert_eq!(
        update.expect_err("errors").message(),
        format!("schema violation (when updating, {nobody})")
    );
}

#[test]
fn upstreams() {
    for (input, errors) in [
        (json!({}), json!({ "name": REQUIRED })),
        (
            json!({ "name": "a b" }),
            json!({ "name": "Invalid name ('a b'); must be a valid hostname" }),
        ),
        (
            json!({ "name": "1.2.3.4" }),
            json!({ "name": "Invalid name ('1.2.3.4'); no ip addresses allowed" }),
        ),
        (
            json!({ "name": "a:1" }),
            json!({ "name": "Invalid name ('a:1'); no port allowed" }),
        ),
        (
            json!({ "name": "a", "hash_on": "header" }),
            json!({ "@entity": [failed("hash_on")], "hash_on_header": REQUIRED }),
        ),
        (
            json!({ "name": "a", "hash_on": "cookie", "hash_on_cookie": "c", "hash_fallback": "ip" }),
            json!({ "@entity": [failed("hash_on")], "hash_fallback": "expected one of: none" }),
        ),
        (
            json!({
                "name": "a", "hash_on": "header", "hash_on_header": "x",
                "hash_fallback": "header", "hash_fallback_header": "x",
            }),
            json!({
                "@entity": ["values of these fields must be distinct: 'hash_on_header', 'hash_fallback_header'"],
            }),
        ),
        (
            json!({ "name": "a", "healthchecks": { "active": { "healthy": { "http_statuses": [200, 99] } } } }),
            json!({ "healthchecks": { "active": { "healthy": {
                "http_statuses": [null, "value should be between 100 and 999"],
            } } } }),
        ),
        (
            json!({ "name": "a", "hash_on_cookie": "a b" }),
            json!({
                "hash_on_cookie":
                    "contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the \
                     characters ()<>@,;:\\\"/?={}[] are not allowed.",
            }),
        ),
    ] {
        check("upstreams", input, errors);
    }
}

#[test]
fn targets() {
    for target in [
        "a b:80",
        "127.0.0.1:99999",
        "300.1.1.1:80",
        "http://a.test:80",
    ] {
        let invalid = format!("Invalid target ('{target}'); not a valid hostname or ip address");
        check(
            "targets",
            json!({ "target": target, "upstream": { "id": ID } }),
            json!({ "target": invalid }),
        );
    }
    check(
        "targets",
        json!({ "upstream": { "id": ID } }),
        json!({ "target": REQUIRED }),
    );
    check(
        "targets",
        json!({ "target": 5, "upstream": { "id": ID } }),
        json!({ "target": "expected a string" }),
    );
}

#[test]
fn snis() {
    for (name, error) in [
        ("a.test", None),
        ("*.a.test", None),
        ("a.*", None),
        (
            "a.*.test",
            Some("wildcard must be leftmost or rightmost character"),
        ),
        ("*.a.*", Some("only one wildcard must be specified")),
        ("a b", Some("invalid value: a b")),
        ("1.2.3.4", Some("must not be an IP")),
        ("*.a.test:80", Some("must not have a port")),
    ] {
        let errors = error.map_or(Value::Null, |error| json!({ "name": error }));
        check(
            "snis",
            json!({ "name": name, "certificate": { "id": ID } }),
            errors,
        );
    }
    check(
        "snis",
        json!({ "name": "a.test" }),
        json!({ "certificate": REQUIRED }),
    );
}

#[test]
fn certificates() {
    let (one, two, other_type) = (material::leaf(), material::leaf(), material::ed25519_leaf());
    for (input, errors) in [
        (json!({}), json!({ "cert": REQUIRED, "key": REQUIRED })),
        (json!({ "cert": one.cert, "key": one.key }), Value::Null),
        (
            json!({ "cert": "{vault://env/cert}", "key": "{vault://env/key}" }),
            Value::Null,
        ),
        (
            json!({ "cert": one.cert, "key": two.key }),
            json!({ "@entity": ["certificate does not match key"] }),
        ),
        (
            json!({ "cert": one.cert, "key": one.key, "cert_alt": other_type.cert }),
            json!({ "@entity": ["all or none of these fields must be set: 'cert_alt', 'key_alt'"] }),
        ),
        (
            json!({ "cert": one.cert, "key": one.key, "cert_alt": other_type.cert, "key_alt": two.key }),
            json!({ "@entity": ["alternative certificate does not match key"] }),
        ),
        (
            json!({ "cert": one.cert, "key": one.key, "cert_alt": other_type.cert, "key_alt": other_type.key }),
            Value::Null,
        ),
        (
            json!({ "cert": one.cert, "key": one.key, "cert_alt": two.cert, "key_alt": two.key }),
            json!({ "@entity": [
                "certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), the \
                 provided certificates were both of the same type",
            ] }),
        ),
        (
            json!({ "cert": "x", "key": one.key }),
            json!({ "cert": "invalid certificate: no PEM block of type CERTIFICATE or X509 CERTIFICATE found" }),
        ),
    ] {
        check("certificates", input, errors);
    }
}

#[test]
fn ca_certificates() {
    let (ca, leaf, expired) = (
        material::authority(),
        material::leaf(),
        material::expired_authority(),
    );
    for (cert, error) in [
        (ca.cert.clone(), None),
        (
            format!("{}{}", ca.cert, ca.cert),
            Some("please submit only one certificate at a time"),
        ),
        (
            leaf.cert,
            Some(
                "certificate does not appear to be a CA because it is missing the \"CA\" basic constraint",
            ),
        ),
        (
            expired.cert,
            Some("certificate expired, \"Not After\" time is in the past"),
        ),
    ] {
        let errors = error.map_or(Value::Null, |error| json!({ "@entity": [error] }));
        check("ca_certificates", json!({ "cert": cert }), errors);
    }
}

#[test]
fn keys() {
    let (one, two) = (material::leaf(), material::leaf());
    let ec = r#"{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}"#;
    let entity = |error: &str| json!({ "@entity": [error] });
    for (input, errors) in [
        (json!({ "kid": "1", "jwk": ec }), Value::Null),
        (
            json!({ "kid": "1", "jwk": "{vault://env/jwk}" }),
            Value::Null,
        ),
        (
            json!({ "kid": "1", "pem": { "public_key": one.public_key, "private_key": one.key } }),
            Value::Null,
        ),
        (json!({ "jwk": ec }), json!({ "kid": REQUIRED })),
        (
            json!({ "kid": "1" }),
            entity("at least one of these fields must be non-empty: 'jwk', 'pem'"),
        ),
        (
            json!({ "kid": "1", "jwk": "{" }),
            entity("could not json decode jwk string"),
        ),
        (
            json!({ "kid": "2", "jwk": ec }),
            entity("kid in jwk.kid must be equal to keys.kid"),
        ),
        (
            json!({ "kid": "1", "jwk": ec.replace("4Etl", "5Etl") }),
            entity("could not load JWK, likely not a valid key"),
        ),
        (
            json!({ "kid": "1", "jwk": r#"{"kid":"1","kty":"oct","k":"AyM1"}"# }),
            entity("could not load JWK, likely not a valid key"),
        ),
        (
            json!({ "kid": "1", "jwk": ec.replace("\"kid\"", "\"colour\":1,\"kid\"") }),
            entity("Validation error: colour: unknown field"),
        ),
        (
            json!({ "kid": "1", "jwk": ec, "pem": { "public_key": one.public_key } }),
            entity("only one or none of these fields must be set: 'jwk', 'pem'"),
        ),
        (
            json!({ "kid": "1", "pem": {} }),
            json!({
                "pem": { "@entity": ["at least one of these fields must be non-empty: 'private_key', 'public_key'"] },
            }),
        ),
        (
            json!({ "kid": "1", "pem": { "public_key": "x" } }),
            json!({ "pem": "could not load public key" }),
        ),
        (
            json!({ "kid": "1", "pem": { "public_key": two.public_key, "private_key": one.key } }),
            json!({ "pem": "public key does not match private key" }),
        ),
    ] {
        check("keys", input, errors);
    }
}

#[test]
fn vaults() {
    for (input, errors) in [
        (json!({}), json!({ "name": REQUIRED })),
        (
            json!({ "name": "hcv", "prefix": "x-1" }),
            json!({ "name": "vault 'hcv' is not installed" }),
        ),
        (json!({ "name": "env" }), json!({ "prefix": REQUIRED })),
        (
            json!({ "name": "env", "prefix": "env" }),
            json!({ "prefix": "must not be one of: env" }),
        ),
        (
            json!({ "name": "env", "prefix": "My" }),
            json!({ "prefix": "invalid value: My" }),
        ),
        (
            json!({ "name": "env", "prefix": "my-env", "config": { "prefix": "1", "x": 1 } }),
            json!({ "config": { "prefix": "invalid value: 1", "x": "unknown field" } }),
        ),
    ] {
        check("vaults", input, errors);
    }
}

#[test]
fn plugins() {
    check("plugins", json!({}), json!({ "name": REQUIRED }));
    check(
        "plugins",
        json!({ "name": "unicorn" }),
        json!({
            "name": "plugin 'unicorn' not enabled; add it to the 'plugins' configuration property",
        }),
    );
}

#[test]
fn filter_chains() {
    check(
        "filter_chains",
        json!({ "service": { "id": ID }, "filters": [{ "name": "x", "config": 5 }] }),
        json!({
            "@entity": ["wasm support is not enabled"],
            "filters": [{
                "config": "value failed JSON-schema validation: wrong type: expected one of string, null",
                "name": "no such filter",
            }],
        }),
    );
}

#[test]
fn workspaces() {
    check(
        "workspaces",
        json!({ "name": "routes" }),
        json!({
            "name": "must not be one of: workspaces, consumers, certificates, services, routes, snis, upstreams, targets, \
                     plugins, tags, ca_certificates, clustering_data_planes, parameters, vaults, key_sets, keys, \
                     filter_chains",
        }),
    );
}
