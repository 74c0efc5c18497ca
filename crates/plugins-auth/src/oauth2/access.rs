//! Asks for a token, and tells the upstream whose it is.

use plugin_api::{Body, BodyArguments, By, Exchange, Failure, Reply, arguments, without_argument};
use schema::Record;
use serde_json::{Value, json};

use super::handler::OAuth2;
use super::parameters::{Parameters, may_have_body};
use super::tokens::{TOKENS, foreign};
use crate::identity::{self, Denied};

const SCOPE: &str = "X-Authenticated-Scope";
const USER: &str = "X-Authenticated-UserId";

const PARAMETER: &str = "access_token";

const INVALID: &str = "The access token is invalid or has expired";

/// Removes what the upstream is told of a token.
pub(super) fn forget(exchange: &mut Exchange<'_>) {
    exchange.head.headers.remove(SCOPE);
    exchange.head.headers.remove(USER);
}

impl OAuth2 {
    /// Recognises the client by its token.
    pub(super) async fn authenticate(&self, exchange: &mut Exchange<'_>) -> Result<(), Denied> {
        let token = self.take_token(exchange)?.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| self.missing())?;
        let records = &self.services.records;
        let found = records.find(TOKENS, By::Unique(PARAMETER, &token));
        let token = found.get().await?.ok_or_else(|| self.invalid(INVALID))?;
        if !self.fits(&token, exchange) {
            let is_global = foreign(&token, "service").is_none();
            return Err(self.invalid(if is_global {
                "The access token is global, but the current plugin is configured without 'global_credentials'"
            } else {
                INVALID
            }));
        }
        let lifetime = token.get("expires_in").and_then(Value::as_i64);
        if self.is_over(&token, lifetime.unwrap_or_default()) {
            return Err(self.invalid(INVALID));
        }
        let application = foreign(&token, "credential").ok_or_else(|| self.invalid(INVALID))?;
        let found = records.find("oauth2_credentials", By::Id(application));
        let application = found.get().await?.ok_or_else(|| self.invalid(INVALID))?;
        let consumer = identity::consumer_of(&self.services, &application).await?;
        let credential = identity::credential(application, "client_id");
        let credential = credential.ok_or_else(|| self.invalid(INVALID))?;
        identity::identify(exchange, Some(consumer), Some(credential))?;
        tell(exchange, &token)?;
        Ok(())
    }

    /// The token of a request, taken out of it if it is not for the upstream.
    fn take_token(&self, exchange: &mut Exchange<'_>) -> Result<Option<String>, Failure> {
        let name = self.config.header();
        let hides = self.config.hide_credentials;
        if let Some(value) = exchange.head.headers.get(name) {
            let given = InHeader::read(value);
            if hides {
                // What is not a token is the credential of another plugin.
                if !matches!(given, InHeader::Other(_)) {
                    exchange.head.headers.remove(name);
                }
                hide_in_query(exchange);
            }
            return Ok(Some(given.token()));
        }
        let given = Parameters::of(exchange);
        if hides && given.has(PARAMETER) {
            hide_in_query(exchange);
            if may_have_body(exchange.head.method())
                && let Some(mut body) = BodyArguments::of(exchange)
                && !body.texts(PARAMETER).is_empty()
            {
                body.remove(PARAMETER);
                body.write_to(exchange)?;
            }
        }
        Ok(given.text(PARAMETER).map(str::to_owned))
    }

    fn missing(&self) -> Denied {
        let body = json!({
            "error": "invalid_request",
            "error_description": "The access token is missing",
        });
        self.refused(body, String::new())
    }

    fn invalid(&self, description: &str) -> Denied {
        let body = json!({ "error": "invalid_token", "error_description": description });
        let why = format!(" error=\"invalid_token\" error_description=\"{INVALID}\"");
        self.refused(body, why)
    }

    fn refused(&self, body: Value, why: String) -> Denied {
        let challenge = self.challenge_header(&why);
        let reply = Reply::new(401).with_body(Body::Json(body));
        Denied::Refused(reply.with_header("WWW-Authenticate", challenge))
    }
}

/// What the header for tokens holds.
enum InHeader {
    /// `Bearer …` or `token …`.
    Announced(String),
    /// A single word.
    ///
    /// Compat: it counts as a token without being announced.
    Bare(String),
    /// Anything else, such as `Basic …`.
    Other(String),
}

impl InHeader {
    fn read(value: &[u8]) -> Self {
        let text = std::str::from_utf8(value).unwrap_or_default();
        let words: Vec<&str> = text.split_ascii_whitespace().take(3).collect();
        let is_announced = |scheme: &str| {
            scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")
        };
        match *words.as_slice() {
            [scheme, token] if is_announced(scheme) => Self::Announced(token.to_owned()),
            [token] => Self::Bare(token.to_owned()),
            _ => Self::Other(text.to_owned()),
        }
    }

    fn token(self) -> String {
        match self {
            Self::Announced(token) | Self::Bare(token) | Self::Other(token) => token,
        }
    }
}

fn hide_in_query(exchange: &mut Exchange<'_>) {
    if arguments(exchange.query()).any(|given| *given.name == *PARAMETER.as_bytes()) {
        let query = without_argument(exchange.query(), PARAMETER.as_bytes());
        exchange.set_query(&query);
    }
}

/// Tells the upstream what a token is good for.
fn tell(exchange: &mut Exchange<'_>, token: &Record) -> Result<(), http1::Error> {
    for (name, field) in [(SCOPE, "scope"), (USER, "authenticated_userid")] {
        if let Some(value) = token.get(field).and_then(Value::as_str) {
            exchange.head.headers.set(name, value)?;
        }
    }
    Ok(())
}
