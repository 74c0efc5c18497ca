//! The authorization endpoint: a login page asks for a code or a token on behalf of a user, and learns where to send the
//! user with it.

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use plugin_api::{Exchange, Outcome, without_argument};
use serde_json::{Map, Value};

use super::client::Client;
use super::handler::OAuth2;
use super::parameters::Parameters;
use super::proof;
use super::refusal::{ProtocolError, Refusal, document};
use super::tokens::Grant;

/// What is encoded in an address: all but the characters that RFC 3986 does not reserve.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// What can be asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Code,
    Token,
}

/// In which part of an address parameters are sent back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Query,
    /// Servers do not see it.
    Fragment,
}

impl OAuth2 {
    /// Answers a request to the endpoint.
    pub(super) async fn authorize(&self, exchange: &Exchange<'_>) -> Outcome {
        let parameters = Parameters::of(exchange);
        let state = parameters.state();
        let begun = self.begin(exchange, &parameters).await;
        let (user, client) = match begun {
            Ok(begun) => begun,
            Err(refusal) => return refusal.answer(state),
        };
        let (way, known) = Client::way_back(client.as_ref(), &parameters);
        let decided = match self.challenge(client.as_ref(), &parameters) {
            Ok(challenge) => {
                let known = known.and(client.as_ref().ok_or_else(ProtocolError::invalid_client));
                self.decide(exchange, &parameters, known, user, challenge)
                    .await
            }
            Err(error) => Err(error.into()),
        };
        let (status, part, mut members) = match decided {
            Ok((Wanted::Code, members)) => (200, Part::Query, members),
            Ok((Wanted::Token, members)) => (200, Part::Fragment, members),
            Err(Refusal::Error(error)) => (400, Part::Query, error.members()),
            Err(other) => return other.answer(state),
        };
        let Some(way) = way else {
            return Ok(document(status, members, state).into());
        };
        if let Some(state) = state {
            members.insert("state".to_owned(), state.clone());
        }
        let uri = send_back(way, &members, part);
        let members = Map::from_iter([("redirect_uri".to_owned(), uri.into())]);
        Ok(document(status, members, None).into())
    }

    /// Finds out on whose behalf which client asks. What is wrong until here is told to the login page only.
    async fn begin<'a>(
        &self,
        exchange: &Exchange<'_>,
        parameters: &'a Parameters,
    ) -> Result<(&'a str, Option<Client>), Refusal> {
        self.check_request(exchange)?;
        self.check_provision_key(parameters)?;
        let user = user(parameters)?;
        let client = self.client(parameters.text("client_id")).await?;
        Ok((user, client))
    }

    /// The hash of the proof key, which some clients must send.
    fn challenge(
        &self,
        client: Option<&Client>,
        parameters: &Parameters,
    ) -> Result<Option<String>, ProtocolError> {
        let challenge = proof::challenge(parameters)?;
        match client {
            Some(client) if challenge.is_none() && self.config.wants_proof(client) => {
                let kind = client.kind();
                let message = format!("code_challenge is required for {kind} clients");
                Err(ProtocolError::new("invalid_request", message))
            }
            _ => Ok(challenge),
        }
    }

    async fn decide(
        &self,
        exchange: &Exchange<'_>,
        parameters: &Parameters,
        client: Result<&Client, ProtocolError>,
        user: &str,
        challenge: Option<String>,
    ) -> Result<(Wanted, Map<String, Value>), Refusal> {
        let client = client?;
        let scope = self.scope(parameters)?;
        let wanted = self.wanted(parameters)?;
        let grant = Grant {
            client: client.id,
            service: self.service(exchange)?,
            user: Some(user),
            scope: scope.as_deref(),
            refreshable: false,
        };
        let members = match wanted {
            Wanted::Code => {
                let code = self.store_code(&grant, challenge.as_deref()).await?;
                Map::from_iter([("code".to_owned(), code.into())])
            }
            Wanted::Token => self.store(&grant).await?.members(),
        };
        Ok((wanted, members))
    }

    fn wanted(&self, parameters: &Parameters) -> Result<Wanted, ProtocolError> {
        let config = &self.config;
        match parameters.text("response_type") {
            Some("code") if config.enable_authorization_code => Ok(Wanted::Code),
            Some("token") if config.enable_implicit_grant => Ok(Wanted::Token),
            _ => {
                let error = "unsupported_response_type";
                Err(ProtocolError::new(error, "Invalid response_type"))
            }
        }
    }
}

/// The user on whose behalf a request is, as who holds the provision key says.
pub(super) fn user(parameters: &Parameters) -> Result<&str, ProtocolError> {
    let error = |message: &'static str| ProtocolError::new("invalid_authenticated_userid", message);
    let user = parameters.filled("authenticated_userid");
    let user = user.ok_or_else(|| error("Missing authenticated_userid parameter"))?;
    if user.chars().any(char::is_control) {
        // It could not stand in a header.
        return Err(error("authenticated_userid has control characters"));
    }
    Ok(user)
}

/// An address with parameters added. What the address has of its own stays as it is, but for parameters of the same
/// names, so that nobody is misled by two.
pub(super) fn send_back(uri: &str, parameters: &Map<String, Value>, part: Part) -> String {
    let uri = uri.split('#').next().unwrap_or_default();
    let (place, query) = uri.split_once('?').unwrap_or((uri, ""));
    let sorted: BTreeMap<_, _> = parameters.iter().collect();
    let mut pairs = Vec::new();
    let mut rest = query.as_bytes().to_vec();
    for (name, value) in sorted {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rest = without_argument(&rest, name.as_bytes());
        pairs.push(format!("{name}={}", utf8_percent_encode(&text, ENCODED)));
    }
    let added = pairs.join("&");
    let rest = String::from_utf8_lossy(&rest).into_owned();
    match part {
        Part::Fragment if query.is_empty() => format!("{place}#{added}"),
        Part::Fragment => format!("{place}?{query}#{added}"),
        Part::Query if rest.is_empty() => format!("{place}?{added}"),
        Part::Query => format!("{place}?{rest}&{added}"),
    }
}
