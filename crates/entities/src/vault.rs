//! A vault: where secrets come from that settings refer to as `{vault://prefix/name}`.

use schema::{Field, Schema, Subschema, SubschemaKey};

use crate::fields;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new("vaults", "A source of secrets.")
        .field_as("id", Field::id())
        .field_as(
            "prefix",
            Field::string("The unique first part of references to its secrets.")
                .required()
                .unique_across_workspaces()
                .matches("^[a-z][a-z%d-]-[a-z%d]+$")
                .not_one_of(&["env"]),
        )
        .field_as(
            "name",
            Field::string("Which sort of vault it is.").required(),
        )
        .field_as("description", Field::string("What it is for."))
        .field_as(
            "config",
            Field::abstract_record("The settings of the vault."),
        )
        .field_as("created_at", fields::created_at())
        .field_as("updated_at", fields::updated_at())
        .field_as("tags", fields::tags());
    schema.table = "sm_vaults";
    schema.endpoint_key = Some("prefix");
    schema.cache_key = &["prefix"];
    schema.subschema = Some(SubschemaKey {
        field: "name",
        error: "vault '%s' is not installed",
        choices: Vec::new(),
    });
    schema
}

/// Secrets in environment variables.
pub(crate) fn env() -> Subschema {
    let prefix =
        Field::string("What the names of the variables begin with.").matches("^[%a_-][%a%d_-]*$");
    Subschema::new("env").field_as(
        "config",
        Field::record(
            "Which environment variables hold the secrets.",
            vec![("prefix", prefix)],
        )
        .required(),
    )
}
