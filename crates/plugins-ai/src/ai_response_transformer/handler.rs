//! Has a model rewrite the answer of the upstream.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{
    Body, Configured, Exchange, Failure, Flow, Handler, Needs, Phase, Reply, ResponseHead,
    Services, Step,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::coding;
use crate::conversation::refusal;
use crate::introspection::Introspection;

#[derive(Deserialize)]
struct Config {
    max_request_body_size: u64,
    parse_llm_response_json_instructions: bool,
}

struct Transformer {
    model: Introspection,
    /// The most bytes of a request's body.
    most: u64,
    /// Whether the model says which answer to give, and not only its body.
    instructs: bool,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(Transformer {
        model: Introspection::build("ai-response-transformer", record, services)?,
        most: config.max_request_body_size,
        instructs: config.parse_llm_response_json_instructions,
    }))
}

impl Handler for Transformer {
    fn needs(&self) -> Needs {
        Needs {
            request_body: true,
            ..Needs::phases(&[Phase::Access, Phase::Response])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if exchange.work.body_length > self.most {
            return Step::answer(refusal("request body is longer than max_request_body_size"));
        }
        Step::next()
    }

    fn response<'a>(
        &'a self,
        exchange: &'a mut Exchange<'_>,
        head: &'a mut ResponseHead,
        body: &'a mut Bytes,
    ) -> Step<'a> {
        Step::later(async move {
            let given = match coding::is_packed(&head.headers) {
                true => coding::unpack(body).unwrap_or_default().into(),
                false => body.clone(),
            };
            let rewritten = match self.model.rewrite(exchange, &given).await {
                Ok(rewritten) => rewritten,
                Err(reason) => return Ok(refusal(reason).into()),
            };
            exchange.work.log_edits.extend(rewritten.log);
            let reply = self.reply(head, rewritten.text);
            Ok(Flow::from(reply.unwrap_or_else(|reason| {
                let message =
                    format!("failed to parse JSON response instructions from AI backend: {reason}");
                let error = json!({ "error": { "message": message } });
                Reply::new(500).with_body(Body::Json(error))
            })))
        })
    }
}

impl Transformer {
    /// The answer that the client gets: the upstream's, with what the model has made of it.
    fn reply(&self, head: &ResponseHead, text: String) -> Result<Reply, String> {
        let mut reply = Reply::new(head.status());
        for line in head.headers.iter() {
            let name = String::from_utf8_lossy(line.name).into_owned();
            let framing = [
                "content-length",
                "content-encoding",
                "transfer-encoding",
                "connection",
            ];
            if !framing
                .iter()
                .any(|framing| name.eq_ignore_ascii_case(framing))
            {
                reply.headers.push((Cow::Owned(name), line.value.to_vec()));
            }
        }
        if !self.instructs {
            return Ok(reply.with_body(Body::Bytes(text.into())));
        }
        let said: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if !said.is_object() && !said.is_array() {
            return Err("input not table or string".to_owned());
        }
        reply.status = status(&said)?;
        for (name, value) in said["headers"].as_object().into_iter().flatten() {
            let value = match value {
                Value::String(value) => value.clone(),
                value => value.to_string(),
            };
            check_header(name, &value)?;
            reply
                .headers
                .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
            reply
                .headers
                .push((Cow::Owned(name.clone()), value.into_bytes()));
        }
        let body = said
            .get("body")
            .filter(|body| !body.is_null())
            .unwrap_or(&said);
        Ok(match body {
            Value::String(text) => reply.with_body(Body::Bytes(text.clone().into())),
            body => {
                let typed =
                    |(name, _): &(Cow<'_, str>, _)| name.eq_ignore_ascii_case("content-type");
                reply.headers.retain(|header| !typed(header));
                reply.with_body(Body::Json(body.clone()))
            }
        })
    }
}

fn status(said: &Value) -> Result<u16, String> {
    match said.get("status").filter(|status| !status.is_null()) {
        None => Ok(200),
        Some(status) => {
            let status = status
                .as_u64()
                .and_then(|status| u16::try_from(status).ok());
            let status = status.filter(|status| (200..600).contains(status));
            status.ok_or_else(|| "the status is none".to_owned())
        }
    }
}

/// A model may say anything: what cannot stand in a head, or frames the message, must not get there.
fn check_header(name: &str, value: &str) -> Result<(), String> {
    const OURS: [&str; 4] = [
        "content-length",
        "transfer-encoding",
        "connection",
        "trailer",
    ];
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(token);
    let is_value = value
        .bytes()
        .all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f));
    let is_ours = OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours));
    match is_name && is_value && !is_ours {
        true => Ok(()),
        false => Err(format!("the header {name:?} cannot be sent")),
    }
}
