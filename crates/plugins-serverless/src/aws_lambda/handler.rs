//! Calls the function, and answers with what it says.

use std::sync::Arc;

use aws::{Keeper, Signable};
use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, HttpProxy, HttpRequest, HttpResponse, Needs,
    Outcome, Phase, Reply, Services, Step, TlsOptions,
};
use serde_json::Value;
use stdx::Moment;

use super::answer::{self, Reading};
use super::config::{Config, Target};
use super::event::Telling;

/// The longest body of a client that is passed on: what a function can be called with.
const MOST_BODY: u64 = 6 << 20;
/// The longest answer of a function.
const MOST_ANSWER: usize = 16 << 20;
/// How much of an error's reason is told.
const MOST_TOLD: usize = 300;

struct AwsLambda {
    target: Target,
    /// The headers that say how the function is called.
    headers: Vec<(String, Vec<u8>)>,
    telling: Telling,
    skips_large_bodies: bool,
    reading: Reading,
    credentials: Arc<Keeper>,
    proxy: Option<HttpProxy>,
    services: Services,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    if let Some(status @ ..200) = config.unhandled_status {
        let reason = format!("unhandled_status: no answer ends with {status}");
        return Err(Failure::new(reason));
    }
    let is = |flag: Option<bool>| flag.unwrap_or(false);
    let header = |name: &str, value: &str| (name.to_owned(), value.into());
    Ok(Arc::new(AwsLambda {
        target: config.target(services)?,
        headers: vec![
            header("x-amz-invocation-type", &config.invocation_type),
            header("x-amz-log-type", &config.log_type),
        ],
        telling: Telling {
            as_api_gateway: is(config.awsgateway_compatible),
            method: is(config.forward_request_method),
            headers: is(config.forward_request_headers),
            uri: is(config.forward_request_uri),
            body: is(config.forward_request_body),
            base64: config.base64_encode_body.unwrap_or(true),
        },
        skips_large_bodies: config.skip_large_bodies.unwrap_or(true),
        reading: Reading {
            is_proxy_integration: is(config.is_proxy_integration),
            unhandled_status: config.unhandled_status,
            empties_arrays: config.empty_arrays_mode == "legacy",
        },
        credentials: config.credentials(services)?,
        proxy: config.proxy()?,
        services: services.clone(),
    }))
}

impl Handler for AwsLambda {
    fn needs(&self) -> Needs {
        Needs {
            request_body: self.telling.needs_body(),
            held_body: match self.skips_large_bodies {
                true => 0,
                false => MOST_BODY,
            },
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if exchange.work.body_length > exchange.body().len() as u64 {
            if !self.skips_large_bodies {
                return Step::answer(Reply::message(413, "Request body too large"));
            }
            let request_id = exchange.connection.request_id;
            let plugin = super::DECLARATION.name;
            tracing::error!(plugin, request_id, "a large body is skipped");
        }
        Step::later(self.call(exchange))
    }
}

impl AwsLambda {
    async fn call(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let clock = &self.services.clock;
        let began = clock.monotonic();
        let event = self.telling.event(exchange, &self.services);
        let said = self.invoke(&event).await;
        let waited = clock.monotonic().saturating_duration_since(began);
        exchange.work.waited = Some(waited);
        let reply = match self.reading.answer(said?) {
            Ok(answer) => answer.into_reply(exchange, &self.services.node),
            Err(reason) => {
                let request_id = exchange.connection.request_id;
                let plugin = super::DECLARATION.name;
                tracing::error!(plugin, request_id, "the function's answer: {reason}");
                answer::refusal(&reason)
            }
        };
        Ok(Flow::from(reply))
    }

    async fn invoke(&self, event: &Value) -> Result<HttpResponse, Failure> {
        let credentials = self.credentials.get().await;
        let credentials =
            credentials.map_err(|reason| Failure::new(format!("credentials: {reason}")))?;
        let body = event.to_string().into_bytes();
        let signable = Signable {
            service: "lambda",
            region: &self.target.region,
            method: "POST",
            host: &self.target.host,
            path: &self.target.path,
            query: &self.target.query,
            headers: self.headers.clone(),
            body: &body,
        };
        let now = Moment::from(self.services.clock.now());
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: self.target.url.clone(),
            headers: aws::sign(signable, &credentials, now),
            body: body.into(),
            timeout: self.target.timeout,
            keep_alive: self.target.keep_alive,
            tls: TlsOptions {
                server_name: None,
                // Compat: a server that was named may have any certificate.
                verify: self.target.is_amazons,
            },
            max_response: MOST_ANSWER,
        };
        let said = aws::exchange(&self.services.network, self.proxy.as_ref(), request).await;
        let said = said.map_err(|error| Failure::new(format!("the function: {error}")))?;
        match said.status {
            200..=399 => Ok(said),
            status => Err(Failure::new(refused(status, &said.body))),
        }
    }
}

/// Why the service did not call the function.
fn refused(status: u16, body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = ["Message", "message"]
        .iter()
        .find_map(|name| said.get(name)?.as_str())
        .unwrap_or_default();
    let message: String = message.chars().take(MOST_TOLD).collect();
    format!("the service answered {status}: {message:?}")
}
