//! What scripts ask of the gateway: one question, in words, and its answer.
//!
//! A question that cannot be answered is no fault of the machine: the code gets an error with the reason as its text.

mod answer;
mod client;
mod handshake;
mod request;
mod upstream;
mod variables;

use std::collections::VecDeque;

use mlua::{Lua, MultiValue, String as LuaString, Table, Value};
use plugin_api::{Body, LogEdit, LogEntry, LogMode, LogSubjects, NodeFacts, Reply, Services};

pub use answer::see;
pub use handshake::HandshakeHost;

use crate::json::{self, Marks};
use crate::native::well;
use crate::scene::{Scene, Stage};

/// The most bytes that code may say before it answers.
const MOST_SAID: usize = 16 << 20;

/// Answers the questions of one run.
pub struct Host<'h, 's, 'e> {
    scene: &'h mut Scene<'s, 'e>,
    marks: &'h Marks,
    reply: Option<Reply>,
    /// What `ngx.say` and `ngx.print` have said.
    said: Vec<u8>,
}

/// Why a question has no answer.
enum Fault {
    /// For the code to read.
    Said(String),
    /// Of the machine.
    Machine(mlua::Error),
}

impl From<mlua::Error> for Fault {
    fn from(error: mlua::Error) -> Self {
        Self::Machine(error)
    }
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Self::Said(reason)
    }
}

type Answer = Result<Vec<Value>, Fault>;

/// The words of a question.
struct Words(VecDeque<Value>);

impl Words {
    /// The topic of a question and its other words.
    fn of(question: MultiValue) -> (String, Self) {
        let mut words = Self(question.into_iter().collect());
        let topic = match words.value() {
            Value::String(topic) => topic.to_string_lossy(),
            _ => String::new(),
        };
        (topic, words)
    }

    fn value(&mut self) -> Value {
        self.0.pop_front().unwrap_or(Value::Nil)
    }

    fn maybe_bytes(&mut self) -> Option<Vec<u8>> {
        match self.value() {
            Value::String(text) => Some(text.as_bytes().to_vec()),
            Value::Integer(number) => Some(number.to_string().into_bytes()),
            Value::Number(number) => Some(number.to_string().into_bytes()),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Fault> {
        self.maybe_bytes().ok_or_else(|| said("a string is wanted"))
    }

    fn text(&mut self) -> Result<String, Fault> {
        String::from_utf8(self.bytes()?).map_err(|_| said("a string of UTF-8 is wanted"))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the number is checked before it is converted"
    )]
    fn maybe_number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        const EXACT: f64 = 9.0e15;
        let number = match self.value() {
            Value::Integer(number) => u64::try_from(number).ok()?,
            Value::Number(number) if (0.0..EXACT).contains(&number) => number as u64,
            _ => return None,
        };
        T::try_from(number).ok()
    }

    fn number<T: TryFrom<u64>>(&mut self) -> Result<T, Fault> {
        self.maybe_number()
            .ok_or_else(|| said("a number is wanted"))
    }

    /// The values of one header, which the prelude has checked.
    fn texts(&mut self) -> Result<Vec<Vec<u8>>, Fault> {
        match self.value() {
            Value::Table(table) => texts_of(&table),
            _ => Ok(Vec::new()),
        }
    }
}

fn texts_of(table: &Table) -> Result<Vec<Vec<u8>>, Fault> {
    let values = table.sequence_values::<LuaString>();
    let values = values.map(|value| Ok(value?.as_bytes().to_vec()));
    values.collect()
}

fn said(reason: impl Into<String>) -> Fault {
    Fault::Said(reason.into())
}

impl<'h, 's, 'e> Host<'h, 's, 'e> {
    pub fn new(scene: &'h mut Scene<'s, 'e>, marks: &'h Marks) -> Self {
        Self {
            scene,
            marks,
            reply: None,
            said: Vec::new(),
        }
    }

    /// Answers one question.
    pub fn answer(&mut self, lua: &Lua, question: MultiValue) -> mlua::Result<MultiValue> {
        let (topic, mut words) = Words::of(question);
        let decided = self.decide(lua, &topic, &mut words);
        told(lua, decided)
    }

    /// What the code answered in place of the upstream.
    pub fn into_reply(self) -> Option<Reply> {
        if self.reply.is_none() && !self.said.is_empty() {
            return Some(Reply::new(200).with_body(Body::Bytes(self.said.into())));
        }
        self.reply
    }

    fn decide(&mut self, lua: &Lua, topic: &str, words: &mut Words) -> Answer {
        match topic {
            "request" => self.request(lua, &words.text()?),
            "request.query" => self.query(lua, words.maybe_number()),
            "request.get_header" => self.request_header(lua, &words.text()?),
            "request.headers" => self.request_headers(lua, words.maybe_number()),
            "request.raw_body" => self.raw_body(lua),
            "request.raw_body_or_nil" => self.raw_body_or_nil(lua),
            "request.body" => self.body_arguments(lua, words.maybe_bytes()),
            "upstream.header" => self.set_upstream_header(words),
            "upstream.scheme" => self.set_scheme(words),
            "upstream.path" => self.set_path(words),
            "upstream.query" => self.set_query(words),
            "upstream.clear_query_arg" => self.clear_query_argument(words),
            "upstream.method" => self.set_method(words),
            "upstream.body" => self.set_request_body(words),
            "service.target" => self.set_target(words),
            "service.status" => self.service_status(),
            "response.header" => self.set_answer_header(words),
            "response.headers" => self.answer_headers(lua),
            "response.status" => self.answer_status(),
            "response.status_or_zero" => self.answer_status_or_zero(),
            "response.set_status" => self.set_answer_status(words),
            "response.source" => self.answer_source(lua),
            "response.body" => self.answer_body(lua),
            "response.set_body" => self.set_answer_body(words),
            "exit" => self.exit(words),
            "error" => self.exit_with_error(words),
            "ngx_exit" => self.ngx_exit(words),
            "say" => self.say(words),
            "piece" => self.piece(lua),
            "last" => self.last(),
            "set_piece" => self.set_piece(words),
            "client" => self.client(lua, &words.text()?),
            "client.authenticate" => self.authenticate(words),
            "node" => node(&self.scene.services.node, lua, &words.text()?),
            "router" => self.matched(lua, &words.text()?),
            "plugin.id" => text(lua, self.scene.plugin_id.to_string()),
            "clock" => clock(self.scene.services),
            "var" => self.variable(lua, &words.text()?),
            "set_var" => self.set_variable(words),
            "tls.server_name" => self.server_name(lua),
            "tls.client_chain" => self.client_chain(lua),
            "tls.ask_client" | "tls.forget" => Err(self.not_now()),
            "log" => log(self.scene.plugin, words),
            "log.entry" => self.log_entry(lua),
            "log.value" => self.log_value(words),
            other => Err(said(format!("{other} is not available in Silverback"))),
        }
    }

    /// The reason why something cannot be done at this stage.
    fn not_now(&self) -> Fault {
        let phase = self.scene.stage.phase().name();
        said(format!("function cannot be called in {phase} phase"))
    }

    /// Whether the request can still be changed and answered.
    fn before_upstream(&self) -> Result<(), Fault> {
        match self.scene.stage {
            Stage::Rewrite | Stage::Access => Ok(()),
            _ => Err(self.not_now()),
        }
    }

    /// The log entry as it is at the end of this question.
    fn log_entry(&self, lua: &Lua) -> Answer {
        let Stage::Log(summary) = &self.scene.stage else {
            return Err(self.not_now());
        };
        let exchange = &*self.scene.exchange;
        let mut text = Vec::new();
        LogEntry::of(exchange, summary).write(&mut text);
        LogSubjects::of(self.scene.services).complete_now(&mut text, &exchange.matched);
        let mut entry = serde_json::from_slice(&text)
            .map_err(|error| said(format!("the log entry is no JSON: {error}")))?;
        for edit in &exchange.work.log_edits {
            edit.apply(&mut entry);
        }
        let table = json::to_lua(lua, self.marks, &entry.into())?;
        Ok(vec![table])
    }

    fn log_value(&mut self, words: &mut Words) -> Answer {
        let path = words.text()?;
        let value = words.value();
        let mode = match &*words.text()? {
            "add" => LogMode::Add,
            "replace" => LogMode::Replace,
            _ => LogMode::Always,
        };
        let value = match value {
            Value::Nil => None,
            value => Some(json::from_lua(self.marks, &value)?),
        };
        self.scene.exchange.work.log_edits.push(LogEdit {
            path: path.into(),
            value,
            mode,
        });
        Ok(Vec::new())
    }
}

/// A text as an answer.
fn text(lua: &Lua, text: impl AsRef<[u8]>) -> Answer {
    Ok(vec![Value::String(lua.create_string(text)?)])
}

/// A text or nothing.
fn maybe(lua: &Lua, text: Option<impl AsRef<[u8]>>) -> Answer {
    Ok(vec![match text {
        Some(text) => Value::String(lua.create_string(text)?),
        None => Value::Nil,
    }])
}

/// An answer as the code gets it.
fn told(lua: &Lua, answer: Answer) -> mlua::Result<MultiValue> {
    match answer {
        Ok(values) => Ok(well(values)),
        Err(Fault::Said(reason)) => Ok([
            Value::Boolean(false),
            Value::String(lua.create_string(reason)?),
        ]
        .into_iter()
        .collect()),
        Err(Fault::Machine(error)) => Err(error),
    }
}

fn node(node: &NodeFacts, lua: &Lua, what: &str) -> Answer {
    match what {
        "id" => text(lua, node.id.to_string()),
        "hostname" => text(lua, &*node.hostname),
        "pid" => Ok(vec![Value::Number(f64::from(std::process::id()))]),
        other => Err(said(format!(
            "the node's {other} is not available in Silverback"
        ))),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds since 1970 are exact in a float"
)]
fn clock(services: &Services) -> Answer {
    let millis = services.clock.unix_millis();
    Ok(vec![Value::Number(millis as f64 / 1000.0)])
}

fn log(plugin: &str, words: &mut Words) -> Answer {
    let level = words.text()?;
    let text = words.maybe_bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    match &*level {
        "emerg" | "alert" | "crit" | "err" => tracing::error!(plugin, "{text}"),
        "warn" => tracing::warn!(plugin, "{text}"),
        "notice" | "info" => tracing::info!(plugin, "{text}"),
        _ => tracing::debug!(plugin, "{text}"),
    }
    Ok(Vec::new())
}
