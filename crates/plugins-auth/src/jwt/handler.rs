//! Looks for a token in query, cookies and headers, and for whose it is.

use std::sync::Arc;

use plugin_api::{
    Body, Configured, Exchange, Failure, Handler, Method, Needs, Phase, Reply, Services, Step,
    arguments,
};
use schema::Record;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::token::{Algorithm, Token, decode_secret};
use crate::cookies::cookie;
use crate::header_names::dashed;
use crate::identities::{Identities, Kind, Sought};
use crate::identity::{self, Denied};

#[derive(Deserialize)]
struct Config {
    uri_param_names: Option<Vec<String>>,
    cookie_names: Option<Vec<String>>,
    header_names: Option<Vec<String>>,
    key_claim_name: Option<String>,
    secret_is_base64: bool,
    claims_to_verify: Option<Vec<Claim>>,
    maximum_expiration: Option<f64>,
    anonymous: Option<String>,
    run_on_preflight: bool,
    realm: Option<String>,
}

/// A claim about time that can be asked for.
#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Claim {
    Exp,
    Nbf,
}

struct Jwt {
    config: Config,
    key_claim: String,
    /// The value of `WWW-Authenticate` for who shows no token.
    challenge: String,
    /// The same for who shows a bad one.
    refusal: String,
    identities: Identities,
    services: Services,
}

const SECRETS: Kind = Kind {
    entity: "jwt_secrets",
    field: "key",
    identifier: "key",
};

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let challenge = match &config.realm {
        Some(realm) => format!("Bearer realm=\"{realm}\""),
        None => "Bearer".to_owned(),
    };
    Ok(Arc::new(Jwt {
        key_claim: config.key_claim_name.clone().unwrap_or("iss".to_owned()),
        refusal: format!("{challenge} error=\"invalid_token\""),
        challenge,
        config,
        identities: Identities::of(services, SECRETS),
        services: services.clone(),
    }))
}

impl Handler for Jwt {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let anonymous = self.config.anonymous.as_deref();
        let preflight = *exchange.head.method() == Method::Options;
        if (preflight && !self.config.run_on_preflight) || identity::is_settled(exchange, anonymous)
        {
            return Step::next();
        }
        let asked = self.claim(exchange);
        identity::settle(
            exchange,
            &self.services,
            anonymous,
            asked,
            |exchange, token, found| {
                let identity = found.ok_or_else(|| {
                    let name = &self.key_claim;
                    self.refused(&format!("No credentials found for given '{name}'"))
                })?;
                let record = identity
                    .record()
                    .ok_or_else(|| Failure::new("a credential has no record"))?;
                self.check_signature(&token, record)?;
                self.check_times(&token.claims)?;
                Ok(identity.enter(exchange)?)
            },
        )
    }
}

impl Jwt {
    /// The token of the request, and whose it says it is.
    fn claim(&self, exchange: &Exchange<'_>) -> Result<(Token, Sought), Denied> {
        let text = self.find_token(exchange)?;
        let token =
            Token::parse(&text).map_err(|reason| self.refused(&format!("Bad token; {reason}")))?;
        let sought = self.identities.find(self.key_of(&token)?);
        Ok((token, sought))
    }

    /// The one token of a request, wherever it is; the same token in two places is one.
    fn find_token(&self, exchange: &Exchange<'_>) -> Result<Vec<u8>, Denied> {
        let mut found = None;
        let mut several = false;
        let mut note = |token: &[u8]| {
            if token.is_empty() {
                return;
            }
            match &found {
                None => found = Some(token.to_vec()),
                Some(other) => several |= *other != token,
            }
        };
        for argument in arguments(exchange.head.query().unwrap_or_default()) {
            let named = |name: &String| *argument.name == *name.as_bytes();
            if self.config.uri_param_names.iter().flatten().any(named) {
                note(argument.value.as_deref().unwrap_or_default());
            }
        }
        for name in self.config.cookie_names.iter().flatten() {
            note(cookie(exchange.head, name).unwrap_or_default());
        }
        for name in self.config.header_names.iter().flatten() {
            let headers = &exchange.head.headers;
            let given = headers
                .get(name.as_str())
                .or_else(|| headers.get(dashed(name)?.as_str()));
            note(given.map_or(&b""[..], bearer));
        }
        match found {
            Some(_) if several => Err(self.refused("Multiple tokens provided")),
            Some(token) => Ok(token),
            None => Err(refusal(
                &self.challenge,
                json!({ "message": "Unauthorized" }),
            )),
        }
    }

    /// What names the credential: a claim, or else a member of the token's header.
    fn key_of<'t>(&self, token: &'t Token) -> Result<&'t str, Denied> {
        let name = self.key_claim.as_str();
        let present = |value: &&Value| !matches!(value, Value::Bool(false));
        let claim = token.claims.get(name).filter(present);
        match claim.or_else(|| token.header.get(name).filter(present)) {
            None => Err(self.refused(&format!("No mandatory '{name}' in claims"))),
            Some(Value::String(key)) if !key.is_empty() => Ok(key),
            Some(_) => Err(self.refused(&format!("Invalid '{name}' in claims"))),
        }
    }

    /// Invariant: the credential says which algorithm counts, never the token, and each kind of algorithm has a field of
    /// its own: a public key is never a secret.
    fn check_signature(&self, token: &Token, record: &Record) -> Result<(), Denied> {
        let text = |field: &str| record.get(field).and_then(Value::as_str);
        let expected = text("algorithm").unwrap_or("HS256");
        if Algorithm::named(expected) != Some(token.algorithm) {
            return Err(self.refused("Invalid algorithm"));
        }
        let good = if token.algorithm.is_symmetric() {
            let secret = match text("secret") {
                Some(secret) if self.config.secret_is_base64 => decode_secret(secret),
                secret => secret.map(|secret| secret.as_bytes().to_vec()),
            };
            // Nobody has to know an empty secret.
            let secret = secret.filter(|secret| !secret.is_empty());
            secret.map(|secret| token.is_signed_with_secret(&secret))
        } else {
            text("rsa_public_key").and_then(|pem| token.is_signed_with_key(pem))
        };
        match good {
            Some(true) => Ok(()),
            Some(false) => Err(self.refused("Invalid signature")),
            None => Err(self.refused("Invalid key/secret")),
        }
    }

    /// Compat: what is wrong with the claims is the whole body (pinned by plugins/auth "jwt reports every failed claim").
    fn check_times(&self, claims: &Map<String, Value>) -> Result<(), Denied> {
        let now = self.services.clock.unix_seconds() as f64;
        let number = |name: &str| claims.get(name).and_then(Value::as_f64);
        let mut wrong = Map::new();
        for claim in self.config.claims_to_verify.iter().flatten() {
            let (name, problem) = match claim {
                Claim::Exp => (
                    "exp",
                    number("exp").map(|exp| (exp <= now, "token expired")),
                ),
                Claim::Nbf => (
                    "nbf",
                    number("nbf").map(|nbf| (nbf > now, "token not valid yet")),
                ),
            };
            match problem {
                None => wrong.insert(name.to_owned(), "must be a number".into()),
                Some((true, problem)) => wrong.insert(name.to_owned(), problem.into()),
                Some((false, _)) => None,
            };
        }
        let longest = self.config.maximum_expiration.unwrap_or_default();
        let too_far = number("exp").is_none_or(|exp| exp - now > longest);
        if wrong.is_empty() && longest > 0.0 && too_far {
            wrong.insert(
                "exp".to_owned(),
                "exceeds maximum allowed expiration".into(),
            );
        }
        if wrong.is_empty() {
            return Ok(());
        }
        Err(refusal(&self.refusal, Value::Object(wrong)))
    }

    fn refused(&self, message: &str) -> Denied {
        refusal(&self.refusal, json!({ "message": message }))
    }
}

fn refusal(challenge: &str, body: Value) -> Denied {
    let reply = Reply::new(401).with_header("WWW-Authenticate", challenge);
    Denied::Refused(reply.with_body(Body::Json(body)))
}

/// The token in `Bearer TOKEN`; nothing if it is not of that form.
fn bearer(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    match value.split_at_checked(6) {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case(b"bearer")
                && rest.first().is_some_and(u8::is_ascii_whitespace) =>
        {
            rest.trim_ascii_start()
        }
        _ => &[],
    }
}
