//! A service: an API behind the gateway, by its address.

use schema::{Check, Field, Record, Schema, Shorthand};
use serde_json::Value;

use crate::fields;

const DEFAULT_PROTOCOL: &str = "http";
const DEFAULT_PORT: u16 = 80;

pub(crate) fn schema() -> Schema {
    let mut schema = Schema::new("services", "An API that the gateway forwards requests to.")
        .field_as("id", Field::id())
        .field_as("created_at", fields::created_at())
        .field_as("updated_at", fields::updated_at())
        .field_as("name", fields::name("A unique name."))
        .field_as(
            "retries",
            Field::integer("How often a request is tried again on another target after a failure.")
                .default(5)
                .between(0, 32767),
        )
        .field_as(
            "protocol",
            fields::protocol("The protocol spoken to the upstream.").required().default(DEFAULT_PROTOCOL),
        )
        .field_as("host", fields::host("The host of the upstream: a DNS name, an IP address, or the name of an upstream.").required())
        .field_as("port", fields::port("The port of the upstream.").required().default(DEFAULT_PORT))
        .field_as("path", fields::path("The path that is put before that of each request."))
        .field_as("connect_timeout", nonzero_timeout("How long connecting to the upstream may take, in milliseconds."))
        .field_as(
            "write_timeout",
            nonzero_timeout("The longest pause between two writes to the upstream, in milliseconds."),
        )
        .field_as(
            "read_timeout",
            nonzero_timeout("The longest pause between two reads from the upstream, in milliseconds."),
        )
        .field_as("tags", fields::tags())
        .field_as(
            "client_certificate",
            Field::foreign_to("The certificate that the gateway shows to the upstream.", "certificates"),
        )
        .field_as(
            "tls_verify",
            Field::boolean("Whether the upstream's certificate is verified; the settings decide if this is null."),
        )
        .field_as(
            "tls_verify_depth",
            Field::integer("The longest chain of certificates that is accepted from the upstream.")
                .default(Value::Null)
                .between(0, 64),
        )
        .field_as(
            "ca_certificates",
            Field::array(
                "The ids of the CA certificates that the upstream's certificate is verified with.",
                Field::string("").uuid(),
            ),
        )
        .field_as("enabled", Field::boolean("Whether requests are forwarded at all.").required().default(true));
    schema = schema.check(Check::conditional(
        "protocol",
        Field::condition().one_of(&["tcp", "tls", "udp", "grpc", "grpcs"]),
        "path",
        Field::condition().eq(Value::Null),
    ));
    for tls_only in [
        "client_certificate",
        "tls_verify",
        "tls_verify_depth",
        "ca_certificates",
    ] {
        schema = schema.check(Check::conditional(
            "protocol",
            Field::condition().not_one_of(&["https", "tls"]),
            tls_only,
            Field::condition().eq(Value::Null),
        ));
    }
    schema.endpoint_key = Some("name");
    schema.shorthand(Shorthand::new(
        "url",
        Field::string("Protocol, host, port and path in one."),
        expand_url,
    ))
}

fn nonzero_timeout(description: &'static str) -> Field {
    Field::integer(description)
        .default(60000)
        .between(1, 2_147_483_646)
}

/// The parts of a URL that a service has fields for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UrlParts<'a> {
    pub scheme: Option<&'a str>,
    pub host: Option<&'a str>,
    pub port: Option<&'a str>,
    pub path: Option<&'a str>,
}

/// Splits a URL the lenient way: anything that is not there is left out, and nothing is refused but empty text.
pub(crate) fn split_url(url: &str) -> Option<UrlParts<'_>> {
    if url.is_empty() {
        return None;
    }
    let (scheme, rest) = split_scheme(url);
    let (authority, rest) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        None => (None, rest),
    };
    let path = rest
        .split(['#', '?', ';'])
        .next()
        .filter(|path| !path.is_empty());
    let address = authority.map(|authority| {
        authority
            .split_once('@')
            .map_or(authority, |(_, address)| address)
    });
    let (host, port) = match address {
        None => (None, None),
        Some(address) => split_port(address),
    };
    Some(UrlParts {
        scheme,
        host: host.filter(|host| !host.is_empty()),
        port,
        path,
    })
}

fn split_scheme(url: &str) -> (Option<&str>, &str) {
    let scheme = |text: &str| {
        text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    };
    match url.split_once(':') {
        Some((before, rest)) if scheme(before) => (Some(before), rest),
        _ => (None, url),
    }
}

fn split_port(address: &str) -> (Option<&str>, Option<&str>) {
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    };
    let inner = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .filter(|host| !host.is_empty());
    (Some(inner.unwrap_or(host)), port)
}

/// `url` as protocol, host, port and path.
///
/// Compat: `null` is read as the text that Lua prints for it, so that it empties host and path and breaks the protocol
/// (`services` in the tests).
fn expand_url(value: &Value) -> Option<Record> {
    let url = value.as_str().unwrap_or("userdata: NULL");
    let parts = split_url(url)?;
    let port = parts
        .port
        .and_then(schema::number_from_text)
        .map(Value::Number);
    let number = port.as_ref().and_then(Value::as_f64);
    let implied = match number {
        Some(80.0) => Some("http"),
        Some(443.0) => Some("https"),
        _ => None,
    };
    let protocol = parts.scheme.or(implied).unwrap_or(DEFAULT_PROTOCOL);
    let port = port
        .or_else(|| parts.port.map(Value::from))
        .unwrap_or_else(|| match protocol {
            "https" => 443.into(),
            _ => DEFAULT_PORT.into(),
        });
    let mut fields = Record::new();
    fields.insert("protocol".to_owned(), protocol.into());
    fields.insert("host".to_owned(), parts.host.into());
    fields.insert("port".to_owned(), port);
    fields.insert("path".to_owned(), parts.path.into());
    Some(fields)
}
