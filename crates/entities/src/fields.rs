//! Fields that many declarations share.

use std::net::{Ipv4Addr, Ipv6Addr};

use schema::{Check, Field};
use serde_json::Value;

use crate::address::{Address, AddressError, HostKind};

/// Protocols of routes, services and plugins.
pub const PROTOCOLS: &[&str] = &[
    "grpc",
    "grpcs",
    "http",
    "https",
    "tcp",
    "tls",
    "tls_passthrough",
    "udp",
];

/// Protocols whose traffic is HTTP.
pub const HTTP_PROTOCOLS: &[&str] = &["grpc", "grpcs", "http", "https"];

/// When the record was made.
pub fn created_at() -> Field {
    Field::auto_timestamp("When the record was created, in seconds since 1970.")
}

/// When the record was last written.
pub fn updated_at() -> Field {
    Field::auto_timestamp("When the record was last changed, in seconds since 1970.")
}

/// Labels to find records by.
pub fn tags() -> Field {
    Field::set("Labels to group and find records by.", tag())
}

/// Labels of which some mean more than a label: `validate` refuses those that are wrong.
pub fn tags_and(validate: fn(&Value) -> Result<(), String>) -> Field {
    let tag = Field::string("A label: printable characters without commas and slashes.");
    Field::set(
        "Labels to group and find records by.",
        tag.required().custom(validate),
    )
}

/// One label.
pub fn tag() -> Field {
    Field::string("A label: printable characters without commas and slashes.")
        .required()
        .custom(validate_tag)
}

/// A unique name that can stand in a URL.
pub fn name(description: &'static str) -> Field {
    Field::string(description).unique().custom(validate_name)
}

/// A host without a port.
pub fn host(description: &'static str) -> Field {
    Field::string(description).custom(validate_host)
}

/// A host with or without a port.
pub fn host_with_optional_port(description: &'static str) -> Field {
    Field::string(description).custom(validate_host_with_optional_port)
}

/// A host name in which the first or last label may be a wildcard.
pub fn wildcard_host(description: &'static str) -> Field {
    Field::string(description).custom(validate_wildcard_host)
}

/// Hosts of which the first or last label may be a wildcard.
pub fn hosts(description: &'static str) -> Field {
    let host = Field::string("")
        .match_all(&[(
            "^[^*]*%*?[^*]*$",
            "invalid wildcard: must have at most one wildcard",
        )])
        .match_any(
            &["^%*%.", "%.%*$", "^[^*]*$"],
            Some("invalid wildcard: must be placed at leftmost or rightmost label"),
        )
        .custom(|value| {
            Address::parse(&text(value).replace('*', "abc"))
                .map(drop)
                .map_err(|error| error.to_string())
        });
    Field::array(description, host)
}

/// A server name as TLS clients send it.
pub fn sni(description: &'static str) -> Field {
    Field::string(description).custom(validate_sni)
}

/// An IP address.
pub fn ip(description: &'static str) -> Field {
    Field::string(description).custom(validate_ip)
}

/// An IP address or a block of them.
pub fn ip_or_cidr(description: &'static str) -> Field {
    Field::string(description).custom(validate_ip_or_cidr)
}

/// A TCP or UDP port.
pub fn port(description: &'static str) -> Field {
    Field::integer(description).between(0, 65535)
}

/// A time span in milliseconds, zero included.
pub fn timeout(description: &'static str) -> Field {
    Field::integer(description).between(0, 2_147_483_646)
}

/// A path.
pub fn path(description: &'static str) -> Field {
    Field::string(description)
        .starts_with("/")
        .match_none(&[("//", "must not have empty segments")])
        .custom(|value| validate_path(text(value)))
}

/// A URL with scheme and host.
pub fn url(description: &'static str) -> Field {
    Field::string(description).custom(validate_url)
}

/// The name of a cookie.
pub fn cookie_name(description: &'static str) -> Field {
    Field::string(description).custom(validate_cookie_name)
}

/// The name of a header.
pub fn header_name(description: &'static str) -> Field {
    Field::string(description).custom(validate_header_name)
}

/// Header names with lists of values.
pub fn headers(description: &'static str, names: Field) -> Field {
    Field::map(description, names, Field::array("", Field::string("")))
}

/// A certificate in PEM form.
pub fn certificate(description: &'static str) -> Field {
    Field::string(description).custom(|value| {
        crate::pem::Certificate::parse(text(value))
            .map(drop)
            .map_err(|reason| format!("invalid certificate: {reason}"))
    })
}

/// A private key in PEM form.
pub fn key(description: &'static str) -> Field {
    Field::string(description).custom(|value| {
        crate::pem::Key::parse_private(text(value))
            .map(drop)
            .map_err(|reason| format!("invalid key: {reason}"))
    })
}

/// A version number with optional build information.
pub fn semantic_version(description: &'static str) -> Field {
    Field::string(description)
        .match_any(
            &["^%d+[%.%d]*$", "^%d+[%.%d]*%-?.*$"],
            Some("invalid version number: must be in format of X.Y.Z"),
        )
        .match_none(&[("%.%.", "must not have empty version segments")])
}

/// One protocol.
pub fn protocol(description: &'static str) -> Field {
    Field::string(description).one_of(PROTOCOLS)
}

/// The protocols that a plugin is for, any of them allowed.
pub fn protocols(description: &'static str) -> Field {
    Field::set(description, protocol(""))
        .required()
        .default(HTTP_PROTOCOLS.to_vec())
}

/// The protocols that a plugin for HTTP traffic is for.
pub fn protocols_http(description: &'static str) -> Field {
    Field::set(description, Field::string("").one_of(HTTP_PROTOCOLS))
        .required()
        .default(HTTP_PROTOCOLS.to_vec())
}

/// Addresses with ports, each one or both.
pub fn endpoints(description: &'static str) -> Field {
    let endpoint = Field::record(
        "",
        vec![
            ("ip", ip_or_cidr("An IP address or a block of them.")),
            ("port", port("A port.")),
        ],
    );
    Field::set(
        description,
        endpoint.check(Check::at_least_one_of(&["ip", "port"])),
    )
}

/// The text of a value whose type has been checked.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub fn validate_tag(value: &Value) -> Result<(), String> {
    let tag = text(value);
    validate_utf8(tag)?;
    if tag
        .bytes()
        .all(|byte| matches!(byte, b' '..=b'+' | b'-' | b'.' | b'0'..=b'~' | 128..))
    {
        return Ok(());
    }
    Err(format!(
        "invalid tag '{tag}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"
    ))
}

/// Refuses what stands for bytes that are no UTF-8, as forms and URLs may hold them.
fn validate_utf8(text: &str) -> Result<(), String> {
    match text.find(char::REPLACEMENT_CHARACTER) {
        Some(at) => Err(format!(
            "invalid utf-8 character sequence detected at position {}",
            at + 1
        )),
        None => Ok(()),
    }
}

fn validate_name(value: &Value) -> Result<(), String> {
    let name = text(value);
    validate_utf8(name)?;
    if name.bytes().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~' | 128..)
    }) {
        return Ok(());
    }
    Err(format!(
        "invalid value '{name}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"
    ))
}

fn validate_host(value: &Value) -> Result<(), String> {
    match Address::parse(text(value)) {
        Err(AddressError::Port) | Ok(Address { port: Some(_), .. }) => {
            Err("must not have a port".to_owned())
        }
        Err(_) => Err(format!("invalid value: {}", text(value))),
        Ok(_) => Ok(()),
    }
}

fn validate_host_with_optional_port(value: &Value) -> Result<(), String> {
    Address::parse(text(value))
        .map(drop)
        .map_err(|error| error.to_string())
}

fn validate_sni(value: &Value) -> Result<(), String> {
    validate_server_name(text(value), text(value))
}

fn validate_server_name(name: &str, shown: &str) -> Result<(), String> {
    match Address::parse(name) {
        Err(AddressError::Port) => Err("must not have a port".to_owned()),
        Err(_) => Err(format!("invalid value: {shown}")),
        Ok(address) if address.kind != HostKind::Name => Err("must not be an IP".to_owned()),
        Ok(Address { port: Some(_), .. }) => Err("must not have a port".to_owned()),
        Ok(_) => Ok(()),
    }
}

fn validate_wildcard_host(value: &Value) -> Result<(), String> {
    let host = text(value);
    match host.find('*') {
        None => validate_server_name(host, host),
        Some(at) if at != 0 && at + 1 != host.len() => {
            Err("wildcard must be leftmost or rightmost character".to_owned())
        }
        Some(_) if host.matches('*').count() > 1 => {
            Err("only one wildcard must be specified".to_owned())
        }
        Some(_) => {
            let name = host.replace('*', "wildcard");
            validate_server_name(&name, &name)
        }
    }
}

fn validate_ip(value: &Value) -> Result<(), String> {
    if is_ip(text(value)) {
        Ok(())
    } else {
        Err(format!("not an ip address: {}", text(value)))
    }
}

fn is_ip(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok()
}

fn validate_ip_or_cidr(value: &Value) -> Result<(), String> {
    let text = text(value);
    let fine = match text.split_once('/') {
        None => is_ip(text),
        Some((ip, prefix)) => {
            let most = if ip.parse::<Ipv4Addr>().is_ok() {
                32
            } else {
                128
            };
            let canonical = prefix == "0"
                || (!prefix.starts_with('0') && prefix.bytes().all(|digit| digit.is_ascii_digit()));
            is_ip(ip) && canonical && prefix.parse::<u8>().is_ok_and(|bits| bits <= most)
        }
    };
    if fine {
        Ok(())
    } else {
        Err(format!("invalid ip or cidr range: '{text}'"))
    }
}

/// Whether a path holds only characters of RFC 3986 and well-formed escapes.
fn validate_path(path: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~/%:@!$&'()*+,;=".contains(&byte);
    if !path.starts_with('/') || !path.bytes().all(allowed) {
        return Err(format!(
            "invalid path: '{path}' (characters outside of the reserved list of RFC 3986 found)"
        ));
    }
    validate_escapes(path)
}

/// Whether each `%` begins an escape.
pub(crate) fn validate_escapes(path: &str) -> Result<(), String> {
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        let escape = &rest[at..];
        let digits = escape
            .bytes()
            .skip(1)
            .take(2)
            .filter(u8::is_ascii_hexdigit)
            .count();
        if digits < 2 {
            let shown: String = escape.chars().take(3).collect();
            return Err(format!("invalid url-encoded value: '{shown}'"));
        }
        rest = escape.get(3..).unwrap_or_default();
    }
    Ok(())
}

fn validate_url(value: &Value) -> Result<(), String> {
    let parts = crate::service::split_url(text(value));
    match parts {
        None => Err("could not parse url. invalid url".to_owned()),
        Some(parts) if parts.host.is_none() => Err("missing host in url".to_owned()),
        Some(parts) if parts.scheme.is_none() => Err("missing scheme in url".to_owned()),
        Some(_) => Ok(()),
    }
}

fn validate_cookie_name(value: &Value) -> Result<(), String> {
    let forbidden = |byte: u8| {
        !byte.is_ascii() || byte.is_ascii_control() || b" \t()<>@,;:\\\"/?={}[]".contains(&byte)
    };
    if text(value).is_empty() {
        return Err("no token provided".to_owned());
    }
    if text(value).bytes().any(forbidden) {
        return Err("contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the \
                    characters ()<>@,;:\\\"/?={}[] are not allowed."
            .to_owned());
    }
    Ok(())
}

/// Whether text can be the name of a header in configuration.
pub fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn validate_header_name(value: &Value) -> Result<(), String> {
    let name = text(value);
    if name.is_empty() {
        return Err("no header name provided".to_owned());
    }
    if is_header_name(name) {
        return Ok(());
    }
    Err(format!(
        "bad header name '{name}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
    ))
}
