//! Bodies of the Admin API in every encoding, through the validation of every entity.

use admin::arguments::{decode_body, decode_query, encoding};
use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use schema::{Context, Operation, Record};
use uuid::Uuid;

pub const BODIES: &[&[u8]] = &[
    br#"{"name":"s","url":"http://a.test:81/x","tags":["a"],"retries":5,"protocol":"http"}"#,
    br#"{"paths":["/a","~/b$"],"hosts":["*.a.test"],"methods":["GET"],"headers":{"x":["1"]},"service":{"id":"4e13f54a-bbf1-47a8-8777-255fed7116f2"}}"#,
    br#"{"name":"u","hash_on":"header","hash_on_header":"x","slots":10,"healthchecks":{"active":{"http_path":"/"}}}"#,
    br#"{"cert":"-----BEGIN CERTIFICATE-----","key":"x","snis":["a.test"]}"#,
    br#"{"username":"c","custom_id":null,"tags":[]}"#,
    br#"{"target":"[::1]:80","weight":100}"#,
    b"name=s&url=http%3A%2F%2Fa.test&tags[]=a&tags[]=b&retries=5",
    b"paths[1]=/a&paths[2]=/b&headers.x[]=1&service.id=4e13f54a-bbf1-47a8-8777-255fed7116f2&hosts=",
    b"--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\ns\r\n--b\r\nContent-Disposition: form-data; name=\"tags[1]\"\r\n\r\na\r\n--b--\r\n",
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
    b"[1]",
    b"[]",
    b"[99999999999]",
    b".a.b",
    b"&",
    b"=",
    b"%5B",
    b"+",
    b"--b\r\n",
    b"--b--",
    b"\r\n\r\n",
    b"\\u0000",
    b"\xf0\x9f\x98\x80",
    b"[[[[[[[[",
];

const MEDIA_TYPES: [&str; 3] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
];

/// Any bytes are a record or an error in any encoding; any record is valid or refused, by every entity; and what is
/// valid stays valid.
pub fn body(input: &[u8]) {
    for media_type in MEDIA_TYPES {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))]);
        let Ok(encoding) = encoding(&headers, false) else {
            continue;
        };
        // The whole body is there, so that nothing is waited for.
        let decoded = decode_body(encoding, &headers, Bytes::copy_from_slice(input)).now_or_never();
        if let Some(Ok(record)) = decoded {
            validate(&record, encoding.is_form());
        }
    }
    // What is wrong with a query is told; it must only be told.
    let _ = decode_query(std::str::from_utf8(input).ok());
}

fn validate(record: &Record, is_form: bool) {
    let subschemas = entities::for_flavor(entities::RouterFlavor::default());
    for schema in entities::all() {
        let mut record = record.clone();
        if is_form {
            schema.coerce_form(&mut record, subschemas);
        }
        let mut new_id = || Uuid::from_u128(1);
        let mut context = Context::at(1_700_000_000_000, &mut new_id, subschemas);
        let Ok(stored) = schema.prepare(Operation::Insert, record, None, &mut context) else {
            continue;
        };
        let updated = schema.prepare(
            Operation::Update,
            Record::new(),
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
