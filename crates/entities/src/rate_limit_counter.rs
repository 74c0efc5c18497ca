//! A counter of rate-limiting with the policy `cluster`.
//!
//! It is no entity: stores keep counters in a table of their own, and nobody edits them. Its declaration is shown, because
//! Kong shows it.

use schema::{Field, Schema};

pub(crate) fn schema() -> Schema {
    let id = |description| Field::string(description).uuid().required();
    let mut schema = Schema::new(
        "ratelimiting_metrics",
        "How many requests rate-limiting has counted in one window.",
    )
    .field_as(
        "identifier",
        Field::string("Whose requests are counted.")
            .required()
            .len_min(0),
    )
    .field_as(
        "period",
        Field::string("The kind of window, such as minute.").required(),
    )
    .field_as(
        "period_date",
        Field::integer("When the window began, in seconds since 1970.")
            .timestamp()
            .required(),
    )
    .field_as("service_id", id("The service that is limited, or zeros."))
    .field_as("route_id", id("The route that is limited, or zeros."))
    .field_as(
        "value",
        Field::integer("How many requests were counted.").required(),
    );
    schema.ttl = true;
    schema.workspaceable = false;
    schema
}
