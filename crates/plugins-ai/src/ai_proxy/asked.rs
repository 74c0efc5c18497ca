//! What the plugin keeps of one exchange, and a stream on its way to the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use plugin_api::{Failure, Headers, Known};
use serde_json::{Value, json};

use crate::coding::{Unpacking, is_packed};
use crate::events::{DONE, Event, Events};
use crate::provider::{self, Data, Remembered};
use crate::settings::{Llm, Model, RouteType};
use crate::usage::Tokens;

/// How much of a body is looked at in one go.
const PORTION: usize = 4 << 10;

/// What is known of a request to a model.
#[derive(Default)]
pub(super) struct Asked {
    pub since: Option<Instant>,
    /// How long the model took to begin its answer.
    pub latency: Duration,
    /// The name of a model that the client has said.
    pub wanted: Option<String>,
    /// The model that is asked; none if the request was refused.
    pub model: Option<Arc<Model>>,
    /// Whether the answer is to be a stream.
    pub streams: bool,
    /// Whether the answer is passed on as it comes.
    pub passes_as_is: bool,
    pub takes_packed: bool,
    pub tokens: Tokens,
    /// The name of the model that answered, as the answer says it.
    pub answered_by: Option<String>,
    /// The body of the request, if it is logged.
    pub request: Option<Bytes>,
    /// The body of the answer, if it is logged.
    pub answer: Option<String>,
    pub passing: Option<Box<Passing>>,
}

impl Asked {
    /// Whether the answer is passed on piece by piece.
    pub fn passes(&self) -> bool {
        self.model.is_some() && (self.streams || self.passes_as_is)
    }
}

/// A stream on its way to the client.
pub(super) struct Passing {
    /// None if the answer is no stream, or no longer one.
    events: Option<Events>,
    unpacking: Option<Unpacking>,
    remembered: Remembered,
    /// Whether the client was told that nothing more can be said.
    failed: bool,
    pub tokens: Tokens,
    /// How many bytes the model has said.
    pub said_bytes: u64,
    /// What it has said, if that is logged.
    pub said: Option<String>,
    pub finish_reason: Value,
}

impl Passing {
    /// Of an answer with these headers.
    pub fn begin(llm: &Llm, headers: &Headers) -> Self {
        Self {
            events: Events::of(headers.get(Known::ContentType)),
            unpacking: is_packed(headers).then(Unpacking::new),
            remembered: Remembered::default(),
            failed: false,
            tokens: Tokens::default(),
            said_bytes: 0,
            said: llm.logging.log_payloads.then(String::new),
            finish_reason: Value::Null,
        }
    }

    /// What the client gets of a piece.
    pub fn pass(
        &mut self,
        model: &Model,
        route: RouteType,
        piece: &Bytes,
        last: bool,
    ) -> Result<Bytes, Failure> {
        if self.failed || (piece.is_empty() && !last) {
            return Ok(Bytes::new());
        }
        if self.events.is_none() {
            return Ok(match piece.is_empty() {
                true => Bytes::new(),
                false => self.fail("empty or unsupported transformer response"),
            });
        }
        let mut out = Vec::with_capacity(piece.len());
        // In portions, so that a small piece cannot become a huge one unseen.
        for portion in piece.chunks(PORTION) {
            let found = match self.events_of(portion) {
                Ok(found) => found,
                Err(reason) => {
                    out.extend_from_slice(&self.fail(&reason));
                    return Ok(out.into());
                }
            };
            for event in found {
                self.translate(model, route, event, &mut out)?;
            }
        }
        if last {
            let rest = self.events.as_mut().map(Events::finish);
            for event in rest.unwrap_or_default() {
                self.translate(model, route, event, &mut out)?;
            }
        }
        Ok(out.into())
    }

    /// The events that are whole with this portion of the answer's body.
    fn events_of(&mut self, portion: &[u8]) -> Result<Vec<Event>, String> {
        let Some(events) = &mut self.events else {
            return Ok(Vec::new());
        };
        let found = match &mut self.unpacking {
            None => events.push(portion),
            Some(unpacking) => {
                let unpacked = unpacking.push(portion);
                events.push(&unpacked.ok_or("the answer cannot be unpacked")?)
            }
        };
        found.map_err(|error| error.to_string())
    }

    fn translate(
        &mut self,
        model: &Model,
        route: RouteType,
        event: Event,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let translated = provider::event(model, route, event, &mut self.remembered);
        self.tokens.learn(translated.tokens.unwrap_or_default());
        let Some(data) = translated.data else {
            return Ok(());
        };
        out.extend_from_slice(b"data: ");
        match data {
            // Compat: nothing stands behind the end ("a stream ends as in Kong").
            Data::Done => out.extend_from_slice(DONE.as_bytes()),
            Data::Verbatim(text) => {
                if let Ok(chunk) = serde_json::from_str(&text) {
                    self.listen(&chunk);
                }
                // An event of several lines stays one.
                out.extend_from_slice(text.replace('\n', "\ndata: ").as_bytes());
                out.extend_from_slice(b"\n\n");
            }
            Data::Chunk(chunk) => {
                self.listen(&chunk);
                serde_json::to_writer(&mut *out, &chunk)
                    .map_err(|error| Failure::new(format!("a chunk cannot be written: {error}")))?;
                out.extend_from_slice(b"\n\n");
            }
        }
        Ok(())
    }

    /// Notes what a chunk says.
    fn listen(&mut self, chunk: &Value) {
        /// The most bytes of what a model says that are logged.
        const MOST: usize = 1 << 20;
        let Some(choice) = chunk.pointer("/choices/0") else {
            return;
        };
        if let Some(reason) = choice.get("finish_reason") {
            self.finish_reason = reason.clone();
        }
        let said = choice
            .pointer("/delta/content")
            .or_else(|| choice.get("text"));
        let said = said.and_then(Value::as_str).unwrap_or_default();
        self.said_bytes += said.len() as u64;
        if let Some(all) = self
            .said
            .as_mut()
            .filter(|all| all.len() + said.len() <= MOST)
        {
            all.push_str(said);
        }
    }

    /// Tells the client, who has the head of the answer already, that there is no more.
    fn fail(&mut self, reason: &str) -> Bytes {
        tracing::warn!("the stream of a model cannot be read: {reason}");
        self.failed = true;
        self.events = None;
        let error = json!({ "error": true, "message": reason });
        format!("data: {error}").into()
    }
}
