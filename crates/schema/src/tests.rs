//! The language at its edges; the core entities test it in their own crate.

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

const NOW_MILLIS: i64 = 1_700_000_000_123;

fn record(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        other => panic!("{other} is no record"),
    }
}

/// Prepares a record with ids that count up from one.
fn prepare(
    schema: &Schema,
    operation: Operation,
    input: Value,
    stored: Option<Value>,
) -> (Result<Value, Violations>, Vec<String>) {
    let mut last = 0;
    let mut new_id = || {
        last += 1;
        Uuid::from_u128(last)
    };
    let mut context = Context::at(NOW_MILLIS, &mut new_id, &NoSubschemas);
    let stored = stored.map(record);
    let prepared = schema
        .prepare(operation, record(input), stored.as_ref(), &mut context)
        .map(Value::Object);
    (prepared, context.warnings)
}

#[track_caller]
fn check(schema: &Schema, input: Value, errors: Value) {
    let violations = prepare(schema, Operation::Insert, input, None)
        .0
        .expect_err("errors");
    assert_eq!(violations.to_json(), errors);
}

#[track_caller]
fn check_fine(schema: &Schema, input: Value, prepared: Value) {
    assert_eq!(
        prepare(schema, Operation::Insert, input, None).0,
        Ok(prepared)
    );
}

fn one(field: Field) -> Schema {
    Schema::new("things", "A thing.").field_as("a", field)
}

fn text() -> Field {
    Field::string("Text.")
}

#[test]
fn each_rule_says_what_is_wrong() {
    fn negative(value: &Value) -> Result<(), String> {
        if value.as_f64() < Some(0.0) {
            Ok(())
        } else {
            Err("must be negative".to_owned())
        }
    }
    for (field, value, message) in [
        (text(), json!(1), "expected a string"),
        (text(), json!(""), "length must be at least 1"),
        (text().len_min(2), json!("x"), "length must be at least 2"),
        (text().len_max(2), json!("xyz"), "length must be at most 2"),
        (text().len_eq(2), json!("xyz"), "length must be 2"),
        (
            text().one_of(&["a", "b"]),
            json!("c"),
            "expected one of: a, b",
        ),
        (
            text().not_one_of(&["a", "b"]),
            json!("a"),
            "must not be one of: a, b",
        ),
        (text().uuid(), json!("x"), "expected a valid UUID"),
        (text().starts_with("/"), json!("x"), "should start with: /"),
        (text().matches("^%u+$"), json!("get"), "invalid value: get"),
        (
            text().not_match("^%u+$"),
            json!("GET"),
            "invalid value: GET",
        ),
        (
            text().match_none(&[("//", "no slashes")]),
            json!("a//b"),
            "no slashes",
        ),
        (
            text().match_all(&[("a", "no a"), ("b", "no b")]),
            json!("a"),
            "no b",
        ),
        (
            text().match_any(&["a", "b"], Some("neither")),
            json!("c"),
            "neither",
        ),
        (
            text().match_any(&["a", "b"], None),
            json!("c"),
            "invalid value: c",
        ),
        (text().is_regex(), json!("("), "not a valid regex: ("),
        (text().eq("x"), json!("y"), "value must be x"),
        (text().eq(Value::Null), json!("y"), "value must be null"),
        (text().ne("y"), json!("y"), "value must not be y"),
        (text().one_of(&["a"]).error("never"), json!("c"), "never"),
        (
            Field::integer("").between(1, 2),
            json!(3),
            "value should be between 1 and 2",
        ),
        (Field::integer(""), json!(1.5), "expected an integer"),
        (Field::integer(""), json!("1"), "expected an integer"),
        (
            Field::integer("").one_of(&[1, 2]),
            json!(3),
            "expected one of: 1, 2",
        ),
        (
            Field::number("").gt(0),
            json!(0),
            "value must be greater than 0",
        ),
        (
            Field::number("").gt(0.5),
            json!(0.5),
            "value must be greater than 0.5",
        ),
        (
            Field::number("").timestamp(),
            json!(-1),
            "expected a valid timestamp",
        ),
        (
            Field::number("").custom(negative),
            json!(1),
            "must be negative",
        ),
        (Field::number(""), json!(true), "expected a number"),
        (Field::boolean(""), json!("true"), "expected a boolean"),
        (Field::array("", text()), json!("x"), "expected an array"),
        (Field::set("", text()), json!({"x": 1}), "expected a set"),
        (
            Field::set("", text()).contains("x"),
            json!(["y"]),
            "expected to contain: x",
        ),
        (Field::map("", text(), text()), json!("x"), "expected a map"),
        (
            Field::map("", text(), text()),
            json!({"x": 1}),
            "expected a string",
        ),
        (
            Field::map("", text().len_min(2), text()),
            json!({"x": "y"}),
            "length must be at least 2",
        ),
        (
            Field::map("", text(), text()),
            json!({"x": null}),
            "required field missing",
        ),
        (Field::record("", vec![]), json!("x"), "expected a record"),
        (
            Field::set("", text()).mutually_exclusive_subsets(&[&["a", "b"], &["c"]]),
            json!(["b", "c"]),
            "these sets are mutually exclusive: ('a', 'b'), ('c')",
        ),
    ] {
        check(&one(field), json!({ "a": value }), json!({ "a": message }));
    }
}

#[test]
fn values_of_the_declared_type_are_kept() {
    for (field, value, kept) in [
        (
            text().uuid(),
            json!("4B1EF6B2-6D0A-4B52-8B47-1A2B3C4D5E6F"),
            None,
        ),
        (text().len_min(0), json!("x"), None),
        (Field::integer(""), json!(80.0), Some(json!(80))),
        (Field::number(""), json!(0.5), None),
        (Field::array("", text()), json!({}), Some(json!([]))),
        (Field::map("", text(), text()), json!([]), Some(json!({}))),
        (
            Field::set("", text()),
            json!(["a", "b", "a"]),
            Some(json!(["a", "b"])),
        ),
        (
            text().referenceable().len_max(3),
            json!("{vault://env/x}"),
            None,
        ),
    ] {
        check_fine(
            &one(field),
            json!({ "a": value }),
            json!({ "a": kept.unwrap_or(value) }),
        );
    }
}

#[test]
fn absent_fields_get_defaults_or_null_and_required_ones_are_missed() {
    let inner = vec![("b", text().default("x")), ("c", text())];
    let schema = Schema::new("things", "A thing.")
        .field_as("id", Field::id())
        .field_as("created_at", Field::auto_timestamp(""))
        .field_as("updated_at", Field::auto_timestamp_with_millis(""))
        .field_as("key", text().auto())
        .field_as("plain", text())
        .field_as("default", Field::integer("").default(5))
        .field_as("record", Field::record("", inner.clone()).required())
        .field_as("optional", Field::record("", inner));
    check_fine(
        &schema,
        json!({ "default": null }),
        json!({
            "id": "00000000-0000-0000-0000-000000000001",
            "created_at": 1_700_000_000,
            "updated_at": 1_700_000_000.123,
            "key": "00000000000000000000000000000002",
            "plain": null,
            "default": null,
            "record": { "b": "x", "c": null },
            "optional": null,
        }),
    );
    check(
        &one(text().required()),
        json!({}),
        json!({ "a": "required field missing" }),
    );
    check(
        &one(text().required()),
        json!({ "a": null }),
        json!({ "a": "required field missing" }),
    );
    check(
        &one(text()),
        json!({ "b": null }),
        json!({ "b": "unknown field" }),
    );
}

#[test]
fn a_field_that_is_never_null_may_be_left_out() {
    let schema = one(Field::integer("").default(5).never_null());
    check_fine(&schema, json!({}), json!({ "a": 5 }));
    check(
        &schema,
        json!({ "a": null }),
        json!({ "a": "value must not be null" }),
    );
    // Kong leaves it to its database, so `/schemas` does not tell.
    assert_eq!(schema.to_json()["fields"][0]["a"].get("ne"), None);
}

#[test]
fn text_with_a_nul_is_refused_wherever_it_is() {
    let error = "the character NUL cannot be stored";
    let given = json!({ "a": "x\0" });
    check(&one(text()), given.clone(), json!({ "a": error }));
    let reference = json!({ "a": "{vault://env/x\0}" });
    check(
        &one(text().referenceable()),
        reference,
        json!({ "a": error }),
    );
    let list = one(Field::array("", text()));
    check(&list, json!({ "a": ["x\0"] }), json!({ "a": [error] }));
    let map = one(Field::map("", text(), text()));
    check(&map, json!({ "a": { "\0": "x" } }), json!({ "a": error }));
}

#[test]
fn an_id_cannot_be_emptied() {
    let schema = Schema::new("things", "A thing.").field_as("id", Field::id());
    let id = json!({ "id": "00000000-0000-0000-0000-000000000001" });
    check_fine(&schema, json!({ "id": null }), id.clone());
    let (updated, _) = prepare(
        &schema,
        Operation::Update,
        json!({ "id": null }),
        Some(id.clone()),
    );
    assert_eq!(updated, Ok(id));
}

#[test]
fn elements_are_checked_one_by_one() {
    let schema = one(Field::array("", Field::integer("")));
    check(
        &schema,
        json!({ "a": [1, "x", null] }),
        json!({
            "a": [null, "expected an integer", "required field missing"],
        }),
    );
}

#[test]
fn messages_sum_up_the_tree() {
    let mut violations = Violations::of("port", "expected an integer");
    assert_eq!(
        violations.message(),
        "schema violation (port: expected an integer)"
    );
    violations.push_entity("all is lost");
    violations.insert("paths", json!([null, "bad"]));
    violations.insert(
        "nested",
        json!({ "b": { "c": "worse" }, "a": "bad", "@entity": ["wrong"] }),
    );
    assert_eq!(
        violations.message(),
        "6 schema violations (all is lost; nested.@entity: {\n  \"wrong\"\n}; nested.a: bad; \
         nested.b: {\n  c = \"worse\"\n}; paths.2: bad; port: expected an integer)"
    );
}

#[test]
fn tables_are_written_as_lua_writes_them() {
    assert_eq!(
        write_table_inline(&json!({ "name": "x", "id": 5 })),
        r#"{id=5,name="x"}"#
    );
    assert_eq!(
        write_table_inline(&json!({ "a-b": null, "end": true })),
        r#"{["a-b"]=null,["end"]=true}"#
    );
    assert_eq!(
        write_table_inline(&json!({ "a": "x\"y\\" })),
        r#"{a="x\"y\\"}"#
    );
    assert_eq!(write_table(&json!([null, "x"])), "{\n  [2] = \"x\"\n}");
    assert_eq!(
        write_table(&json!({ "a": ["x", "y"], "b": {} })),
        "{\n  a = {\n    \"x\",\n    \"y\"\n  },\n  b = {}\n}"
    );
}

#[test]
fn patterns_match_as_in_lua() {
    for (pattern, matching, other) in [
        ("^[a-z][a-z%d-]-[a-z%d]+$", "my-env", "env-"),
        ("^%*%.", "*.a", "a.*"),
        ("%.%*$", "a.*", "*.a"),
        ("^[^*]*%*?[^*]*$", "a*b", "a*b*"),
        ("%w*%p*@+%w*%.?%w*", "a.b@c.d", "a.b"),
        ("^[%a_-][%a%d_-]*$", "_a1-", "1a"),
        ("^(a|b)$", "a|b", "a"),
        ("^[]a]+$", "]a", "b"),
        ("^%S+$", "ab", "a b"),
        ("^.$", "\n", ""),
        ("^a$b", "a$b", "a"),
    ] {
        let pattern = Pattern::new(pattern);
        assert!(pattern.is_valid(), "{}", pattern.as_str());
        assert!(
            pattern.is_match(matching),
            "{} and {matching}",
            pattern.as_str()
        );
        assert!(!pattern.is_match(other), "{} and {other}", pattern.as_str());
    }
    for pattern in ["%b()", "%f[a]", "(a)%1", "[a", "%"] {
        assert!(!Pattern::new(pattern).is_valid(), "{pattern}");
    }
}

fn pair(checked: Check) -> Schema {
    Schema::new("things", "A thing.")
        .field_as("a", text())
        .field_as("b", text())
        .check(checked)
}

#[test]
fn checks_over_several_fields_report_about_the_record() {
    let both = json!({ "a": "x", "b": "x" });
    for (checked, input, message) in
        [
            (
                Check::at_least_one_of(&["a", "b"]),
                json!({}),
                "at least one of these fields must be non-empty: 'a', 'b'",
            ),
            (
                Check::only_one_of(&["a", "b"]),
                both.clone(),
                "exactly one of these fields must be non-empty: 'a', 'b'",
            ),
            (
                Check::distinct(&["a", "b"]),
                both.clone(),
                "values of these fields must be distinct: 'a', 'b'",
            ),
            (
                Check::mutually_required(&["a", "b"]),
                json!({ "a": "x" }),
                "all or none of these fields must be set: 'a', 'b'",
            ),
            (
                Check::mutually_exclusive(&["a", "b"]),
                both.clone(),
                "only one or none of these fields must be set: 'a', 'b'",
            ),
            (
                Check::mutually_exclusive_sets(&["a"], &["b"]),
                both.clone(),
                "these sets are mutually exclusive: ('a'), ('b')",
            ),
            (
                Check::custom(&["a"], |_, now| Err(format!("too late: {now}"))),
                both.clone(),
                "too late: 1700000000",
            ),
            (
                Check::conditional_at_least_one_of("a", Field::condition().eq("x"), &["b"]),
                json!({ "a": "x" }),
                "at least one of these fields must be non-empty: 'b'",
            ),
            (
                Check::conditional_at_least_one_of("a", Field::condition().eq("x"), &["b"])
                    .error("need %s"),
                json!({ "a": "x" }),
                "need 'b'",
            ),
            (
                Check::conditional_at_least_one_of("a", Field::condition().eq("x"), &["b"])
                    .otherwise(Field::condition().eq("y"), &["b"], "also need %s"),
                json!({ "a": "y" }),
                "also need 'b'",
            ),
        ]
    {
        check(&pair(checked), input, json!({ "@entity": [message] }));
    }
}

#[test]
fn a_condition_reports_about_the_field_and_the_record() {
    let needs = |then: Field| {
        pair(Check::conditional(
            "a",
            Field::condition().one_of(&["x"]),
            "b",
            then,
        ))
    };
    let failed = "failed conditional validation given value of field 'a'";
    check(
        &needs(Field::condition().required()),
        json!({ "a": "x" }),
        json!({ "@entity": [failed], "b": "required field missing" }),
    );
    check(
        &needs(Field::condition().eq(Value::Null)),
        json!({ "a": "x", "b": "y" }),
        json!({ "@entity": [failed], "b": "value must be null" }),
    );
    check_fine(
        &needs(Field::condition().required()),
        json!({ "a": "z" }),
        json!({ "a": "z", "b": null }),
    );
    // Compat: null meets every condition that does not ask for a value.
    check(
        &needs(Field::condition().required()),
        json!({}),
        json!({ "@entity": [failed], "b": "required field missing" }),
    );
}

#[test]
fn an_update_changes_what_is_given_and_says_so_in_errors() {
    let schema = pair(Check::at_least_one_of(&["a", "b"])).field_as(
        "record",
        Field::record("", vec![("x", text()), ("y", Field::array("", text()))]).required(),
    );
    let stored = json!({ "a": "1", "b": null, "record": { "x": "1", "y": ["1"] } });
    let update = |input: Value| prepare(&schema, Operation::Update, input, Some(stored.clone())).0;
    assert_eq!(
        update(json!({ "b": "2", "record": { "y": ["2"] } })),
        Ok(json!({ "a": "1", "b": "2", "record": { "x": "1", "y": ["2"] } }))
    );
    let violations = update(json!({ "a": null })).expect_err("errors");
    assert_eq!(
        violations.to_json(),
        json!({ "@entity": ["when updating, at least one of these fields must be non-empty: 'a', 'b'"] })
    );
}

fn with_old_name() -> Schema {
    let old = text().deprecated(Deprecation {
        message: "old_host is deprecated",
        removal_in_version: "4.0",
        replaced_with: &[&["redis", "host"]],
        old_default: None,
    });
    let redis = Field::record(
        "",
        vec![("host", text()), ("port", Field::integer("").default(6379))],
    )
    .required();
    Schema::new("things", "A thing.")
        .field_as("redis", redis)
        .shorthand(Shorthand::moved("old_host", old, &["redis", "host"]))
}

#[test]
fn a_deprecated_name_fills_its_replacement_and_warns() {
    let (prepared, warnings) = prepare(
        &with_old_name(),
        Operation::Insert,
        json!({ "old_host": "x" }),
        None,
    );
    assert_eq!(
        prepared,
        Ok(json!({ "redis": { "host": "x", "port": 6379 } }))
    );
    assert_eq!(warnings, ["old_host is deprecated"]);
}

#[test]
fn a_deprecated_name_must_not_contradict_its_replacement() {
    check(
        &with_old_name(),
        json!({ "old_host": "x", "redis": { "host": "y" } }),
        json!({ "old_host": "both deprecated and new field are used but their values mismatch: \
                             old_host = x vs redis.host = y" }),
    );
}

#[test]
fn a_deprecated_name_is_still_shown() {
    let stored = record(json!({ "redis": { "host": "x", "port": 1 } }));
    let shown = with_old_name().present(stored, &NoSubschemas);
    assert_eq!(
        Value::Object(shown),
        json!({ "old_host": "x", "redis": { "host": "x", "port": 1 } })
    );
}

#[test]
fn an_older_record_is_completed_and_cleaned() {
    let schema = with_old_name().field_as("note", text());
    let stored = record(json!({ "redis": { "host": "" }, "note": "", "gone": 1 }));
    let completed = schema.completed(stored, &NoSubschemas);
    assert_eq!(
        Value::Object(completed),
        json!({ "redis": { "host": null, "port": 6379 }, "note": null })
    );
}

#[test]
fn a_transformation_computes_fields_from_what_is_given() {
    let mut schema = Schema::new("things", "A thing.")
        .field_as("a", text())
        .field_as("digest", text());
    schema.transformations = vec![Transformation {
        input: &["a"],
        needs: &[],
        on_write: |values| {
            Ok(Record::from_iter([(
                "digest".to_owned(),
                json!(format!("#{}", values[0])),
            )]))
        },
    }];
    check_fine(
        &schema,
        json!({ "a": "x" }),
        json!({ "a": "x", "digest": "#\"x\"" }),
    );
    let stored = json!({ "a": "x", "digest": "kept" });
    let (updated, _) = prepare(&schema, Operation::Update, json!({}), Some(stored.clone()));
    assert_eq!(updated, Ok(stored));
}

#[test]
fn form_text_becomes_what_the_declaration_says() {
    let schema = Schema::new("things", "A thing.")
        .field_as("integer", Field::integer(""))
        .field_as("number", Field::number(""))
        .field_as("flag", Field::boolean(""))
        .field_as("list", Field::array("", Field::integer("")))
        .field_as("map", Field::map("", text(), Field::boolean("")))
        .field_as("record", Field::record("", vec![("x", Field::integer(""))]))
        .field_as("text", text())
        .field_as("empty", text());
    let mut form = record(json!({
        "integer": "0x10", "number": " 1.5 ", "flag": "true", "list": "3", "map": { "a": "false" },
        "record": { "x": "7" }, "text": "5", "empty": "", "unknown": "1",
    }));
    schema.coerce_form(&mut form, &NoSubschemas);
    assert_eq!(
        Value::Object(form),
        json!({
            "integer": 16, "number": 1.5, "flag": true, "list": [3], "map": { "a": false },
            "record": { "x": 7 }, "text": "5", "empty": null, "unknown": "1",
        })
    );
}

#[test]
fn text_is_a_number_where_lua_says_so() {
    for (text, number) in [
        ("5", Some(json!(5))),
        ("-5", Some(json!(-5))),
        (" 1e3 ", Some(json!(1000.0))),
        (".5", Some(json!(0.5))),
        ("0xfF", Some(json!(255))),
        ("", None),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("5 apples", None),
        ("0x", None),
    ] {
        assert_eq!(number_from_text(text).map(Value::Number), number, "{text}");
    }
}

#[test]
fn a_declaration_is_shown_as_json() {
    let schema = one(Field::set("", text().one_of(&["a"]))
        .required()
        .default(vec!["a"]))
    .field_as("n", Field::number("").between(0.001, 1_000_000))
    .check(Check::conditional(
        "a",
        Field::condition().contains("a"),
        "n",
        Field::condition().required(),
    ));
    assert_eq!(
        schema.declared_json(),
        json!({
            "fields": [
                { "a": {
                    "type": "set",
                    "elements": { "type": "string", "one_of": ["a"], "description": "Text." },
                    "required": true,
                    "default": ["a"],
                } },
                { "n": { "type": "number", "between": [0.001, 1_000_000] } },
            ],
            "entity_checks": [{ "conditional": {
                "if_field": "a", "if_match": { "contains": "a" }, "then_field": "n", "then_match": { "required": true },
            } }],
        })
    );
    assert_eq!(schema.to_json()["fields"][0]["a"]["elements"]["len_min"], 1);
    assert_eq!(
        schema.to_json()["fields"][0]["a"]["elements"]["required"],
        true
    );
}

#[test]
fn conditions_on_nested_fields_show_what_is_implied() {
    let config = Field::record(
        "",
        vec![
            ("by", text()),
            ("mode", text().len_min(0)),
            ("claims", Field::set("", text())),
        ],
    );
    let plugin = Subschema::new("p")
        .field_as("config", config)
        .check(Check::conditional(
            "config.by",
            Field::condition().eq("x"),
            "config.mode",
            Field::condition().required(),
        ))
        .check(Check::conditional(
            "config.mode",
            Field::condition().eq("x"),
            "config.claims",
            Field::condition().contains("x"),
        ));
    let shown = plugin.to_json();
    let conditions = |at: usize| &shown["entity_checks"][at]["conditional"];
    assert_eq!(
        conditions(0)["if_match"],
        json!({ "eq": "x", "len_min": 1 })
    );
    assert_eq!(conditions(0)["then_match"], json!({ "required": true }));
    assert_eq!(conditions(1)["if_match"], json!({ "eq": "x" }));
    let elements = &shown["fields"][0]["config"]["fields"][2]["claims"]["elements"];
    assert_eq!(
        (&elements["len_min"], &elements["required"]),
        (&json!(1), &json!(true))
    );
    let declared = plugin.declared_json();
    let condition = &declared["entity_checks"][0]["conditional"];
    assert_eq!(condition["if_match"], json!({ "eq": "x" }));
}

#[test]
fn how_long_a_record_lives_is_checked_and_shown() {
    let mut schema = one(text());
    schema.ttl = true;
    check(
        &schema,
        json!({ "ttl": "soon" }),
        json!({ "ttl": "expected an integer" }),
    );
    check(
        &schema,
        json!({ "ttl": -1 }),
        json!({ "ttl": "value should be between 0 and 100000000" }),
    );
    check_fine(
        &schema,
        json!({ "ttl": 60 }),
        json!({ "a": null, "ttl": 60 }),
    );
    let shown = |value| Value::Object(schema.present(record(value), &NoSubschemas));
    assert_eq!(shown(json!({ "a": "x" })), json!({ "a": "x", "ttl": null }));
    assert_eq!(
        shown(json!({ "a": "x", "ttl": 9 })),
        json!({ "a": "x", "ttl": 9 })
    );
}
