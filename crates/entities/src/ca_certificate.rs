//! A CA certificate: a root that certificates are verified with.

use schema::{Check, Field, Record, Schema, Transformation};
use serde_json::Value;

use crate::fields::{self, text};
use crate::pem::Certificate;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new(
        "ca_certificates",
        "A certificate authority that the gateway trusts.",
    )
    .field_as("id", Field::id())
    .field_as("created_at", fields::created_at())
    .field_as("updated_at", fields::updated_at())
    .field_as(
        "cert",
        fields::certificate("The certificate of the authority, in PEM form.").required(),
    )
    .field_as(
        "cert_digest",
        Field::string("The SHA-256 digest of the certificate, in hexadecimal.").unique(),
    )
    .field_as("tags", fields::tags())
    .check(Check::custom(&["cert"], check_authority));
    schema.workspaceable = false;
    schema.transformations = vec![Transformation {
        input: &["cert"],
        needs: &[],
        on_write: digest,
    }];
    schema
}

fn check_authority(record: &Record, now: i64) -> Result<(), String> {
    const TAG: &str = "-----BEGIN CERTIFICATE-----";
    let cert = record.get("cert").map(text).unwrap_or_default();
    if cert.matches(TAG).count() > 1 {
        return Err("please submit only one certificate at a time".to_owned());
    }
    let cert = Certificate::parse(cert)?;
    if cert.not_after() < now {
        return Err("certificate expired, \"Not After\" time is in the past".to_owned());
    }
    if !cert.is_authority() {
        return Err(
            "certificate does not appear to be a CA because it is missing the \"CA\" basic constraint".to_owned()
        );
    }
    Ok(())
}

fn digest(values: &[Value]) -> Result<Record, String> {
    let cert = values.first().map(text).unwrap_or_default();
    let digest = Certificate::parse(cert)?.sha256();
    Ok(Record::from_iter([(
        "cert_digest".to_owned(),
        digest.into(),
    )]))
}
