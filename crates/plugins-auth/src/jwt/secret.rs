//! Keys of consumers that tokens are signed with.

use entities::pem::Key;
use plugin_api::fields;
use schema::{Check, Field, Schema};
use serde_json::Value;

/// The entity `jwt_secrets`.
pub fn schema() -> Schema {
    let algorithms = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256",
        "PS384", "PS512", "EdDSA",
    ];
    // Compat: the ES algorithms are not in the list, although they need a public key just as well
    // (pinned by admin/credentials "jwt: EdDSA needs a public key but ES256 does not").
    let with_public_key = [
        "^RS256$", "^RS384$", "^RS512$", "^PS256$", "^PS384$", "^PS512$", "^EdDSA$",
    ];
    let mut schema = Schema::new("jwt_secrets", "A key that a consumer signs tokens with.")
        .field_as("id", Field::id())
        .field_as("created_at", fields::created_at())
        .field_as("consumer", fields::owner("Whose key it is."))
        .field_as(
            "key",
            Field::string("What tokens name the key by; made when it is not given.")
                .optional()
                .unique()
                .auto(),
        )
        .field_as(
            "secret",
            Field::string("The secret of the HS algorithms; made when it is not given.").auto(),
        )
        .field_as(
            "rsa_public_key",
            Field::string("The public key of the other algorithms, in PEM form."),
        )
        .field_as(
            "algorithm",
            Field::string("The only algorithm that tokens of this key may use.")
                .one_of(&algorithms)
                .default("HS256"),
        )
        .field_as("tags", fields::tags())
        .check(Check::conditional(
            "algorithm",
            Field::condition().match_any(&with_public_key, None),
            "rsa_public_key",
            Field::condition().required().custom(check_key),
        ));
    schema.endpoint_key = Some("key");
    schema.cache_key = &["key"];
    schema.admin_path = "jwts";
    schema.admin_nested_path = "jwt";
    schema
}

fn check_key(value: &Value) -> Result<(), String> {
    let text = value.as_str().unwrap_or_default();
    if Key::parse_public(text).is_ok() || Key::parse_private(text).is_ok() {
        return Ok(());
    }
    Err("invalid key".to_owned())
}
