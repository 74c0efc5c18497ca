//! A data plane: a node that gets its configuration from a control plane.

use schema::{Field, Schema};

use crate::fields;

const SYNC_STATUS: &[&str] = &[
    "unknown",
    "normal",
    "kong_version_incompatible",
    "plugin_set_incompatible",
    "plugin_version_incompatible",
    "filter_set_incompatible",
];

pub(crate) fn schema() -> Schema {
    let expiry = Field::number("When the certificate expires, in seconds since 1970.")
        .timestamp()
        .optional();
    let mut schema = Schema::new(
        "clustering_data_planes",
        "A node that gets its configuration from a control plane.",
    )
    .field_as("id", Field::id().required())
    .field_as(
        "last_seen",
        Field::auto_timestamp("When the node last reported, in seconds since 1970."),
    )
    .field_as("updated_at", fields::updated_at())
    .field_as("ip", fields::ip("The address of the node.").required())
    .field_as(
        "config_hash",
        Field::string("The hash of the configuration that the node has.").len_eq(32),
    )
    .field_as(
        "hostname",
        fields::host("The host name of the node.").required(),
    )
    .field_as(
        "version",
        fields::semantic_version("The version of the node."),
    )
    .field_as(
        "sync_status",
        Field::string("Whether the node understands the configuration.")
            .required()
            .default("unknown")
            .one_of(SYNC_STATUS),
    )
    .field_as(
        "labels",
        Field::map("Labels of the node.", Field::string(""), Field::string("")),
    )
    .field_as(
        "cert_details",
        Field::record(
            "Facts about the certificate of the node.",
            vec![("expiry_timestamp", expiry)],
        )
        .required(),
    )
    .field_as(
        "rpc_capabilities",
        Field::set("Remote calls that the node understands.", Field::string("")),
    );
    schema.admin_path = "clustering/data-planes";
    schema.admin_nested_path = "clustering/data-planes";
    schema.workspaceable = false;
    schema.ttl = true;
    schema.admin_api = false;
    schema.export = false;
    schema
}
