//! A target: one address that an upstream balances over.

use schema::{Field, Record, Schema, Violations};
use serde_json::Value;

use crate::address::Address;
use crate::fields::{self, text};

/// The port of a target that is given without one.
pub const DEFAULT_PORT: u16 = 8000;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new("targets", "One of the addresses behind an upstream.")
        .field_as("id", Field::id())
        .field_as(
            "created_at",
            Field::auto_timestamp_with_millis(
                "When the record was created, in seconds since 1970.",
            ),
        )
        .field_as(
            "updated_at",
            Field::auto_timestamp_with_millis(
                "When the record was last changed, in seconds since 1970.",
            ),
        )
        .field_as(
            "upstream",
            Field::foreign_to("The upstream.", "upstreams")
                .required()
                .on_delete_cascade(),
        )
        .field_as(
            "target",
            Field::string("A host name or IP address, and a port (8000 if it is not given).")
                .required()
                .custom(validate),
        )
        .field_as(
            "weight",
            Field::integer(
                "Its share of the requests, relative to the weights of the others; 0 takes it out.",
            )
            .default(100)
            .between(0, 65535)
            .never_null(),
        )
        .field_as("tags", fields::tags());
    schema.endpoint_key = Some("target");
    schema.cache_key = &["upstream", "target"];
    schema.rewrite = Some(normalize);
    schema
}

fn validate(target: &Value) -> Result<(), String> {
    let target = text(target);
    Address::parse(target)
        .map(drop)
        .map_err(|_| format!("Invalid target ('{target}'); not a valid hostname or ip address"))
}

/// Brings the address into its normal form, with a port; what is no address is left to validation.
fn normalize(record: &mut Record) -> Result<(), Violations> {
    if let Some(Value::String(target)) = record.get_mut("target")
        && let Ok(address) = Address::parse(target)
    {
        *target = address.with_port(DEFAULT_PORT);
    }
    Ok(())
}
