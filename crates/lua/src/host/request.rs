//! Questions about the request.

use mlua::{Lua, Table, Value};
use plugin_api::{BodyArguments, Known, Version, normalize_path};

use super::{Answer, Fault, Host, maybe, said, text};
use crate::json;
use crate::native::{MOST_ARGUMENTS, add, arguments_table};
use crate::scene::Stage;

/// How many headers are read when nothing is said.
const MOST_HEADERS: usize = 100;

impl Host<'_, '_, '_> {
    pub(super) fn request(&self, lua: &Lua, what: &str) -> Answer {
        let exchange = &*self.scene.exchange;
        let head = &*exchange.head;
        let connection = &exchange.connection;
        let number = |number: f64| Ok(vec![Value::Number(number)]);
        let trusted = |name: &str| {
            let said = head.headers.get(name).filter(|_| connection.trusted);
            said.filter(|said| !said.is_empty())
        };
        match what {
            "scheme" => text(lua, self.scheme()),
            "host" => text(lua, connection.host),
            "port" => number(f64::from(self.own_port())),
            "forwarded_scheme" => text(lua, connection.forwarded_proto),
            "forwarded_host" => match trusted("x-forwarded-host") {
                Some(said) => text(lua, host_of(said).to_ascii_lowercase()),
                None => text(lua, connection.host),
            },
            "forwarded_port" => number(f64::from(connection.port)),
            "forwarded_path" => text(lua, trusted("x-forwarded-path").unwrap_or(head.path())),
            "forwarded_prefix" => maybe(lua, trusted("x-forwarded-prefix")),
            "version" => number(self.version()),
            "method" => text(lua, head.method().as_str()),
            "raw_path" => text(lua, head.path()),
            "path" => text(lua, normalize_path(head.path())),
            "path_with_query" => {
                let mut both = head.path().to_vec();
                if let Some(query) = head.query() {
                    both.push(b'?');
                    both.extend_from_slice(query);
                }
                text(lua, both)
            }
            "raw_query" => text(lua, head.query().unwrap_or_default()),
            "start_time" => number(self.started_millis()),
            "captures" => Ok(vec![match self.captures(lua)? {
                Some((named, unnamed)) => {
                    let captures = lua.create_table()?;
                    captures.raw_set("named", named)?;
                    captures.raw_set("unnamed", unnamed)?;
                    Value::Table(captures)
                }
                None => Value::Nil,
            }]),
            "captures_or_empty" => Ok(vec![Value::Table(match self.captures(lua)? {
                Some((named, unnamed)) => {
                    for pair in unnamed.pairs::<Value, Value>() {
                        let (at, value) = pair?;
                        named.raw_set(at, value)?;
                    }
                    named
                }
                None => lua.create_table()?,
            })]),
            other => Err(said(format!("kong.request: {other} is not available"))),
        }
    }

    pub(super) fn scheme(&self) -> &'static str {
        match self.scene.exchange.connection.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// The port that the client connected to.
    pub(super) fn own_port(&self) -> u16 {
        let connection = &self.scene.exchange.connection;
        connection
            .local
            .map_or(connection.port, |local| local.port())
    }

    pub(super) fn version(&self) -> f64 {
        let exchange = &*self.scene.exchange;
        match exchange.head.version() {
            _ if exchange.connection.http2 => 2.0,
            Version::Http10 => 1.0,
            _ => 1.1,
        }
    }

    /// When the request's head was complete, in milliseconds since 1970.
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 are exact in a float"
    )]
    pub(super) fn started_millis(&self) -> f64 {
        let clock = &self.scene.services.clock;
        let started = self.scene.exchange.connection.started;
        let since = clock.monotonic().saturating_duration_since(started);
        clock.unix_millis() as f64 - since.as_millis() as f64
    }

    /// What the route's expression caught: by name, and by number.
    fn captures(&self, lua: &Lua) -> mlua::Result<Option<(Table, Table)>> {
        let Some(captures) = self.scene.exchange.matched.captures else {
            return Ok(None);
        };
        let named = lua.create_table()?;
        for (name, value) in captures.named() {
            named.raw_set(name.as_str(), value.as_str())?;
        }
        let unnamed = lua.create_table()?;
        for (at, value) in captures.numbered().iter().enumerate() {
            if let Some(value) = value {
                unnamed.raw_set(at, value.as_str())?;
            }
        }
        Ok(Some((named, unnamed)))
    }

    pub(super) fn query(&self, lua: &Lua, most: Option<usize>) -> Answer {
        let exchange = &*self.scene.exchange;
        let query = match self.scene.stage {
            // The target is not settled before there is a route, and nobody changes it after the request is sent.
            Stage::Access => exchange.query(),
            _ => exchange.head.query().unwrap_or_default(),
        };
        let table = arguments_table(lua, query, most.unwrap_or(MOST_ARGUMENTS))?;
        Ok(vec![Value::Table(table)])
    }

    pub(super) fn request_header(&self, lua: &Lua, name: &str) -> Answer {
        let headers = &self.scene.exchange.head.headers;
        maybe(lua, headers.get(name))
    }

    pub(super) fn request_headers(&self, lua: &Lua, most: Option<usize>) -> Answer {
        let headers = &self.scene.exchange.head.headers;
        let fields = headers.iter().map(|field| (field.name, field.value));
        let table = header_table(lua, fields, most.unwrap_or(MOST_HEADERS))?;
        Ok(vec![Value::Table(table)])
    }

    /// The body, where it has been read.
    fn read_body(&self) -> Result<&[u8], Fault> {
        match self.scene.stage {
            Stage::Rewrite => Err(self.not_now()),
            _ => Ok(self.scene.exchange.body()),
        }
    }

    pub(super) fn raw_body(&self, lua: &Lua) -> Answer {
        text(lua, self.read_body()?)
    }

    pub(super) fn raw_body_or_nil(&self, lua: &Lua) -> Answer {
        let body = self.read_body()?;
        maybe(lua, Some(body).filter(|body| !body.is_empty()))
    }

    /// The body as a table, what is wrong with it, and its media type.
    pub(super) fn body_arguments(&self, lua: &Lua, kind: Option<Vec<u8>>) -> Answer {
        let exchange = &*self.scene.exchange;
        self.read_body()?;
        let given = exchange.head.headers.get_str(Known::ContentType);
        let kind = match (&kind, given) {
            (Some(kind), _) => String::from_utf8_lossy(kind).into_owned(),
            (None, Some(given)) => given.to_owned(),
            (None, None) => return wrong(lua, "missing content type", None),
        };
        let essence = kind.split(';').next().unwrap_or_default().trim();
        let essence = essence.to_ascii_lowercase();
        let table = match (&*essence, BodyArguments::of(exchange)) {
            ("application/json", Some(BodyArguments::Json(members))) => {
                let value = serde_json::Value::Object(members);
                json::to_lua(lua, self.marks, &value)?
            }
            ("application/json", _) => match serde_json::from_slice(exchange.body()) {
                Ok(value) => json::to_lua(lua, self.marks, &value)?,
                Err(_) => return wrong(lua, "invalid json body", Some(&essence)),
            },
            ("application/x-www-form-urlencoded", _) => {
                Value::Table(arguments_table(lua, exchange.body(), MOST_ARGUMENTS)?)
            }
            ("multipart/form-data", Some(BodyArguments::Multipart { parts, .. })) => {
                let table = lua.create_table()?;
                for part in parts {
                    let name = lua.create_string(part.name.unwrap_or_default())?;
                    let value = Value::String(lua.create_string(&part.body)?);
                    add(lua, &table, name, value)?;
                }
                Value::Table(table)
            }
            _ => {
                let reason = format!("unsupported content type '{kind}'");
                return wrong(lua, &reason, Some(&kind));
            }
        };
        Ok(vec![
            table,
            Value::Nil,
            Value::String(lua.create_string(essence)?),
        ])
    }
}

fn wrong(lua: &Lua, reason: &str, kind: Option<&str>) -> Answer {
    let mut values = vec![Value::Nil, Value::String(lua.create_string(reason)?)];
    if let Some(kind) = kind {
        values.push(Value::String(lua.create_string(kind)?));
    }
    Ok(values)
}

/// The host of an authority.
fn host_of(authority: &[u8]) -> &[u8] {
    let end = match authority.first() {
        Some(b'[') => authority
            .iter()
            .position(|byte| *byte == b']')
            .map(|at| at + 1),
        _ => authority.iter().position(|byte| *byte == b':'),
    };
    authority
        .get(..end.unwrap_or(authority.len()))
        .unwrap_or(authority)
}

/// Headers as a table, by their names in lower case.
pub(super) fn header_table<'a>(
    lua: &Lua,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    most: usize,
) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, value) in fields.take(most) {
        let name = lua.create_string(name.to_ascii_lowercase())?;
        let value = Value::String(lua.create_string(value)?);
        add(lua, &table, name, value)?;
    }
    Ok(table)
}
