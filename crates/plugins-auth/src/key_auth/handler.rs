//! Looks for a key in header, query and body, and for whom it stands.

use std::borrow::Cow;
use std::sync::Arc;

use plugin_api::{
    BodyArguments, Configured, Exchange, Failure, Handler, Method, Needs, Phase, Services, Step,
    arguments, without_argument,
};
use serde::Deserialize;
use serde_json::Value;

use crate::header_names::dashed;
use crate::identities::{Identities, Kind, Sought};
use crate::identity::{self, Denied, Identity};

#[derive(Deserialize)]
struct Config {
    key_names: Vec<String>,
    key_in_header: bool,
    key_in_query: bool,
    key_in_body: bool,
    hide_credentials: bool,
    run_on_preflight: bool,
    anonymous: Option<String>,
    realm: Option<String>,
}

struct KeyAuth {
    config: Config,
    /// The value of `WWW-Authenticate`.
    challenge: String,
    identities: Identities,
    services: Services,
}

const KEYS: Kind = Kind {
    entity: "keyauth_credentials",
    field: "key",
    identifier: "id",
};

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let challenge = match &config.realm {
        Some(realm) => format!("Key realm=\"{realm}\""),
        None => "Key".to_owned(),
    };
    Ok(Arc::new(KeyAuth {
        config,
        challenge,
        identities: Identities::of(services, KEYS),
        services: services.clone(),
    }))
}

impl Handler for KeyAuth {
    fn needs(&self) -> Needs {
        Needs {
            request_body: self.config.key_in_body,
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let anonymous = self.config.anonymous.as_deref();
        let preflight = *exchange.head.method() == Method::Options;
        if (preflight && !self.config.run_on_preflight) || identity::is_settled(exchange, anonymous)
        {
            return Step::next();
        }
        let asked = self.take_key(exchange).map(|sought| ((), sought));
        identity::settle(
            exchange,
            &self.services,
            anonymous,
            asked,
            |exchange, (), found| {
                let identity = found.filter(|found| has_time_left(found));
                let refused = || identity::unauthorized("Unauthorized", &self.challenge);
                Ok(identity.ok_or_else(refused)?.enter(exchange)?)
            },
        )
    }
}

/// Compat: a key with less than a second left is as good as gone (pinned by plugins/auth "a key with a ttl expires").
/// Stores count whole seconds, of which the last one has begun.
fn has_time_left(identity: &Identity) -> bool {
    identity.seconds_left().is_none_or(|left| left > 1)
}

/// What was found under one name.
enum Found<'a> {
    Nothing,
    One(Cow<'a, str>),
    Several,
}

impl KeyAuth {
    /// Looks up whose key the request has, which is taken out of it if it is not for the upstream.
    fn take_key(&self, exchange: &mut Exchange<'_>) -> Result<Sought, Denied> {
        let none = || identity::unauthorized("No API key found in request", &self.challenge);
        let mut body = None;
        for name in &self.config.key_names {
            let sought = match self.find(exchange, name, &mut body) {
                Found::Nothing => continue,
                Found::Several => {
                    let message = "Duplicate API key found";
                    return Err(identity::unauthorized(message, &self.challenge));
                }
                Found::One(key) if key.is_empty() => None,
                Found::One(key) => Some(self.identities.find(&key)),
            };
            if self.config.hide_credentials {
                self.hide(exchange, name, body)?;
            }
            return sought.ok_or_else(none);
        }
        Err(none())
    }

    fn find<'a>(
        &self,
        exchange: &'a Exchange<'_>,
        name: &'a str,
        body: &'a mut Option<Option<BodyArguments>>,
    ) -> Found<'a> {
        if self.config.key_in_header {
            let values = exchange.head.headers.get_all(name);
            let found = Found::of(values.map(String::from_utf8_lossy));
            if !matches!(found, Found::Nothing) {
                return found;
            }
            if let Some(name) = dashed(name) {
                let values = exchange.head.headers.get_all(name.as_str());
                let found = Found::of(values.map(Found::text));
                if !matches!(found, Found::Nothing) {
                    return found;
                }
            }
        }
        if self.config.key_in_query {
            let given = arguments(exchange.head.query().unwrap_or_default());
            let mut named = given.filter(|argument| *argument.name == *name.as_bytes());
            match (named.next(), named.next()) {
                (None, _) => {}
                (Some(_), Some(_)) => return Found::Several,
                // A name without a value is no key, but the name is taken.
                (Some(one), None) => {
                    let text = |value: Cow<'_, [u8]>| Found::One(Found::text(&value));
                    return one.value.map_or(Found::Nothing, text);
                }
            }
        }
        if self.config.key_in_body {
            let parsed = body.get_or_insert_with(|| BodyArguments::of(exchange));
            if let Some(parsed) = parsed {
                return Found::in_body(parsed, name);
            }
        }
        Found::Nothing
    }

    fn hide(
        &self,
        exchange: &mut Exchange<'_>,
        name: &str,
        body: Option<Option<BodyArguments>>,
    ) -> Result<(), Denied> {
        exchange.head.headers.remove(name);
        if let Some(name) = dashed(name) {
            exchange.head.headers.remove(name.as_str());
        }
        let query = without_argument(exchange.query(), name.as_bytes());
        exchange.set_query(&query);
        if self.config.key_in_body {
            let parsed = body.unwrap_or_else(|| BodyArguments::of(exchange));
            if let Some(mut parsed) = parsed {
                parsed.remove(name);
                parsed.write_to(exchange)?;
            }
        }
        Ok(())
    }
}

impl<'a> Found<'a> {
    /// The text of a value that does not last.
    fn text(value: &[u8]) -> Cow<'a, str> {
        String::from_utf8_lossy(value).into_owned().into()
    }

    /// Compat: of JSON only a text is a key, and a list is several whatever is in it.
    fn in_body(body: &BodyArguments, name: &str) -> Self {
        match body {
            BodyArguments::Json(members) => match members.get(name) {
                Some(Value::String(key)) => Self::One(key.clone().into()),
                Some(Value::Array(_) | Value::Object(_)) => Self::Several,
                _ => Self::Nothing,
            },
            other => Self::of(other.texts(name).into_iter().map(Cow::from)),
        }
    }

    fn of(mut values: impl Iterator<Item = Cow<'a, str>>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(one), None) => Self::One(one),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}
