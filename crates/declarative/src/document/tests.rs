use serde_json::{Value, json};

use super::{Document, Format};

fn read(text: &str, format: Format) -> Result<Value, String> {
    Document::read(text.as_bytes(), format)
        .map(|document| Value::Object(document.value))
        .map_err(|errors| errors.to_string())
}

#[test]
fn json_and_yaml_give_the_same_tree() {
    let expected =
        json!({"_format_version": "3.0", "services": [{"name": "a", "port": 80, "tags": null}]});
    let json =
        r#"{"_format_version": "3.0", "services": [{"name": "a", "port": 80, "tags": null}]}"#;
    let yaml = "_format_version: '3.0'\nservices:\n- name: a\n  port: 80\n  tags: ~\n";
    for (text, format) in [
        (json, Format::Json),
        (json, Format::Auto),
        (json, Format::Yaml),
    ] {
        assert_eq!(read(text, format), Ok(expected.clone()));
    }
    assert_eq!(read(yaml, Format::Yaml), Ok(expected.clone()));
    assert_eq!(read(yaml, Format::Auto), Ok(expected));
    assert!(read(yaml, Format::Json).is_err());
}

#[test]
fn anchors_and_merge_keys_repeat_what_they_name() {
    let text = "
base: &base {host: a, port: 1}
more: &more {path: /}
services:
- <<: *base
  port: 2
- <<: [*base, *more]
- *more
";
    let tree = read(text, Format::Yaml).unwrap();
    let expected =
        json!([{"host": "a", "port": 2}, {"host": "a", "port": 1, "path": "/"}, {"path": "/"}]);
    assert_eq!(tree["services"], expected);
}

#[test]
fn refuses_what_is_no_object_or_not_well_formed() {
    let cases = [
        (
            "bobby tables",
            "failed parsing declarative configuration: expected an object",
        ),
        (
            "",
            "failed parsing declarative configuration: expected an object",
        ),
        (
            "[1]",
            "failed parsing declarative configuration: expected an object",
        ),
        ("a: !tag {b: c}", "tag"),
        ("a: [", "failed parsing declarative configuration: "),
        ("? [a]\n: b", "a key that is not a text"),
        ("a: .nan", "not finite"),
        ("a: 1\n---\nb: 2", "more than one document"),
        ("a: *unknown", "failed parsing declarative configuration: "),
    ];
    for (text, expected) in cases {
        let error = read(text, Format::Auto).unwrap_err();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    assert!(Document::read(b"a: \xff", Format::Auto).is_err());
}

#[test]
fn refuses_deep_trees_and_alias_bombs() {
    let deep = "[".repeat(10_000);
    assert!(read(&deep, Format::Auto).is_err());
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(500), "]".repeat(500));
    assert!(read(&deep, Format::Auto).is_err());
    let recursive = "a: &a [*a]";
    assert!(read(recursive, Format::Yaml).is_err());
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    assert!(read(&bomb, Format::Yaml).is_err());
}

#[test]
fn the_hash_is_that_of_the_text() {
    let hash = |text: &str| {
        Document::read(text.as_bytes(), Format::Auto)
            .unwrap()
            .hash()
            .to_owned()
    };
    assert_eq!(hash("a: 1"), hash("a: 1"));
    assert_ne!(hash("a: 1"), hash("a: 2"));
    assert_eq!(hash("a: 1").len(), 32);
}

#[test]
fn the_file_name_says_the_format() {
    let of = |name: &str| Format::of_file(name.as_ref()).map_err(|errors| errors.to_string());
    assert_eq!(of("x/kong.yml"), Ok(Format::Yaml));
    assert_eq!(of("kong.yaml"), Ok(Format::Yaml));
    assert_eq!(of("kong.json"), Ok(Format::Json));
    let error = of("kong.lua").unwrap_err();
    assert_eq!(
        error,
        "unknown file type: kong.lua. (Accepted types: json, yaml)"
    );
}
