//! Asks a model instead of the service, and brings its answer into OpenAI's form.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{
    Body, Configured, Exchange, Failure, Flow, Handler, Known, Needs, Outcome, Phase, Reply,
    ResponseHead, Services, Step, Summary,
};
use serde::Deserialize;
use serde_json::{Value, json};
use stdx::Clock;

use super::asked::{Asked, Passing};
use super::{request, statistics};
use crate::account::{Account, Outgoing};
use crate::coding;
use crate::conversation::{Format, MOST_HELD, refusal};
use crate::effects;
use crate::native::Native;
use crate::provider;
use crate::settings::{Llm, Provider, RouteType};
use crate::usage::Tokens;

/// The header that names the model.
const MODEL: &str = "X-Kong-LLM-Model";

#[derive(Deserialize)]
struct Config {
    response_streaming: Streaming,
    max_request_body_size: u64,
    model_name_header: bool,
    llm_format: Format,
}

/// Whether answers may, may not or must be streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Streaming {
    Allow,
    Deny,
    Always,
}

pub(super) struct Proxy {
    pub llm: Llm,
    /// The provider's language, if clients speak that.
    pub native: Option<Native>,
    /// Who the provider takes the gateway for, if it is no matter of headers and parameters.
    account: Option<Account>,
    pub streaming: Streaming,
    /// The most bytes of a request that are looked at.
    pub most: u64,
    names_model: bool,
    pub id: String,
    clock: Arc<dyn Clock>,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let native = config.llm_format.native();
    let mut llm: Llm = record.read()?;
    let account = effects::check("ai-proxy", &mut llm, services)?;
    if native.is_some() {
        effects::check_native("ai-proxy", &llm);
    }
    Ok(Arc::new(Proxy {
        llm,
        native,
        account,
        streaming: config.response_streaming,
        most: config.max_request_body_size,
        names_model: config.model_name_header,
        id: record.id.to_string(),
        clock: services.clock.clone(),
    }))
}

impl Handler for Proxy {
    fn needs(&self) -> Needs {
        let phases = [
            Phase::Access,
            Phase::Response,
            Phase::HeaderFilter,
            Phase::BodyFilter,
            Phase::Log,
        ];
        Needs {
            request_body: true,
            held_body: self.most.min(MOST_HELD),
            ..Needs::phases(&phases)
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        exchange.state::<Asked>().since = Some(self.clock.monotonic());
        if let Err(reason) = request::send(self, exchange) {
            return Step::answer(refusal(reason));
        }
        match &self.account {
            None => Step::next(),
            Some(account) => Step::later(prove(account, exchange)),
        }
    }

    fn response<'a>(
        &'a self,
        exchange: &'a mut Exchange<'_>,
        head: &'a mut ResponseHead,
        body: &'a mut Bytes,
    ) -> Step<'a> {
        Step::Now(self.hold(exchange, head, body).map(|()| Flow::Next))
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        let from_upstream = exchange.from_upstream;
        let asked = exchange.state::<Asked>();
        if !from_upstream || !asked.passes() {
            return Ok(());
        }
        self.answered(asked);
        if head.status() == 200 {
            self.name_model(asked, head);
        }
        if !asked.streams {
            return Ok(());
        }
        if self.native.is_some() {
            self.watch(asked, head);
            return Ok(());
        }
        if head.status() == 200 && self.llm.route_type != RouteType::Preserve {
            let passing = Passing::begin(&self.llm, &head.headers);
            asked.passing = Some(Box::new(passing));
            if coding::is_packed(&head.headers) {
                head.headers.remove(Known::ContentEncoding);
            }
            self.hide_cookies(head);
            exchange.work.answer_length_changes = true;
        }
        // Compat: whatever an answer to such a request is.
        head.headers.set(Known::ContentType, "text/event-stream")?;
        Ok(())
    }

    fn body_filter(
        &self,
        exchange: &mut Exchange<'_>,
        piece: &mut Bytes,
        last: bool,
    ) -> Result<(), Failure> {
        let asked = exchange.state::<Asked>();
        if let (Some(passing), Some(model)) = (&mut asked.passing, &asked.model) {
            let passed = passing.pass(model, self.llm.route_type, piece, last)?;
            if self.native.is_none() {
                *piece = passed;
            }
        }
        Ok(())
    }

    fn log(&self, exchange: &mut Exchange<'_>, _summary: &Summary<'_>) {
        let asked = std::mem::take(exchange.state::<Asked>());
        let edits = statistics::edits(self, asked);
        exchange.work.log_edits.extend(edits);
    }
}

/// Gives the request what proves it to be the account's. Nothing that this depends on may change behind it.
async fn prove(account: &Account, exchange: &mut Exchange<'_>) -> Outcome {
    let Some(model) = exchange.state::<Asked>().model.clone() else {
        return Ok(Flow::Next);
    };
    let is_held = exchange.work.body.is_some() || exchange.work.body_length == 0;
    if !is_held && account.reads_body() {
        let reason = "request body is longer than max_request_body_size";
        return Ok(refusal(reason).into());
    }
    exchange
        .head
        .headers
        .retain(|header| !account.replaces(header.name));
    if let Some(query) = account.query(exchange.query()) {
        exchange.set_query(query.as_bytes());
    }
    let target = String::from_utf8_lossy(exchange.target);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let outgoing = Outgoing {
        method: exchange.head.method().as_str(),
        host: exchange
            .work
            .upstream
            .host_header
            .as_deref()
            .unwrap_or_default(),
        path,
        query,
        body: exchange.body(),
    };
    match account.prove(&model, &outgoing).await {
        Ok(proofs) => {
            let proofs = proofs.into_iter().filter(|(name, _)| name != "host");
            for (name, value) in proofs {
                exchange.head.headers.set(&*name, value)?;
            }
            Ok(Flow::Next)
        }
        Err(reason) => {
            tracing::error!("ai-proxy: a request cannot be proved to its provider: {reason}");
            let error = json!({ "error": { "message": "LLM request failed before proxying" } });
            Ok(Reply::new(500).with_body(Body::Json(error)).into())
        }
    }
}

impl Proxy {
    /// An answer that is held as a whole.
    fn hold(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
        body: &mut Bytes,
    ) -> Result<(), Failure> {
        let packs = exchange.state::<Asked>().takes_packed;
        let asked = exchange.state::<Asked>();
        let Some(model) = asked.model.clone() else {
            return Ok(());
        };
        self.answered(asked);
        let mut plain = match coding::is_packed(&head.headers) {
            true => coding::unpack(body).map(Bytes::from).unwrap_or_default(),
            false => body.clone(),
        };
        if head.status() == 200 {
            self.name_model(asked, head);
            if self.native.is_some() {
                self.hide_cookies(head);
            } else if self.llm.route_type != RouteType::Preserve {
                self.hide_cookies(head);
                match provider::answer(&model, self.llm.route_type, &plain) {
                    Ok(answer) => plain = Bytes::copy_from_slice(&answer),
                    Err(reason) => {
                        tracing::warn!("the answer of a model cannot be used: {reason}");
                        head.set_status(500);
                        head.headers.set(Known::ContentType, "application/json")?;
                        plain = json!({ "error": { "message": reason } }).to_string().into();
                    }
                }
            }
        }
        self.note(asked, &plain);
        if is_other_coding(head) {
            return Ok(());
        }
        if packs {
            let packed = coding::pack(&plain);
            let packed = packed.map_err(|error| Failure::new(error.to_string()))?;
            head.headers.set(Known::ContentEncoding, "gzip")?;
            *body = packed.into();
        } else {
            head.headers.remove(Known::ContentEncoding);
            *body = plain;
        }
        Ok(())
    }

    /// A stream that passes as it is, and is listened to if the log wants to know of it.
    fn watch(&self, asked: &mut Asked, head: &mut ResponseHead) {
        if head.status() != 200 {
            return;
        }
        let logging = self.llm.logging;
        if logging.log_statistics || logging.log_payloads {
            let passing = Passing::begin(&self.llm, &head.headers);
            asked.passing = Some(Box::new(passing));
        }
        self.hide_cookies(head);
    }

    /// Notes what the log wants of an answer.
    fn note(&self, asked: &mut Asked, body: &Bytes) {
        let logging = self.llm.logging;
        if !logging.log_statistics && !logging.log_payloads {
            return;
        }
        if let Ok(answer) = serde_json::from_slice::<Value>(body) {
            let (said, model) = match self.native {
                Some(native) => (native.tokens(&answer), native.answered_by(&answer)),
                None => (
                    answer.get("usage").and_then(Tokens::of_usage),
                    answer.get("model").and_then(Value::as_str),
                ),
            };
            asked.tokens.learn(said.unwrap_or_default());
            asked.answered_by = model.map(str::to_owned);
        }
        if logging.log_payloads {
            asked.answer = Some(String::from_utf8_lossy(body).into_owned());
        }
    }

    fn answered(&self, asked: &mut Asked) {
        if let Some(since) = asked.since {
            asked.latency = self.clock.monotonic().saturating_duration_since(since);
        }
    }

    fn name_model(&self, asked: &Asked, head: &mut ResponseHead) {
        let model = asked.model.as_ref().filter(|_| self.names_model);
        if let Some((model, name)) = model.and_then(|model| Some((model, model.name.as_ref()?))) {
            let named = format!("{}/{name}", model.provider.name());
            if head.headers.set(MODEL, named).is_err() {
                tracing::debug!("a model has a name that cannot stand in a header");
            }
        }
    }

    /// Cookies of these providers are for those who call them, not for clients of the gateway.
    fn hide_cookies(&self, head: &mut ResponseHead) {
        use Provider::{Azure, Bedrock, Gemini, Mistral, Openai};
        if matches!(
            self.llm.model.provider(),
            Openai | Azure | Mistral | Gemini | Bedrock
        ) {
            head.headers.remove(Known::SetCookie);
        }
    }
}

/// Whether an answer is packed in a way that is not understood: it goes on as it is.
fn is_other_coding(head: &ResponseHead) -> bool {
    let coding = head.headers.get(Known::ContentEncoding);
    let is_other = coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    is_other && !coding::is_packed(&head.headers) && head.status() != 500
}
