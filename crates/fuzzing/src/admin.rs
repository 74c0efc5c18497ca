//! Bodies of the Admin API, through the validation of every entity.

use schema::{Context, NoSubschemas, Operation};
use serde_json::Value;
use uuid::Uuid;

pub const BODIES: &[&[u8]] = &[
    br#"{"name":"s","url":"http://a.test:81/x","tags":["a"],"retries":5,"protocol":"http"}"#,
    br#"{"paths":["/a","~/b$"],"hosts":["*.a.test"],"methods":["GET"],"headers":{"x":["1"]},"service":{"id":"4e13f54a-bbf1-47a8-8777-255fed7116f2"}}"#,
    br#"{"name":"u","hash_on":"header","hash_on_header":"x","slots":10,"healthchecks":{"active":{"http_path":"/"}}}"#,
    br#"{"cert":"-----BEGIN CERTIFICATE-----","key":"x","snis":["a.test"]}"#,
    br#"{"username":"c","custom_id":null,"tags":[]}"#,
    br#"{"target":"[::1]:80","weight":100}"#,
];

pub const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"[]",
    b"{}",
    b"\"\"",
    b":",
    b",",
    b"-1",
    b"1e308",
    b"0.5",
    b"{vault://env/x}",
    b"\"id\":",
    b"\"tags\":",
    b"\"name\":",
    b"\"paths\":",
    b"~",
    b"(((((",
    b"\\u0000",
    b"\xf0\x9f\x98\x80",
    b"[[[[[[[[",
];

/// Any record is valid or refused, by every entity and operation, and what is valid stays valid.
pub fn body(input: &[u8]) {
    let Ok(Value::Object(record)) = serde_json::from_slice(input) else {
        return;
    };
    for schema in entities::all() {
        let mut new_id = || Uuid::from_u128(1);
        let mut context = Context::at(1_700_000_000_000, &mut new_id, &NoSubschemas);
        let inserted = schema.prepare(Operation::Insert, record.clone(), None, &mut context);
        let Ok(stored) = inserted else {
            continue;
        };
        let updated = schema.prepare(
            Operation::Update,
            serde_json::Map::new(),
            Some(&stored),
            &mut context,
        );
        assert!(
            updated.is_ok(),
            "a valid record of {} can not be updated with nothing: {:?}",
            schema.name,
            updated.err()
        );
    }
}
