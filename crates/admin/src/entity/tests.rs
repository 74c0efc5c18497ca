use super::*;

#[track_caller]
fn check(ttl: Value, expected: Option<&str>) {
    let mut schema = Schema::new("keys", "");
    schema.ttl = true;
    let body = Record::from_iter([("ttl".to_owned(), ttl)]);
    let refused = check_ttl(&schema, &body)
        .err()
        .map(|error| error.to_string());
    assert_eq!(refused.as_deref(), expected, "{body:?}");
    schema.ttl = false;
    assert!(check_ttl(&schema, &body).is_ok());
}

#[test]
fn a_time_to_live_is_an_option() {
    let wrong = Some("invalid option (ttl: must be an integer between 0 and 100000000)");
    for ttl in [json!(-1), json!(1.5), json!(100_000_001), json!("-1")] {
        check(ttl, wrong);
    }
    for ttl in [
        json!(0),
        json!(60),
        json!("60"),
        json!("x"),
        json!(null),
        json!([]),
    ] {
        check(ttl, None);
    }
}
