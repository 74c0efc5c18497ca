//! An SNI: a server name that a certificate is shown for.

use schema::{Field, Schema};

use crate::fields;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new(
        "snis",
        "A server name and the certificate that is shown for it.",
    )
    .field_as("id", Field::id())
    .field_as(
        "name",
        fields::wildcard_host("The server name; its first or last label may be a wildcard.")
            .required()
            .unique_across_workspaces(),
    )
    .field_as("created_at", fields::created_at())
    .field_as("updated_at", fields::updated_at())
    .field_as("tags", fields::tags())
    .field_as(
        "certificate",
        Field::foreign_to("The certificate.", "certificates").required(),
    );
    schema.endpoint_key = Some("name");
    schema
}
