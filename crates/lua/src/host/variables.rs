//! `ngx.var`: the variables of nginx that code reads and writes.

use mlua::{Lua, Value};
use plugin_api::arguments;

use super::{Answer, Host, Words, maybe, said, text};
use crate::scene::Stage;

impl Host<'_, '_, '_> {
    pub(super) fn variable(&self, lua: &Lua, name: &str) -> Answer {
        let exchange = &*self.scene.exchange;
        let head = &*exchange.head;
        let connection = &exchange.connection;
        if let Some(header) = name.strip_prefix("http_") {
            let headers = &head.headers;
            let dashed = header.replace('_', "-");
            let mut values = headers.get_all(&*dashed).collect::<Vec<_>>();
            if values.is_empty() {
                values = headers.get_all(header).collect();
            }
            return maybe(lua, (!values.is_empty()).then(|| values.join(&b", "[..])));
        }
        if let Some(argument) = name.strip_prefix("arg_") {
            let mut given = arguments(head.query().unwrap_or_default());
            let found = given.find(|given| given.name.eq_ignore_ascii_case(argument.as_bytes()));
            let value = found.map(|found| found.value.unwrap_or_default());
            return maybe(lua, value);
        }
        if let Some(header) = name.strip_prefix("cookie_") {
            return maybe(lua, cookie(head.headers.get("cookie"), header));
        }
        if let Some(header) = name.strip_prefix("sent_http_") {
            let header = header.replace('_', "-");
            return maybe(
                lua,
                match &self.scene.stage {
                    Stage::HeaderFilter(head) => head.headers.get(&*header),
                    Stage::Log(summary) => summary.head.and_then(|head| head.headers.get(&*header)),
                    _ => None,
                },
            );
        }
        let query = head.query().unwrap_or_default();
        let path_and_query = || {
            let mut both = head.path().to_vec();
            if head.query().is_some() {
                both.push(b'?');
                both.extend_from_slice(query);
            }
            both
        };
        let seconds = |millis: f64| format!("{:.3}", millis / 1000.0);
        match name {
            "request_uri" => text(lua, path_and_query()),
            "uri" | "document_uri" => text(lua, plugin_api::normalize_path(head.path())),
            "request" => {
                let mut line = format!("{} ", head.method().as_str()).into_bytes();
                line.extend(path_and_query());
                line.extend_from_slice(format!(" HTTP/{:.1}", self.version()).as_bytes());
                text(lua, line)
            }
            "args" | "query_string" => maybe(lua, head.query()),
            "is_args" => text(lua, if query.is_empty() { "" } else { "?" }),
            "host" => text(lua, connection.host),
            "scheme" => text(lua, self.scheme()),
            "https" => text(lua, if connection.tls.is_some() { "on" } else { "" }),
            "request_method" => text(lua, head.method().as_str()),
            "server_protocol" => text(lua, format!("HTTP/{:.1}", self.version())),
            "server_port" => text(lua, self.own_port().to_string()),
            "server_addr" => maybe(lua, connection.local.map(|local| local.ip().to_string())),
            "remote_addr" => maybe(lua, connection.client.map(|client| client.ip().to_string())),
            "remote_port" => maybe(
                lua,
                connection.client.map(|client| client.port().to_string()),
            ),
            "realip_remote_addr" => maybe(lua, connection.peer.map(|peer| peer.ip().to_string())),
            "realip_remote_port" => maybe(lua, connection.peer.map(|peer| peer.port().to_string())),
            "request_id" | "kong_request_id" => text(lua, connection.request_id),
            "connection" => text(lua, connection.number.to_string()),
            "connection_requests" => text(lua, connection.requests.to_string()),
            "content_type" => maybe(lua, head.headers.get("content-type")),
            "content_length" => maybe(lua, head.headers.get("content-length")),
            "hostname" => text(lua, &*self.scene.services.node.hostname),
            "pid" => text(lua, std::process::id().to_string()),
            "msec" => text(lua, seconds(self.now_millis())),
            "request_time" => text(lua, seconds(self.now_millis() - self.started_millis())),
            "ssl_protocol" => maybe(lua, connection.tls.map(|tls| tls.version)),
            "ssl_server_name" => maybe(lua, connection.tls.and_then(|tls| tls.server_name)),
            "upstream_uri" => text(lua, &*exchange.target),
            "upstream_host" => maybe(lua, exchange.work.upstream.host_header.as_deref()),
            "upstream_scheme" => maybe(lua, exchange.work.upstream.scheme.as_deref()),
            "status" => maybe(
                lua,
                self.summary(|summary| Some(summary.status.to_string())),
            ),
            "upstream_status" => {
                let status = |summary: &plugin_api::Summary<'_>| {
                    summary.upstream_status.map(|status| status.to_string())
                };
                maybe(lua, self.summary(status))
            }
            "bytes_sent" => maybe(
                lua,
                self.summary(|summary| Some(summary.response_size.to_string())),
            ),
            "request_length" => maybe(
                lua,
                self.summary(|summary| Some(summary.request_size.to_string())),
            ),
            other => Err(said(format!(
                "ngx.var.{other} is not available in Silverback"
            ))),
        }
    }

    /// Something that only the end of the exchange tells.
    fn summary<T>(&self, read: impl Fn(&plugin_api::Summary<'_>) -> Option<T>) -> Option<T> {
        match &self.scene.stage {
            Stage::Log(summary) => read(summary),
            _ => None,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 are exact in a float"
    )]
    fn now_millis(&self) -> f64 {
        self.scene.services.clock.unix_millis() as f64
    }

    pub(super) fn set_variable(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let name = words.text()?;
        let value = words.text()?;
        let upstream = &mut self.scene.exchange.work.upstream;
        match &*name {
            "upstream_host" => upstream.host_header = Some(value.into()),
            "upstream_scheme" => upstream.scheme = Some(value.into()),
            "upstream_uri" => {
                let fits =
                    value.starts_with('/') && value.bytes().all(|byte| byte.is_ascii_graphic());
                if !fits {
                    return Err(said("ngx.var.upstream_uri must be a path without blanks"));
                }
                *self.scene.exchange.target = value.into_bytes();
            }
            _ => {
                let reason = format!("ngx.var.{name} cannot be set in Silverback");
                return Err(said(reason));
            }
        }
        Ok(vec![Value::Nil])
    }
}

/// The value of a cookie.
fn cookie<'a>(header: Option<&'a [u8]>, name: &str) -> Option<&'a [u8]> {
    let mut pairs = header?.split(|byte| *byte == b';');
    pairs.find_map(|pair| {
        let pair = pair.trim_ascii();
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = pair.split_at(at);
        key.eq_ignore_ascii_case(name.as_bytes())
            .then(|| value.get(1..).unwrap_or_default())
    })
}
