//! A key: a public key, a private key or both, as a JSON Web Key or in PEM form.

use schema::{Check, Field, Record, Schema, is_reference};
use serde_json::Value;

use crate::fields::{self, text};
use crate::jwk;
use crate::pem::Key;

const FORMATS: &[&str] = &["jwk", "pem"];

pub(crate) fn schema() -> Schema {
    let pem = Field::record(
        "The key in PEM form.",
        vec![
            (
                "private_key",
                Field::string("The private key.")
                    .optional()
                    .referenceable()
                    .encrypted(),
            ),
            (
                "public_key",
                Field::string("The public key.").optional().referenceable(),
            ),
        ],
    );
    let mut schema = Schema::new("keys", "A cryptographic key.")
        .field_as("id", Field::id())
        .field_as(
            "set",
            Field::foreign_to("The key set that it belongs to.", "key_sets")
                .optional()
                .on_delete_cascade(),
        )
        .field_as("name", Field::string("A unique name.").optional().unique())
        .field_as(
            "kid",
            Field::string("The key's id, unique in its set.")
                .required()
                .not_unique(),
        )
        .field_as(
            "jwk",
            Field::string("The key as a JSON Web Key.")
                .referenceable()
                .encrypted(),
        )
        .field_as(
            "pem",
            pem.optional()
                .check(Check::at_least_one_of(&["private_key", "public_key"]))
                .custom(check_pem),
        )
        .field_as("tags", fields::tags())
        .field_as("created_at", fields::created_at())
        .field_as("updated_at", fields::updated_at())
        .check(Check::mutually_exclusive(FORMATS))
        .check(Check::at_least_one_of(FORMATS))
        .check(Check::custom(&["jwk", "pem", "kid"], |record, _| {
            check_formats(record)
        }));
    schema.endpoint_key = Some("name");
    schema.cache_key = &["kid", "set"];
    schema
}

/// Whether the keys are what they claim to be, and belong together.
fn check_pem(value: &Value) -> Result<(), String> {
    let part = |name: &str| value.get(name).filter(|key| !key.is_null());
    let (public, private) = (part("public_key"), part("private_key"));
    if public.into_iter().chain(private).any(is_reference) {
        return Ok(());
    }
    let public = public
        .map(|key| Key::parse_public(text(key)).map_err(|_| "could not load public key".to_owned()))
        .transpose()?;
    let private = private
        .map(|key| {
            Key::parse_private(text(key))
                .map_err(|reason| format!("could not load private key: {reason}"))
        })
        .transpose()?;
    match (public, private) {
        (Some(public), Some(private)) if public.public_key() != private.public_key() => {
            Err("public key does not match private key".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_formats(record: &Record) -> Result<(), String> {
    if let Some(jwk) = record.get("jwk").filter(|jwk| jwk.is_string()) {
        jwk::check(text(jwk), record.get("kid").map(text).unwrap_or_default())?;
    }
    Ok(())
}
