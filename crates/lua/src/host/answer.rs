//! Questions about the answer, changes to it, and answers of the code's own.

use std::borrow::Cow;

use bytes::Bytes;
use mlua::{Lua, Table, Value};
use plugin_api::{Body, HeaderEdit, Reply};

use super::request::header_table;
use super::{Answer, Fault, Host, MOST_SAID, Words, maybe, said, text, texts_of};
use crate::json;
use crate::scene::Stage;

/// What the code of `body_filter` has gathered of a body, and what it knows of the head.
#[derive(Debug, Default)]
pub struct Seen {
    status: u16,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Vec<u8>,
}

/// The longest body that is gathered for code.
const MOST_GATHERED: usize = 32 << 20;

type Headers = Vec<(Cow<'static, str>, Vec<u8>)>;

impl Host<'_, '_, '_> {
    pub(super) fn set_answer_header(&mut self, words: &mut Words) -> Answer {
        let how = words.text()?;
        let name = words.text()?;
        let values = words.texts()?;
        let refused = |error| said(format!("invalid header {name:?}: {error}"));
        match &mut self.scene.stage {
            Stage::Rewrite | Stage::Access => {
                let edits = &mut self.scene.exchange.work.answer_headers;
                if how != "add" {
                    edits.push(HeaderEdit::Remove(name.clone().into()));
                }
                let appended = values
                    .into_iter()
                    .map(|value| HeaderEdit::Append(name.clone().into(), value));
                edits.extend(appended);
            }
            Stage::HeaderFilter(head) => {
                if how != "add" {
                    head.headers.remove(&*name);
                }
                for value in values {
                    head.headers.append(&*name, value).map_err(refused)?;
                }
            }
            Stage::BodyFilter { .. } | Stage::Log(_) => return Err(self.not_now()),
        }
        Ok(Vec::new())
    }

    pub(super) fn answer_headers(&mut self, lua: &Lua) -> Answer {
        const MOST: usize = 1000;
        let table = match &self.scene.stage {
            Stage::HeaderFilter(head) => {
                let fields = head.headers.iter().map(|field| (field.name, field.value));
                header_table(lua, fields, MOST)?
            }
            Stage::Log(summary) => {
                let fields = summary
                    .head
                    .into_iter()
                    .flat_map(|head| head.headers.iter().map(|field| (field.name, field.value)));
                header_table(lua, fields, MOST)?
            }
            Stage::BodyFilter { .. } => {
                let seen = self.scene.exchange.state::<Seen>();
                let fields = seen.headers.iter().map(|(name, value)| (&**name, &**value));
                header_table(lua, fields, MOST)?
            }
            Stage::Rewrite | Stage::Access => lua.create_table()?,
        };
        Ok(vec![Value::Table(table)])
    }

    pub(super) fn answer_status(&mut self) -> Answer {
        match self.status() {
            Some(status) => Ok(vec![Value::Number(f64::from(status))]),
            None => Err(self.not_now()),
        }
    }

    pub(super) fn answer_status_or_zero(&mut self) -> Answer {
        Ok(vec![Value::Number(f64::from(self.status().unwrap_or(0)))])
    }

    fn status(&mut self) -> Option<u16> {
        match &self.scene.stage {
            Stage::HeaderFilter(head) => Some(head.status()),
            Stage::BodyFilter { .. } => Some(self.scene.exchange.state::<Seen>().status),
            Stage::Log(summary) => Some(summary.status),
            Stage::Rewrite | Stage::Access => None,
        }
    }

    pub(super) fn set_answer_status(&mut self, words: &mut Words) -> Answer {
        let status = words.number::<u16>()?;
        match &mut self.scene.stage {
            Stage::HeaderFilter(head) if (100..=599).contains(&status) => {
                head.set_status(status);
                Ok(Vec::new())
            }
            Stage::HeaderFilter(_) => Err(said("code must be a number between 100 and 599")),
            _ => Err(self.not_now()),
        }
    }

    pub(super) fn service_status(&mut self) -> Answer {
        match &self.scene.stage {
            Stage::HeaderFilter(head) => Ok(vec![Value::Number(f64::from(head.status()))]),
            Stage::Log(summary) => Ok(vec![match summary.upstream_status {
                Some(status) => Value::Number(f64::from(status)),
                None => Value::Nil,
            }]),
            _ => Err(self.not_now()),
        }
    }

    pub(super) fn answer_source(&self, lua: &Lua) -> Answer {
        match &self.scene.stage {
            Stage::Log(summary) => text(
                lua,
                match summary.source {
                    plugin_api::Source::Service => "service",
                    plugin_api::Source::Exit => "exit",
                    plugin_api::Source::Error => "error",
                },
            ),
            _ => Err(self.not_now()),
        }
    }

    /// The whole body, at its end; nothing before that, and the pieces are held back.
    pub(super) fn answer_body(&mut self, lua: &Lua) -> Answer {
        let Stage::BodyFilter { piece, last } = &mut self.scene.stage else {
            return Err(self.not_now());
        };
        let seen = self.scene.exchange.state::<Seen>();
        if seen.body.len() + piece.len() > MOST_GATHERED {
            return Err(said("the body is too long to be held"));
        }
        seen.body.extend_from_slice(piece);
        **piece = Bytes::new();
        if !*last {
            return Ok(vec![Value::Nil]);
        }
        **piece = Bytes::from(std::mem::take(&mut seen.body));
        text(lua, &**piece)
    }

    pub(super) fn set_answer_body(&mut self, words: &mut Words) -> Answer {
        let body = words.bytes()?;
        let Stage::BodyFilter { piece, last } = &mut self.scene.stage else {
            return Err(self.not_now());
        };
        let seen = self.scene.exchange.state::<Seen>();
        // Set before the end, the body comes with the end.
        if *last {
            seen.body.clear();
            **piece = body.into();
        } else {
            seen.body = body;
            **piece = Bytes::new();
        }
        Ok(Vec::new())
    }

    pub(super) fn piece(&self, lua: &Lua) -> Answer {
        match &self.scene.stage {
            Stage::BodyFilter { piece, .. } => text(lua, &**piece),
            _ => maybe(lua, None::<&[u8]>),
        }
    }

    pub(super) fn last(&self) -> Answer {
        Ok(vec![match &self.scene.stage {
            Stage::BodyFilter { last, .. } => Value::Boolean(*last),
            _ => Value::Nil,
        }])
    }

    pub(super) fn set_piece(&mut self, words: &mut Words) -> Answer {
        let new = words.bytes()?;
        match &mut self.scene.stage {
            Stage::BodyFilter { piece, .. } => {
                **piece = new.into();
                Ok(Vec::new())
            }
            _ => Err(self.not_now()),
        }
    }

    /// A status, a body (nothing, text, or a table for JSON), and headers.
    pub(super) fn exit(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let status = words.number()?;
        let body = words.value();
        let headers = headers(words)?;
        let body = match body {
            Value::Nil => Body::Empty,
            Value::String(text) => Body::Bytes(Bytes::copy_from_slice(&text.as_bytes())),
            table => {
                let value = json::from_lua(self.marks, &table)
                    .map_err(|reason| said(format!("body encoding failed while JSON: {reason}")))?;
                match headers
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
                {
                    true => Body::Bytes(value.to_string().into()),
                    false => Body::Json(value),
                }
            }
        };
        let mut reply = Reply::new(status).with_body(body);
        reply.headers = headers;
        self.reply = Some(reply);
        Ok(Vec::new())
    }

    pub(super) fn exit_with_error(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let status = words.number()?;
        let message = match words.maybe_bytes() {
            Some(message) => Cow::Owned(String::from_utf8_lossy(&message).into_owned()),
            None => Cow::Borrowed(default_message(status)),
        };
        let mut reply = Reply::error(status, message);
        reply.headers = headers(words)?;
        self.reply = Some(reply);
        Ok(Vec::new())
    }

    /// Ends with what was said so far, or with the gateway's own error.
    pub(super) fn ngx_exit(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let status = words.number::<u16>()?;
        if !(200..=599).contains(&status) {
            return Err(said("code must be a number between 200 and 599"));
        }
        let body = std::mem::take(&mut self.said);
        self.reply = Some(if body.is_empty() && status >= 400 {
            Reply::error(status, default_message(status))
        } else {
            Reply::new(status).with_body(Body::Bytes(body.into()))
        });
        Ok(Vec::new())
    }

    pub(super) fn say(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let text = words.bytes()?;
        if self.said.len() + text.len() > MOST_SAID {
            return Err(said("too much was said"));
        }
        self.said.extend_from_slice(&text);
        Ok(Vec::new())
    }
}

/// Lets the code of `body_filter` see the head of the answer.
pub fn see(exchange: &mut plugin_api::Exchange<'_>, head: &plugin_api::ResponseHead) {
    let fields = head.headers.iter();
    let headers = fields.map(|field| (field.name.to_vec(), field.value.to_vec()));
    *exchange.state::<Seen>() = Seen {
        status: head.status(),
        headers: headers.collect(),
        body: Vec::new(),
    };
}

/// The headers of an answer, which the prelude has checked.
fn headers(words: &mut Words) -> Result<Headers, Fault> {
    let mut headers = Headers::new();
    if let Value::Table(table) = words.value() {
        for pair in table.pairs::<String, Table>() {
            let (name, values) = pair?;
            for value in texts_of(&values)? {
                headers.push((Cow::Owned(name.clone()), value));
            }
        }
    }
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    Ok(headers)
}

/// What a status says when the code says nothing.
fn default_message(status: u16) -> &'static str {
    match status {
        400 => "Bad request",
        401 => "Unauthorized",
        402 => "Payment required",
        403 => "Forbidden",
        404 => "Not found",
        405 => "Method not allowed",
        406 => "Not acceptable",
        408 => "Request timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length required",
        412 => "Precondition failed",
        413 => "Payload too large",
        414 => "URI too long",
        415 => "Unsupported media type",
        417 => "Expectation failed",
        426 => "Upgrade required",
        429 => "Too many requests",
        431 => "Request header fields too large",
        494 => "Request header or cookie too large",
        501 => "Not implemented",
        502 => "Bad gateway",
        503 => "Service unavailable",
        504 => "Gateway timeout",
        _ => "An unexpected error occurred",
    }
}
