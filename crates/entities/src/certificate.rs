//! A certificate with its key: what the gateway shows to clients, or to upstreams.

use schema::{Check, Field, Record, Schema};

use crate::fields::{self, text};
use crate::pem::{Certificate, Key};

pub(crate) fn schema() -> Schema {
    Schema::new("certificates", "A certificate and its private key.")
        .field_as("id", Field::id())
        .field_as("created_at", fields::created_at())
        .field_as("updated_at", fields::updated_at())
        .field_as(
            "cert",
            fields::certificate("The certificate and its chain, in PEM form.")
                .required()
                .referenceable(),
        )
        .field_as(
            "key",
            fields::key("The private key, in PEM form.")
                .required()
                .referenceable()
                .encrypted(),
        )
        .field_as(
            "cert_alt",
            fields::certificate("A second certificate with a key of another type.")
                .optional()
                .referenceable(),
        )
        .field_as(
            "key_alt",
            fields::key("The private key of the second certificate.")
                .optional()
                .referenceable()
                .encrypted(),
        )
        .field_as("tags", fields::tags())
        .field_as(
            "snis",
            Field::array(
                "The server names that the certificate is shown for.",
                fields::wildcard_host(""),
            )
            .optional()
            .transient(),
        )
        .check(Check::mutually_required(&["cert_alt", "key_alt"]))
        .check(Check::custom(&["cert", "key"], |record, _| {
            check_pair(record, "cert", "key", "certificate does not match key")
        }))
        .check(Check::custom(&["cert_alt", "key_alt"], |record, _| {
            check_pair(
                record,
                "cert_alt",
                "key_alt",
                "alternative certificate does not match key",
            )
        }))
        .check(Check::custom(&["cert", "cert_alt"], |record, _| {
            check_types(record)
        }))
}

fn check_pair(record: &Record, cert: &str, key: &str, mismatch: &str) -> Result<(), String> {
    let (Some(cert), Some(key)) = (given(record, cert), given(record, key)) else {
        return Ok(());
    };
    if Certificate::parse(cert)?.public_key() == Key::parse_private(key)?.public_key() {
        return Ok(());
    }
    Err(mismatch.to_owned())
}

fn check_types(record: &Record) -> Result<(), String> {
    let (Some(cert), Some(alternative)) = (given(record, "cert"), given(record, "cert_alt")) else {
        return Ok(());
    };
    if Certificate::parse(cert)?.key_type() != Certificate::parse(alternative)?.key_type() {
        return Ok(());
    }
    Err("certificate and alternative certificate need to have different type (e.g. RSA and ECDSA), the provided \
         certificates were both of the same type"
        .to_owned())
}

fn given<'a>(record: &'a Record, name: &str) -> Option<&'a str> {
    record.get(name).filter(|value| value.is_string()).map(text)
}
