//! Calls the function with what the client sent, and answers with what it says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, HttpRequest, Needs, Outcome, Phase, Reply,
    Services, Step, TlsOptions,
};
use serde::Deserialize;
use stdx::Secret;

use crate::outbound::{self, Answer};

/// The longest body of a client that is passed on.
const MOST_BODY: u64 = 10 << 20;
/// The longest answer of a function.
const MOST_ANSWER: usize = 32 << 20;
/// How long a call may take where the configuration has nothing.
const USUAL_TIME: f64 = 60_000.0;

/// Headers that only concern the connection to the client, or that are written anew.
const STAYING_HERE: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    KEY,
    CLIENT_ID,
];
const KEY: &str = "x-functions-key";
const CLIENT_ID: &str = "x-functions-clientid";

/// What cannot stand in a path or query; what is encoded already stays as it is.
const UNFIT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[derive(Deserialize)]
struct Config {
    timeout: Option<f64>,
    keepalive: Option<f64>,
    https: Option<bool>,
    https_verify: Option<bool>,
    apikey: Option<String>,
    clientid: Option<String>,
    appname: String,
    hostdomain: String,
    routeprefix: Option<String>,
    functionname: String,
}

struct AzureFunctions {
    /// Without a query.
    url: String,
    key: Option<Secret>,
    client_id: Option<Secret>,
    timeout: Duration,
    keep_alive: Duration,
    tls: TlsOptions,
    services: Services,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(AzureFunctions {
        url: config.url(),
        key: config.apikey.map(Secret::new),
        client_id: config.clientid.map(Secret::new),
        timeout: outbound::time_limit("timeout", config.timeout.unwrap_or(USUAL_TIME))?,
        keep_alive: outbound::keep_alive("keepalive", config.keepalive.unwrap_or(USUAL_TIME))?,
        tls: TlsOptions {
            server_name: None,
            verify: config.https_verify.unwrap_or(false),
        },
        services: services.clone(),
    }))
}

impl Config {
    fn url(&self) -> String {
        let scheme = match self.https {
            Some(true) => "https",
            _ => "http",
        };
        let mut url = format!("{scheme}://{}.{}", self.appname, self.hostdomain);
        let prefix = self.routeprefix.as_deref().unwrap_or_default();
        for part in [prefix, &self.functionname] {
            let part = part.trim_matches('/');
            if !part.is_empty() {
                url.push('/');
                url.extend(percent_encode(part.as_bytes(), UNFIT));
            }
        }
        url
    }
}

impl Handler for AzureFunctions {
    fn needs(&self) -> Needs {
        Needs {
            request_body: true,
            held_body: MOST_BODY,
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if exchange.work.body_length > exchange.body().len() as u64 {
            return Step::answer(Reply::message(413, "Request body too large"));
        }
        Step::later(self.call(exchange))
    }
}

impl AzureFunctions {
    async fn call(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let called = self.services.network.http(self.request(exchange)).await;
        let answer = match called {
            Ok(answer) if answer.status >= 200 => answer,
            Ok(answer) => return Ok(failed(&format!("it answered {}", answer.status))),
            Err(error) => return Ok(failed(&error.to_string())),
        };
        let answer = Answer {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        };
        Ok(Flow::from(answer.into_reply(exchange, &self.services.node)))
    }

    fn request(&self, exchange: &Exchange<'_>) -> HttpRequest {
        let mut url = self.url.clone();
        let query = exchange.query();
        if !query.is_empty() {
            url.push('?');
            url.extend(percent_encode(query, UNFIT));
        }
        let fields = exchange.head.headers.iter().map(|field| {
            let name = String::from_utf8_lossy(field.name).into_owned();
            (name, field.value.to_vec())
        });
        let mut headers: Vec<_> = fields
            .filter(|(name, _)| {
                let mut staying = STAYING_HERE.iter();
                !staying.any(|staying| staying.eq_ignore_ascii_case(name))
            })
            .collect();
        for (name, secret) in [(KEY, &self.key), (CLIENT_ID, &self.client_id)] {
            if let Some(secret) = secret {
                headers.push((name.to_owned(), secret.expose().into()));
            }
        }
        HttpRequest {
            method: exchange.head.method().as_str().to_owned(),
            url,
            headers,
            body: Bytes::copy_from_slice(exchange.body()),
            timeout: self.timeout,
            keep_alive: self.keep_alive,
            tls: self.tls.clone(),
            max_response: MOST_ANSWER,
        }
    }
}

fn failed(reason: &str) -> Flow {
    tracing::error!(plugin = super::DECLARATION.name, "the function: {reason}");
    Flow::from(Reply::message(500, "An unexpected error occurred"))
}
