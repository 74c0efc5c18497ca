use http::header::HeaderValue;
use serde_json::json;

use super::*;

fn headers(media_type: &str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap())])
}

#[track_caller]
fn check_form(form: &str, expected: Value) {
    let decoded = form::decode(split(form).unwrap()).unwrap();
    assert_eq!(Value::Object(decoded), expected, "{form}");
}

#[tokio::test]
async fn json_is_taken_as_it_is() {
    let body = Bytes::from_static(br#"{"a.b": 1, "c": "first", "c": "last"}"#);
    let decoded = decode_body(Encoding::Json, &headers("application/json"), body)
        .await
        .unwrap();
    assert_eq!(Value::Object(decoded), json!({ "a.b": 1, "c": "last" }));
}

#[tokio::test]
async fn json_that_is_no_object_is_refused() {
    for body in ["", "{", "[1]", "null", "1", "{} trailing", "{a: 1}"] {
        let decoded = decode_body(Encoding::Json, &HeaderMap::new(), Bytes::from(body)).await;
        assert!(matches!(decoded, Err(Error::Json)), "{body}");
    }
}

#[tokio::test]
async fn json_that_nests_without_end_is_refused() {
    let body = Bytes::from("{\"a\":".repeat(100_000));
    assert!(
        decode_body(Encoding::Json, &HeaderMap::new(), body)
            .await
            .is_err()
    );
}

#[test]
fn fields_of_a_form_make_lists_maps_and_records() {
    check_form(
        "hosts[]=a&hosts[]=b&methods=GET&methods=POST&paths[1]=/x&paths[2]=/y",
        json!({
            "hosts": ["a", "b"], "methods": ["GET", "POST"], "paths": ["/x", "/y"],
        }),
    );
    check_form(
        "config.add.headers[]=x&config.add.headers[]=y&config.minute=5",
        json!({
            "config": { "add": { "headers": ["x", "y"] }, "minute": "5" },
        }),
    );
    check_form(
        "headers.X-A=1&headers.X-A=2&headers.X-B[1]=3",
        json!({ "headers": { "X-A": ["1", "2"], "X-B": ["3"] } }),
    );
    check_form(
        "service.name=s&config[a][b]=c",
        json!({ "service": { "name": "s" }, "config": { "a": { "b": "c" } } }),
    );
    check_form("a[2]=y&a[1]=x", json!({ "a": ["x", "y"] }));
    check_form(
        "a[1].b=x&a[1].c=y&a[2].b=z",
        json!({ "a": [{ "b": "x", "c": "y" }, { "b": "z" }] }),
    );
}

#[test]
fn a_field_without_a_value_is_true_and_one_without_a_name_is_dropped() {
    check_form("flag&text=&=x&", json!({ "flag": true, "text": "" }));
}

#[test]
fn names_and_values_of_a_form_are_decoded() {
    check_form(
        "a%5B%5D=1+2&b=%C3%B6%zz",
        json!({ "a": ["1 2"], "b": "ö%zz" }),
    );
}

#[test]
fn odd_names_of_a_form_stay_what_they_are() {
    check_form(".a=1", json!({ ".a": "1" }));
    check_form("a.=1", json!({ "a.": "1" }));
    check_form("[a]=1", json!({ "[a]": "1" }));
}

#[test]
fn a_name_that_nests_without_end_is_refused() {
    for name in [
        "a.".repeat(100_000) + "b",
        "a".to_owned() + &"[b]".repeat(100_000),
    ] {
        let decoded = form::decode(vec![(name, FieldValue::Present)]);
        assert!(matches!(decoded, Err(Error::TooDeep)));
    }
}

#[test]
fn more_than_a_thousand_fields_are_refused() {
    assert!(split(&"a=1&".repeat(1000)).is_ok());
    assert!(matches!(split(&"a=1&".repeat(1001)), Err(Error::TooMany)));
}

#[tokio::test]
async fn a_multipart_body_is_read_like_a_form() {
    let body = "--XYZ\r\nContent-Disposition: form-data; name=\"config.a\"\r\n\r\n1\r\n\
                --XYZ\r\nContent-Disposition: form-data; name=\"f\"; filename=\"u.txt\"\r\nContent-Type: text/plain\r\n\r\n\
                from file\r\n--XYZ--\r\n";
    let headers = headers("multipart/form-data; boundary=\"XYZ\"");
    let decoded = decode_body(Encoding::Multipart, &headers, Bytes::from(body))
        .await
        .unwrap();
    assert_eq!(
        Value::Object(decoded),
        json!({ "config": { "a": "1" }, "f": "from file" })
    );
}

#[tokio::test]
async fn a_multipart_body_may_have_no_parts_but_needs_an_end() {
    let headers = headers("multipart/form-data; boundary=XYZ");
    let none = decode_body(
        Encoding::Multipart,
        &headers,
        Bytes::from_static(b"--XYZ--\r\n"),
    )
    .await;
    assert_eq!(none.unwrap(), Map::new());
    let cut = decode_body(
        Encoding::Multipart,
        &headers,
        Bytes::from_static(b"--XYZ\r\nContent-"),
    )
    .await;
    assert!(matches!(cut, Err(Error::Multipart)));
}

#[test]
fn the_media_type_is_matched_by_letter_case() {
    assert_eq!(
        encoding(&headers("application/json; charset=utf-8"), false).unwrap(),
        Encoding::Json
    );
    for media_type in ["Application/JSON", "text/plain", "application/yaml", ""] {
        assert!(
            encoding(&headers(media_type), false).is_err(),
            "{media_type}"
        );
    }
    assert_eq!(
        encoding(&headers("application/yaml"), true).unwrap(),
        Encoding::Yaml
    );
}

#[test]
fn without_a_body_no_media_type_is_needed() {
    assert_eq!(encoding(&HeaderMap::new(), false).unwrap(), Encoding::None);
    let length = |value| HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from_static(value))]);
    assert_eq!(encoding(&length("0"), false).unwrap(), Encoding::None);
    assert!(encoding(&length("5"), false).is_err());
}
