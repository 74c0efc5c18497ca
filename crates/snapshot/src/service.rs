//! Services: where requests of their routes go.

use std::net::IpAddr;
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
    /// The host, if it is an address. Perf: read once and not for each request.
    address: Option<IpAddr>,
    /// The host with the port, unless that is the protocol's usual one. Perf: as `address`.
    authority: Box<str>,
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
        let (host, port) = (fields.text("host")?, fields.number("port")?);
        Ok(Self {
            id: fields.id()?,
            name: fields.optional_text("name").map(Into::into),
            protocol,
            host: host.into(),
            port,
            address: bare(host).parse().ok(),
            authority: authority(host, port, protocol).into(),
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

    /// The host, if it is an address and not a name.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The value of `Host` for requests that go to this host and port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The service with requests going elsewhere.
    pub fn redirected(&self, protocol: Protocol, host: &str, port: u16) -> Self {
        Self {
            protocol,
            host: host.into(),
            port,
            address: bare(host).parse().ok(),
            authority: authority(host, port, protocol).into(),
            ..self.clone()
        }
    }
}

/// A host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

/// The value of `Host` for a name and a port, which is left out if the protocol implies it.
pub fn authority(name: &str, port: u16, protocol: Protocol) -> String {
    let implied = match protocol {
        Protocol::Http | Protocol::Grpc => 80,
        _ => 443,
    };
    if port == implied {
        return name.to_owned();
    }
    // Perf: targets of upstreams ask for this, and digits take less than the machinery of formatting.
    let units = [10_000, 1_000, 100, 10, 1].into_iter();
    let digits = units
        .filter(|unit| port >= *unit || *unit == 1)
        .filter_map(|unit| char::from_digit(u32::from(port / unit % 10), 10));
    let mut host = String::with_capacity(name.len() + 6);
    host.push_str(name);
    host.push(':');
    host.extend(digits);
    host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_knows_its_address_also_when_it_leads_elsewhere() {
        let record = serde_json::json!({
            "id": Uuid::from_u128(1).to_string(), "protocol": "http", "host": "[::1]", "port": 80,
        });
        let record = record.as_object().expect("an object");
        let service = Service::read(record).expect("a service");
        assert_eq!(
            service.address(),
            Some(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))
        );
        assert_eq!(service.authority(), "[::1]");
        let elsewhere = service.redirected(Protocol::Https, "a.test", 8443);
        assert_eq!(
            (elsewhere.address(), elsewhere.authority()),
            (None, "a.test:8443")
        );
        assert_eq!(
            (&*elsewhere.host, elsewhere.port, elsewhere.id),
            ("a.test", 8443, service.id)
        );
    }

    #[test]
    fn only_the_port_of_the_scheme_is_left_out() {
        assert_eq!(authority("a", 80, Protocol::Http), "a");
        for port in [0, 9, 443, 8000, 65_535] {
            assert_eq!(authority("a", port, Protocol::Http), format!("a:{port}"));
        }
        assert_eq!(authority("a", 80, Protocol::Https), "a:80");
        assert_eq!(authority("[::1]", 443, Protocol::Grpcs), "[::1]");
        assert_eq!((bare("[::1]"), bare("a")), ("::1", "a"));
    }
}
