//! What is packed comes back as it was.

use schema::Field;
use serde_json::json;

use super::*;

fn schema() -> Schema {
    Schema::new("things", "Things.")
        .field_as("id", Field::id())
        .field_as("name", Field::string("Text."))
        .field_as("count", Field::integer("A number.").default(5))
        .field_as("tags", Field::set("Tags.", Field::string("Text.")))
}

#[test]
fn records_come_back_as_they_were() {
    let schema = schema();
    for record in [
        json!({}),
        json!({"id": "x", "name": null, "count": 5, "tags": null}),
        json!({"id": "x", "name": "n", "count": null, "tags": ["a", "b"]}),
        json!({"id": "x", "count": 7, "undeclared": {"deep": [1]}, "7": null}),
    ] {
        let record = record.as_object().cloned().unwrap();
        let packed = Packed::pack(&schema, &record);
        assert_eq!(packed.unpack(&schema).unwrap(), record);
    }
}

#[test]
fn what_the_declaration_says_takes_no_memory() {
    let record = json!({"id": "x", "name": null, "count": 5, "tags": null});
    let packed = Packed::pack(&schema(), record.as_object().unwrap());
    assert_eq!(&*packed.0, r#"[0,"x"]"#);
}

#[test]
fn a_record_of_another_declaration_is_an_error() {
    let record = json!({"id": "x", "name": "n", "count": 1, "tags": ["t"]});
    let packed = Packed::pack(&schema(), record.as_object().unwrap());
    let smaller = Schema::new("smaller", "Less.").field_as("id", Field::id());
    assert!(packed.unpack(&smaller).is_err());
}
