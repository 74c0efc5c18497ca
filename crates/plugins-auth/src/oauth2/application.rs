//! Applications that may ask for tokens.

use std::num::NonZeroU32;

use aws_lc_rs::{pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use plugin_api::fields;
use schema::{Field, Record, Schema, Transformation};
use serde_json::Value;

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
    let hash = hash_secret(secret)?;
    Ok(Record::from_iter([(
        "client_secret".to_owned(),
        hash.into(),
    )]))
}

/// A secret as it is stored: PBKDF2 with SHA-512 in the PHC format, with the parameters that Kong uses.
fn hash_secret(secret: &str) -> Result<String, String> {
    const ITERATIONS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
    const LENGTH: usize = 32;
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| "no random bytes".to_owned())?;
    let mut hash = [0; LENGTH];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA512,
        ITERATIONS,
        &salt,
        secret.as_bytes(),
        &mut hash,
    );
    Ok(format!(
        "$pbkdf2-sha512$i={ITERATIONS},l={LENGTH}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    ))
}
