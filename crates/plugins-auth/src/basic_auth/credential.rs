//! Names and passwords of consumers.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use plugin_api::fields;
use schema::{Field, Record, Schema, Transformation};
use serde_json::Value;

/// The entity `basicauth_credentials`.
pub fn schema() -> Schema {
    let mut schema = Schema::new(
        "basicauth_credentials",
        "A name and a password of a consumer.",
    )
    .field_as("id", Field::id())
    .field_as("created_at", fields::created_at())
    .field_as("consumer", fields::owner("Whose they are."))
    .field_as("username", Field::string("The name.").required().unique())
    .field_as(
        "password",
        Field::string("The password; kept as a hash.")
            .required()
            .encrypted(),
    )
    .field_as("tags", fields::tags());
    schema.endpoint_key = Some("username");
    schema.cache_key = &["username"];
    schema.admin_path = "basic-auths";
    schema.admin_nested_path = "basic-auth";
    schema.transformations.push(Transformation {
        input: &["password"],
        needs: &["consumer.id"],
        on_write: |values| Ok(hashed(values)),
    });
    schema
}

fn hashed(values: &[Value]) -> Record {
    let text = |at: usize| values.get(at).and_then(Value::as_str).unwrap_or_default();
    let stored = hash_password(text(0), text(1));
    Record::from_iter([("password".to_owned(), stored.into())])
}

/// A password as it is stored: SHA-1 over the password and the id of the consumer, in hexadecimal.
///
/// Compat: weak, but what stored credentials are, so that they work as they are
/// (pinned by admin/credentials "basic-auth: the stored password is a hash of password and consumer id").
pub fn hash_password(password: &str, consumer_id: &str) -> String {
    let salted = [password.as_bytes(), consumer_id.as_bytes()].concat();
    let sum = digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted);
    sum.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
