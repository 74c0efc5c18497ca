//! Routes as expressions: what a route that is written with hosts, paths and the like stands for, and whether the
//! expression can be matched.
//!
//! The text of an expression is seen by users, in error messages; it is therefore spelled as Kong spells it.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::LazyLock;

use atc_router::ast::Type;
use atc_router::parser::parse;
use atc_router::schema::Schema;
use atc_router::semantics::{FieldCounter, Validate};
use schema::{Record, is_empty_value};
use serde_json::Value;

use crate::fields::text;

/// How many `&&` and `||` an expression may have, and how deep its parentheses may be nested.
const MAX_OPERATORS: usize = 1000;
const MAX_DEPTH: usize = 200;

/// Says why a route cannot be matched.
pub(super) fn check(route: &Record) -> Result<(), String> {
    verdict(route).map_err(|reason| format!("Router Expression failed validation: {reason}"))
}

fn verdict(route: &Record) -> Result<(), String> {
    const OTHERS: [&str; 7] = [
        "snis",
        "sources",
        "destinations",
        "methods",
        "hosts",
        "paths",
        "headers",
    ];
    let has_expression = route
        .get("expression")
        .is_some_and(|expression| !expression.is_null());
    let has_others = OTHERS
        .into_iter()
        .any(|name| !is_empty_value(route.get(name)));
    let is_set = |name: &str| {
        route
            .get(name)
            .and_then(Value::as_f64)
            .is_some_and(|number| number != 0.0)
    };
    if !has_expression && !has_others {
        return Ok(());
    }
    const OTHER_NAMES: &str =
        "'methods', 'hosts', 'paths', 'headers', 'snis', 'sources' or 'destinations'";
    if has_expression && has_others {
        return Err(format!(
            "cannot set 'expression' with {OTHER_NAMES} simultaneously"
        ));
    }
    if has_expression && is_set("regex_priority") {
        return Err("cannot set 'regex_priority' with 'expression' simultaneously".to_owned());
    }
    if has_others && is_set("priority") {
        return Err(format!(
            "cannot set 'priority' with {OTHER_NAMES} simultaneously"
        ));
    }
    let fields = if is_stream(route) {
        &STREAM_FIELDS
    } else {
        &HTTP_FIELDS
    };
    match route.get("expression").filter(|_| has_expression) {
        Some(expression) => validate(&amended(text(expression)), fields),
        None => validate_fields(route, fields),
    }
}

/// Fields that stand for a short expression are validated as that expression, so that an error shows all of it; the
/// alternatives of a longer one are validated each by itself, since the parser needs stack for each of them.
fn validate_fields(route: &Record, fields: &Schema) -> Result<(), String> {
    let terms = terms(route);
    if terms
        .iter()
        .map(|term| term.alternatives.len())
        .sum::<usize>()
        <= MAX_OPERATORS / 2
    {
        let terms: Vec<_> = terms.iter().map(ToString::to_string).collect();
        return validate(&terms.join(" && "), fields);
    }
    let mut alternatives = terms.iter().flat_map(|term| &term.alternatives);
    alternatives.try_for_each(|alternative| validate(&format!("({alternative})"), fields))
}

fn validate(expression: &str, schema: &Schema) -> Result<(), String> {
    check_size(expression)?;
    let parsed = parse(expression).map_err(|error| error.to_string())?;
    parsed.validate(schema)?;
    let mut fields = HashMap::new();
    parsed.add_to_counter(&mut fields);
    let segments = fields
        .keys()
        .filter_map(|name| name.strip_prefix("http.path.segments."));
    if segments.into_iter().all(is_segment) {
        return Ok(());
    }
    Err("illformed http.path.segments.* field".to_owned())
}

/// Refuses what would take the parser more stack than a thread has.
fn check_size(expression: &str) -> Result<(), String> {
    let operators = expression.matches("&&").count() + expression.matches("||").count();
    if operators > MAX_OPERATORS {
        return Err(format!(
            "at most {MAX_OPERATORS} logical operators are allowed in an expression"
        ));
    }
    let mut depth = 0_usize;
    for byte in expression.bytes() {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!(
                "at most {MAX_DEPTH} nested parentheses are allowed in an expression"
            ));
        }
    }
    Ok(())
}

/// `len`, one index, or a range of indexes as in `0_2`.
fn is_segment(suffix: &str) -> bool {
    let index = |text: &str| match text.as_bytes() {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.bytes().all(|digit| digit.is_ascii_digit()) => {
            text.parse::<u64>().ok()
        }
        _ => None,
    };
    match suffix.split_once('_') {
        None => suffix == "len" || index(suffix).is_some(),
        Some((first, last)) => {
            matches!((index(first), index(last)), (Some(first), Some(last)) if first < last)
        }
    }
}

static HTTP_FIELDS: LazyLock<Schema> = LazyLock::new(|| {
    let mut fields = stream_fields();
    for name in [
        "http.method",
        "http.host",
        "http.path",
        "http.path.segments.*",
        "http.headers.*",
        "http.queries.*",
    ] {
        fields.add_field(name, Type::String);
    }
    fields.add_field("http.path.segments.len", Type::Int);
    fields
});

static STREAM_FIELDS: LazyLock<Schema> = LazyLock::new(stream_fields);

fn stream_fields() -> Schema {
    let mut fields = Schema::default();
    for (name, field) in [
        ("net.protocol", Type::String),
        ("tls.sni", Type::String),
        ("net.src.port", Type::Int),
        ("net.dst.port", Type::Int),
        ("net.src.ip", Type::IpAddr),
        ("net.dst.ip", Type::IpAddr),
    ] {
        fields.add_field(name, field);
    }
    fields
}

fn is_stream(route: &Record) -> bool {
    let first = route
        .get("protocols")
        .and_then(Value::as_array)
        .and_then(|protocols| protocols.first())
        .map(text);
    matches!(first, Some("tcp" | "udp" | "tls" | "tls_passthrough"))
}

/// An expression with the deprecated `net.port` spelled as it is now.
fn amended(expression: &str) -> String {
    static NET_PORT: LazyLock<Option<regex::Regex>> =
        LazyLock::new(|| regex::Regex::new(r"net\.port(\s*[=><!])").ok());
    match &*NET_PORT {
        Some(pattern) => pattern
            .replace_all(expression, "net.dst.port$1")
            .into_owned(),
        None => expression.to_owned(),
    }
}

/// What one field of a route stands for: at least one of its alternatives must hold.
struct Term {
    /// A condition under which the field does not matter.
    unless: Option<&'static str>,
    alternatives: Vec<String>,
}

impl std::fmt::Display for Term {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let alternatives = self.alternatives.join(" || ");
        match self.unless {
            Some(condition) => write!(formatter, "({condition} || ({alternatives}))"),
            None => write!(formatter, "({alternatives})"),
        }
    }
}

/// All of these must hold for the route to match.
fn terms(route: &Record) -> Vec<Term> {
    let stream = is_stream(route);
    let mut terms = Vec::new();
    let mut add = |unless: Option<&'static str>, alternatives: Vec<String>| {
        if !alternatives.is_empty() {
            terms.push(Term {
                unless,
                alternatives,
            });
        }
    };
    let no_tls = if stream {
        r##"net.protocol != r#"tls"#"##
    } else {
        r##"net.protocol != r#"https"#"##
    };
    add(Some(no_tls), texts(route, "snis").map(sni).collect());
    add(
        None,
        list(route, "sources")
            .filter_map(|endpoint| net("src", endpoint))
            .collect(),
    );
    add(
        None,
        list(route, "destinations")
            .filter_map(|endpoint| net("dst", endpoint))
            .collect(),
    );
    if stream {
        return terms;
    }
    add(
        None,
        texts(route, "methods")
            .map(|method| format!("http.method == {}", quote(method)))
            .collect(),
    );
    add(None, texts(route, "hosts").map(host).collect());
    add(None, texts(route, "paths").map(path).collect());
    for (name, values) in route
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let values = values
            .as_array()
            .into_iter()
            .flatten()
            .map(|value| header(name, text(value)));
        terms.push(Term {
            unless: None,
            alternatives: values.collect(),
        });
    }
    terms
}

fn list<'a>(route: &'a Record, name: &str) -> impl Iterator<Item = &'a Value> {
    route
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn texts<'a>(route: &'a Record, name: &str) -> impl Iterator<Item = &'a str> {
    list(route, name).map(text)
}

fn quote(text: &str) -> String {
    if text.contains("\"#") {
        return format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    }
    format!("r#\"{text}\"#")
}

fn sni(sni: &str) -> String {
    let without_dot = |sni: &str| {
        if sni.len() > 1 {
            sni.strip_suffix('.').unwrap_or(sni).to_owned()
        } else {
            sni.to_owned()
        }
    };
    if sni.starts_with('*') {
        return format!(
            "tls.sni =^ {}",
            quote(without_dot(sni).get(1..).unwrap_or_default())
        );
    }
    match sni.strip_suffix('*') {
        Some(start) => format!("tls.sni ^= {}", quote(start)),
        None => format!("tls.sni == {}", quote(&without_dot(sni))),
    }
}

fn host(host: &str) -> String {
    let (host, port) = match host
        .split_once(':')
        .map(|(host, port)| (host, port.parse::<u16>()))
    {
        Some((name, Ok(port))) => (name, Some(port)),
        _ => (host, None),
    };
    let (operator, host) = match (host.strip_prefix('*'), host.strip_suffix('*')) {
        (Some(end), _) => ("=^", end),
        (None, Some(start)) => ("^=", start),
        (None, None) => ("==", host),
    };
    match port {
        Some(port) => format!("(http.host {operator} r#\"{host}\"# && net.dst.port == {port})"),
        None => format!("http.host {operator} r#\"{host}\"#"),
    }
}

fn path(path: &str) -> String {
    match path.strip_prefix('~') {
        Some(regex) => format!(
            "http.path ~ {}",
            quote(&format!("^{}", regex.replace("?<", "?P<")))
        ),
        None => format!("http.path ^= {}", quote(path)),
    }
}

fn header(name: &str, value: &str) -> String {
    let (operator, value) = match value.strip_prefix("~*") {
        Some(regex) => ("~", regex),
        None => ("==", value),
    };
    let name = name.replace('-', "_").to_ascii_lowercase();
    format!(
        "any(lower(http.headers.{name})) {operator} {}",
        quote(&value.to_ascii_lowercase())
    )
}

/// One address, port, or both; `None` for one that says neither.
fn net(side: &str, endpoint: &Value) -> Option<String> {
    let ip = endpoint
        .get("ip")
        .and_then(Value::as_str)
        .map(|ip| match ip.split_once('/') {
            Some((address, bits)) => format!("net.{side}.ip in {}/{bits}", network(address, bits)),
            None => format!("net.{side}.ip == {ip}"),
        });
    let port = endpoint
        .get("port")
        .filter(|port| !port.is_null())
        .map(|port| format!("net.{side}.port == {port}"));
    match (ip, port) {
        (Some(ip), Some(port)) => Some(format!("({ip} && {port})")),
        (ip, port) => ip.or(port),
    }
}

/// The first address of an IPv4 block; IPv6 stays as it is.
fn network(address: &str, bits: &str) -> String {
    let (Ok(address), Ok(bits)) = (address.parse::<Ipv4Addr>(), bits.parse::<u32>()) else {
        return address.to_owned();
    };
    let mask = u32::MAX
        .checked_shl(32_u32.saturating_sub(bits))
        .unwrap_or(0);
    Ipv4Addr::from(u32::from(address) & mask).to_string()
}
