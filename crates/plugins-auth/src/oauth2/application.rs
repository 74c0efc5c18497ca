//! Applications that may ask for tokens.

use plugin_api::fields;
use schema::{Field, Record, Schema, Transformation};
use serde_json::Value;

use super::secret;

/// The entity `oauth2_credentials`.
pub fn schema() -> Schema {
    let mut schema = Schema::new("oauth2_credentials", "An application of a consumer.")
        .field_as("id", Field::id())
        .field_as("created_at", fields::created_at())
        .field_as("consumer", fields::owner("Whose application it is."))
        .field_as(
            "name",
            Field::string("The name of the application.").required(),
        )
        .field_as(
            "client_id",
            Field::string("What the application calls itself; made when it is not given.")
                .optional()
                .unique()
                .auto(),
        )
        .field_as(
            "client_secret",
            Field::string("The secret of the application; made when it is not given.")
                .optional()
                .auto()
                .encrypted(),
        )
        .field_as(
            "hash_secret",
            Field::boolean("Whether the secret is kept as a hash.")
                .required()
                .default(false),
        )
        .field_as(
            "redirect_uris",
            Field::array(
                "Where clients may be sent back to.",
                Field::string("").custom(check_uri),
            )
            .optional(),
        )
        .field_as("tags", fields::tags())
        .field_as(
            "client_type",
            Field::string("Whether the application can keep a secret.")
                .required()
                .one_of(&["confidential", "public"])
                .default("confidential"),
        );
    schema.endpoint_key = Some("client_id");
    schema.cache_key = &["client_id"];
    schema.admin_path = "oauth2";
    schema.admin_nested_path = "oauth2";
    schema.transformations.push(Transformation {
        input: &["hash_secret"],
        needs: &["client_secret"],
        on_write: hashed,
    });
    schema
}

fn check_uri(value: &Value) -> Result<(), String> {
    let uri = value.as_str().unwrap_or_default();
    let host = uri
        .split_once("://")
        .filter(|(scheme, _)| !scheme.is_empty())
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    if host.is_none_or(str::is_empty) {
        return Err(format!("cannot parse '{uri}'"));
    }
    if uri.contains('#') {
        return Err(format!("fragment not allowed in '{uri}'"));
    }
    Ok(())
}

fn hashed(values: &[Value]) -> Result<Record, String> {
    let [Value::Bool(true), Value::String(secret)] = values else {
        return Ok(Record::new());
    };
    let hash = secret::hash(secret)?;
    Ok(Record::from_iter([(
        "client_secret".to_owned(),
        hash.into(),
    )]))
}
