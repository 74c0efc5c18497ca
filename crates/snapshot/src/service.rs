//! Services: where requests of their routes go.

use std::time::Duration;

use router::Protocol;
use schema::Record;
use uuid::Uuid;

use crate::Error;
use crate::read::Reader;

/// Where requests go, and how the gateway talks to what is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    pub id: Uuid,
    pub name: Option<Box<str>>,
    pub protocol: Protocol,
    /// A host name, an address, or the name of an upstream.
    pub host: Box<str>,
    pub port: u16,
    pub path: Option<Box<str>>,
    /// How often a request is tried again.
    pub retries: u32,
    pub connect_timeout: Duration,
    /// Between two successive writes.
    pub write_timeout: Duration,
    /// Between two successive reads.
    pub read_timeout: Duration,
    /// `None`: as the node's settings say.
    pub tls_verify: Option<bool>,
    pub tls_verify_depth: Option<u32>,
    /// Who may have signed the upstream's certificate; empty: as the node's settings say.
    pub ca_certificates: Box<[Uuid]>,
    pub client_certificate: Option<Uuid>,
    /// The routes of a disabled service match nothing.
    pub enabled: bool,
}

impl Service {
    pub(crate) fn read(record: &Record) -> Result<Self, Error> {
        let fields = Reader(record);
        let protocol = fields.text("protocol")?;
        let protocol = Protocol::parse(protocol).ok_or_else(|| Error::Value {
            field: "protocol",
            value: protocol.to_owned(),
        })?;
        let ca_certificates = fields
            .texts("ca_certificates")
            .filter_map(|id| Uuid::parse_str(id).ok());
        Ok(Self {
            id: fields.id()?,
            name: fields.optional_text("name").map(Into::into),
            protocol,
            host: fields.text("host")?.into(),
            port: fields.number("port")?,
            path: fields.optional_text("path").map(Into::into),
            retries: fields.number("retries").unwrap_or(5),
            connect_timeout: fields.millis("connect_timeout", 60_000),
            write_timeout: fields.millis("write_timeout", 60_000),
            read_timeout: fields.millis("read_timeout", 60_000),
            tls_verify: fields.optional_flag("tls_verify"),
            tls_verify_depth: fields.number("tls_verify_depth").ok(),
            ca_certificates: ca_certificates.collect(),
            client_certificate: fields.foreign("client_certificate")?,
            enabled: fields.flag("enabled", true),
        })
    }
}
