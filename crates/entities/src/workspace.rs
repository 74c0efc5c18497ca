//! A workspace: the namespace that records belong to. There is one, `default`.

use schema::{Field, Schema};

use crate::fields;

const RESERVED_NAMES: &[&str] = &[
    "workspaces",
    "consumers",
    "certificates",
    "services",
    "routes",
    "snis",
    "upstreams",
    "targets",
    "plugins",
    "tags",
    "ca_certificates",
    "clustering_data_planes",
    "parameters",
    "vaults",
    "key_sets",
    "keys",
    "filter_chains",
];

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new("workspaces", "A namespace for records.")
        .field_as("id", Field::id())
        .field_as(
            "name",
            fields::name("A unique name.")
                .required()
                .len_min(1)
                .not_one_of(RESERVED_NAMES),
        )
        .field_as("comment", Field::string("What it is for."))
        .field_as("created_at", fields::created_at())
        .field_as("updated_at", fields::updated_at())
        .field_as(
            "meta",
            Field::record("Facts that tools keep about it.", Vec::new()).required(),
        )
        .field_as(
            "config",
            Field::record("Settings of the workspace.", Vec::new()).required(),
        );
    schema.endpoint_key = Some("name");
    schema.cache_key = &["name"];
    schema.workspaceable = false;
    schema.admin_api = false;
    schema
}
