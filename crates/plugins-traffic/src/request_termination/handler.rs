//! Answers in place of the upstream.

use std::collections::BTreeMap;
use std::sync::Arc;

use http1::host_name;
use plugin_api::{
    Body, BodyArguments, By, Configured, Entity, Exchange, Failure, Handler, Needs, Phase, Reply,
    Services, Step, arguments,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

#[derive(Deserialize)]
struct Config {
    status_code: u16,
    message: Option<String>,
    content_type: Option<String>,
    body: Option<String>,
    echo: bool,
    trigger: Option<String>,
}

struct RequestTermination {
    config: Config,
    services: Services,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    Ok(Arc::new(RequestTermination {
        config: record.read()?,
        services: services.clone(),
    }))
}

impl Handler for RequestTermination {
    fn needs(&self) -> Needs {
        Needs {
            request_body: self.config.echo,
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if !self.is_triggered(exchange) {
            return Step::next();
        }
        let status = self.config.status_code;
        let message = self.config.message.as_deref().or(default_message(status));
        if self.config.echo {
            return Step::later(async move {
                let body = self.echo(exchange, message).await;
                Ok(Reply::new(status).with_body(Body::Json(body)).into())
            });
        }
        Step::answer(match (&self.config.body, message) {
            (Some(body), _) => {
                let kind = self.config.content_type.as_deref();
                let kind = kind.unwrap_or("application/json; charset=utf-8");
                let bytes = Body::Bytes(body.clone().into());
                Reply::new(status)
                    .with_header("Content-Type", kind)
                    .with_body(bytes)
            }
            (None, Some(message)) => Reply::message(status, message),
            (None, None) => Reply::new(status),
        })
    }
}

/// What is said when nothing is configured.
fn default_message(status: u16) -> Option<&'static str> {
    Some(match status {
        401 => "Unauthorized",
        404 => "Not found",
        405 => "Method not allowed",
        500 => "An unexpected error occurred",
        502 => "Bad Gateway",
        503 => "Service unavailable",
        _ => return None,
    })
}

impl RequestTermination {
    fn is_triggered(&self, exchange: &Exchange<'_>) -> bool {
        let Some(name) = &self.config.trigger else {
            return true;
        };
        let mut query = arguments(exchange.head.query().unwrap_or_default());
        exchange.head.headers.contains(name.as_str())
            || query.any(|argument| *argument.name == *name.as_bytes())
    }

    /// The request as it is seen here.
    async fn echo(&self, exchange: &Exchange<'_>, message: Option<&str>) -> Value {
        let head = &*exchange.head;
        let host = head.host().map(host_name).unwrap_or_default();
        let raw_body = String::from_utf8_lossy(exchange.body());
        let captures = exchange.matched.captures;
        let named = captures
            .map(|captures| captures.named())
            .unwrap_or_default();
        let numbered = captures.map(|captures| captures.numbered());
        let captures = json!({
            "named": named.iter().cloned().collect::<BTreeMap<_, _>>(),
            "unnamed": numbered.unwrap_or_default().iter().skip(1).flatten().collect::<Vec<_>>(),
        });
        let route = self.record("routes", exchange.matched.route).await;
        let service = self.record("services", exchange.matched.service).await;
        json!({
            "message": message,
            "kong": {
                "node_id": self.services.node.id.to_string(),
                "worker_pid": std::process::id(),
                "hostname": &*self.services.node.hostname,
            },
            "request": {
                "scheme": if exchange.connection.tls.is_some() { "https" } else { "http" },
                "host": String::from_utf8_lossy(host),
                "port": exchange.connection.port,
                "headers": headers(exchange),
                "query": query(exchange),
                "body": body(exchange),
                "raw_body": raw_body,
                "method": head.method().as_str(),
                "path": String::from_utf8_lossy(head.path()),
                "uri_captures": captures,
            },
            "matched_route": route,
            "matched_service": service,
        })
    }

    /// The record of an entity, without what it leaves open.
    async fn record(&self, entity: &'static str, named: Option<Entity<'_>>) -> Option<Value> {
        let found = self
            .services
            .records
            .find(entity, By::Id(named?.id))
            .get()
            .await;
        let record = found.ok()??;
        let said = record.iter().filter(|(_, value)| !value.is_null());
        let said = said.map(|(name, value)| (name.clone(), value.clone()));
        let mut shown: Map<String, Value> = said.collect();
        if let Some(workspace) = self.workspace().await {
            shown.insert("ws_id".to_owned(), workspace);
        }
        Some(Value::Object(shown))
    }

    /// The id of the workspace that everything is in.
    async fn workspace(&self) -> Option<Value> {
        let by_name = By::Unique("name", "default");
        let found = self
            .services
            .records
            .find("workspaces", by_name)
            .get()
            .await;
        found.ok()??.get("id").cloned()
    }
}

/// One text, or a list of several.
fn add(to: &mut Map<String, Value>, name: String, value: Value) {
    match to.get_mut(&name) {
        None => {
            to.insert(name, value);
        }
        Some(Value::Array(several)) => several.push(value),
        Some(one) => *one = Value::Array(vec![one.take(), value]),
    }
}

fn headers(exchange: &Exchange<'_>) -> Map<String, Value> {
    let mut shown = Map::new();
    for field in exchange.head.headers.iter() {
        let name = String::from_utf8_lossy(field.name).to_ascii_lowercase();
        let value = String::from_utf8_lossy(field.value).into_owned();
        add(&mut shown, name, value.into());
    }
    shown
}

fn query(exchange: &Exchange<'_>) -> Map<String, Value> {
    let mut shown = Map::new();
    for argument in arguments(exchange.head.query().unwrap_or_default()) {
        let name = String::from_utf8_lossy(&argument.name).into_owned();
        let value = argument
            .value
            .map(|value| String::from_utf8_lossy(&value).into_owned());
        add(
            &mut shown,
            name,
            value.map_or(Value::Bool(true), Value::String),
        );
    }
    shown
}

fn body(exchange: &Exchange<'_>) -> Option<Value> {
    let mut shown = Map::new();
    match BodyArguments::of(exchange)? {
        BodyArguments::Json(members) => return Some(Value::Object(members)),
        BodyArguments::Form(pairs) => {
            for (name, value) in pairs {
                let name = String::from_utf8_lossy(&name).into_owned();
                let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
                add(
                    &mut shown,
                    name,
                    value.map_or(Value::Bool(true), Value::String),
                );
            }
        }
        BodyArguments::Multipart { parts, .. } => {
            for part in parts {
                let value = String::from_utf8_lossy(&part.body).into_owned();
                add(&mut shown, part.name.unwrap_or_default(), value.into());
            }
        }
    }
    Some(Value::Object(shown))
}
