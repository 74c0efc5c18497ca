//! What a function is told of a request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_api::{BodyArguments, Exchange, Known, Services, Version, arguments};
use serde_json::{Map, Value, json};
use stdx::Moment;

/// Compat: bodies of these types are text, also without an encoding; the type has to be just that.
const TEXT: &[&str] = &[
    "application/soap+xml",
    "application/xml",
    "text/html",
    "text/plain",
    "text/xml",
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// What is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Telling {
    /// The event of an Amazon API gateway, in its first version.
    pub as_api_gateway: bool,
    pub method: bool,
    pub headers: bool,
    pub uri: bool,
    pub body: bool,
    /// Whether bodies are sent in base64.
    pub base64: bool,
}

impl Telling {
    /// Whether the request's body is looked at.
    pub fn needs_body(&self) -> bool {
        self.as_api_gateway || self.body || self.is_bare()
    }

    /// Whether there are only the arguments.
    fn is_bare(&self) -> bool {
        !(self.method || self.headers || self.uri || self.body)
    }

    /// The event.
    pub fn event(&self, exchange: &Exchange<'_>, services: &Services) -> Value {
        if self.as_api_gateway {
            self.gateway_event(exchange, services)
        } else if self.is_bare() {
            arguments_of_request(exchange)
        } else {
            self.parts(exchange)
        }
    }

    /// The parts of the request that are told by settings of their own.
    fn parts(&self, exchange: &Exchange<'_>) -> Value {
        let mut event = Map::new();
        let mut add = |name: &str, value: Value| event.insert(name.to_owned(), value);
        if self.method {
            add("request_method", exchange.head.method().as_str().into());
        }
        if self.headers {
            add("request_headers", headers(exchange).into());
        }
        if self.uri {
            let mut uri = text(exchange.head.path());
            if let Some(query) = exchange.head.query() {
                uri.push('?');
                uri.push_str(&text(query));
            }
            add("request_uri", uri.into());
            add("request_uri_args", table(exchange.query()).into());
        }
        if self.body {
            let content_type = exchange.head.headers.get_str(Known::ContentType);
            let body = held(exchange);
            match body_arguments(exchange) {
                BodyTable::Unknown => {
                    let is_text = content_type.is_some_and(|kind| TEXT.contains(&kind));
                    let is_utf8 = body.is_none_or(|body| std::str::from_utf8(body).is_ok());
                    if self.base64 && !(is_text && is_utf8) {
                        add("request_body_base64", true.into());
                        let body = body.unwrap_or_default();
                        add("request_body", STANDARD.encode(body).into());
                    } else if let Some(body) = body {
                        add("request_body", text(body).into());
                    }
                    add("request_body_args", json!({}));
                }
                BodyTable::Table(table) => {
                    if let Some(body) = body {
                        add("request_body", text(body).into());
                    }
                    add("request_body_args", table);
                }
                BodyTable::Broken => {
                    if let Some(body) = body {
                        add("request_body", text(body).into());
                    }
                }
            }
        }
        event.into()
    }

    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>
    fn gateway_event(&self, exchange: &Exchange<'_>, services: &Services) -> Value {
        let (headers, multi_value_headers) = singled(headers(exchange));
        let (query, multi_value_query) = singled(table(exchange.query()));
        let captures = exchange.matched.captures.map(|captures| captures.named());
        let captures = captures.unwrap_or_default().iter();
        let path_parameters: Map<_, _> = captures
            .map(|(name, value)| (name.clone(), Value::from(value.clone())))
            .collect();
        let target = exchange.target.split(|byte| *byte == b'?').next();
        let path = text(target.unwrap_or_default());
        let connection = &exchange.connection;
        let method = exchange.head.method().as_str();
        let since = services
            .clock
            .monotonic()
            .saturating_duration_since(connection.started);
        let since = i64::try_from(since.as_millis()).unwrap_or_default();
        let started = services.clock.unix_millis() - since;
        let protocol = match (connection.http2, exchange.head.version()) {
            (true, _) => "HTTP/2",
            (_, Version::Http10) => "HTTP/1.0",
            _ => "HTTP/1.1",
        };
        let mut event = json!({
            "version": "1.0",
            "resource": exchange.matched.route_path,
            "path": path,
            "httpMethod": method,
            "pathParameters": path_parameters,
            "isBase64Encoded": self.base64,
            "requestContext": {
                "path": path,
                "resourcePath": path,
                "protocol": protocol,
                "httpMethod": method,
                "domainName": connection.host,
                "domainPrefix": connection.host.split('.').next(),
                "identity": {
                    "sourceIp": connection.peer.map(|peer| peer.ip().to_string()),
                    "userAgent": headers.get("user-agent"),
                },
                "requestId": connection.request_id,
                "requestTime": log_time(started.div_euclid(1000)),
                "requestTimeEpoch": started,
            },
        });
        event["headers"] = headers.into();
        event["multiValueHeaders"] = multi_value_headers.into();
        event["queryStringParameters"] = query.into();
        event["multiValueQueryStringParameters"] = multi_value_query.into();
        // Compat: no body is an empty one in base64.
        match held(exchange) {
            body if self.base64 => event["body"] = STANDARD.encode(body.unwrap_or_default()).into(),
            Some(body) => event["body"] = text(body).into(),
            None => {}
        }
        event
    }
}

/// The arguments of the query and of the body, which win.
fn arguments_of_request(exchange: &Exchange<'_>) -> Value {
    let mut arguments = table(exchange.query());
    match body_arguments(exchange) {
        BodyTable::Table(Value::Object(members)) => arguments.extend(members),
        BodyTable::Table(Value::Array(items)) if arguments.is_empty() => return items.into(),
        BodyTable::Table(Value::Array(items)) => {
            let numbered = items.into_iter().enumerate();
            arguments.extend(numbered.map(|(at, item)| ((at + 1).to_string(), item)));
        }
        _ => {}
    }
    arguments.into()
}

/// A body as a table.
enum BodyTable {
    Table(Value),
    /// It is not what its type says, or too long to be held.
    Broken,
    /// Its type is not known, or not told.
    Unknown,
}

fn body_arguments(exchange: &Exchange<'_>) -> BodyTable {
    let content_type = exchange.head.headers.get_str(Known::ContentType);
    let essence = content_type.unwrap_or_default().split(';').next();
    let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
    let is_held = exchange.work.body_length <= exchange.body().len() as u64;
    match &*essence {
        "application/json" => match serde_json::from_slice(exchange.body()) {
            Ok(table @ (Value::Object(_) | Value::Array(_))) => BodyTable::Table(table),
            _ => BodyTable::Broken,
        },
        "application/x-www-form-urlencoded" if is_held => {
            BodyTable::Table(table(exchange.body()).into())
        }
        "application/x-www-form-urlencoded" => BodyTable::Broken,
        "multipart/form-data" => match BodyArguments::of(exchange) {
            Some(BodyArguments::Multipart { parts, .. }) => {
                let mut table = Map::new();
                for part in parts {
                    let name = part.name.unwrap_or_default();
                    add(&mut table, name, text(&part.body).into());
                }
                BodyTable::Table(table.into())
            }
            _ => BodyTable::Broken,
        },
        _ => BodyTable::Unknown,
    }
}

/// The body, if there is one and it is not too long to be held.
fn held<'a>(exchange: &'a Exchange<'_>) -> Option<&'a [u8]> {
    Some(exchange.body()).filter(|body| !body.is_empty())
}

/// The headers by their names in lower case; one that comes several times has a list.
fn headers(exchange: &Exchange<'_>) -> Map<String, Value> {
    let mut headers = Map::new();
    for field in exchange.head.headers.iter() {
        let name = text(field.name).to_ascii_lowercase();
        add(&mut headers, name, text(field.value).into());
    }
    headers
}

/// Arguments by name. One without a value is true, one that comes several times has a list.
fn table(query: &[u8]) -> Map<String, Value> {
    let mut table = Map::new();
    for argument in arguments(query).filter(|argument| !argument.name.is_empty()) {
        let value = match argument.value {
            Some(value) => text(&value).into(),
            None => true.into(),
        };
        add(&mut table, text(&argument.name), value);
    }
    table
}

fn add(table: &mut Map<String, Value>, name: String, value: Value) {
    match table.get_mut(&name) {
        Some(Value::Array(values)) => values.push(value),
        Some(held) => *held = json!([held.take(), value]),
        None => {
            table.insert(name, value);
        }
    }
}

/// The first of each value, and lists of them all.
fn singled(table: Map<String, Value>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut first, mut all) = (Map::new(), Map::new());
    for (name, value) in table {
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        first.insert(name.clone(), values.first().cloned().unwrap_or_default());
        all.insert(name, values.into());
    }
    (first, all)
}

/// A second in the form of the Common Log Format.
fn log_time(seconds: i64) -> String {
    let moment = Moment { seconds };
    let ((year, month, day), (hour, minute, second)) = (moment.date(), moment.time());
    let month = usize::try_from(month - 1).ok();
    let month = month.and_then(|month| MONTHS.get(month)).unwrap_or(&"Jan");
    format!("{day:02}/{month}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
