use proptest::prelude::*;
use schema::Record;
use serde_json::{Value, json};

use super::{write_items, write_name};
use crate::{Document, Format};

fn written(records: &[Record]) -> String {
    let mut out = String::new();
    write_name(&mut out, "things");
    write_items(&mut out, records);
    out
}

fn read_back(text: &str) -> Value {
    let document = Document::read(text.as_bytes(), Format::Yaml).unwrap();
    document.value["things"].clone()
}

#[test]
fn reads_as_a_person_would_write_it() {
    let record = json!({
        "name": "example", "port": 80, "ratio": 0.5, "enabled": true, "path": "/a/b", "none": null,
        "paths": ["/x", "~/\\d+$"], "empty": [], "config": {"deep": {"list": [{"a": 1, "b": 2}]}, "none": {}},
        "cert": "-----BEGIN-----\nabc\n-----END-----\n", "version": "3.0", "word": "No",
    });
    let expected = r#"things:
- cert: |
    -----BEGIN-----
    abc
    -----END-----
  config:
    deep:
      list:
      - a: 1
        b: 2
    none: {}
  empty: []
  enabled: true
  name: example
  none: ~
  path: /a/b
  paths:
  - /x
  - "~/\\d+$"
  port: 80
  ratio: 0.5
  version: "3.0"
  word: "No"
"#;
    let text = written(&[record.as_object().unwrap().clone()]);
    // A list below a field stands one level deeper, a list of the document does not.
    assert_eq!(text.replace("  - ", "- "), expected.replace("  - ", "- "));
    assert_eq!(read_back(&text), json!([record]));
}

#[test]
fn line_breaks_that_only_yaml_knows_are_kept_in_names_and_values() {
    let record = json!({"odd": {"\u{2028}": "\u{85}a\u{2029}b\u{feff}\u{7f}"}});
    let text = written(&[record.as_object().unwrap().clone()]);
    assert_eq!(read_back(&text), json!([record]), "{text}");
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>().prop_filter("merges", |text| text != "<<"),
        "[a-zA-Z0-9_/.~ \n:#'\"-]{0,12}",
        Just("no".to_owned()),
        Just("line\n  indented\n\nend".to_owned()),
        Just("trailing \n lines\n\n".to_owned()),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_is_written_reads_back_the_same(
        fields in prop::collection::btree_map("[a-z _]{1,5}", value(), 1..5)
    ) {
        let record: Record = fields.into_iter().collect();
        let text = written(std::slice::from_ref(&record));
        prop_assert_eq!(read_back(&text), json!([record]), "{}", text);
    }
}
