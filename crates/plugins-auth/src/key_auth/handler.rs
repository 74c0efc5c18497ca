//! Looks for a key in header, query and body, and for whom it stands.

use std::sync::Arc;

use plugin_api::{
    BodyArguments, By, Configured, Exchange, Failure, Handler, Lookup, Method, Needs, Phase,
    Services, Step, arguments, without_argument,
};
use schema::Record;
use serde::Deserialize;

use crate::identity::{self, Denied};

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
    services: Services,
}

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
        match self.begin(exchange) {
            Ok(Begun::Settled) => Step::next(),
            Ok(Begun::Waiting(lookup)) => Step::later(async move {
                let outcome = self.finish(exchange, lookup).await;
                identity::conclude(exchange, &self.services, anonymous, outcome).await
            }),
            Err(denied) => {
                let outcome = Err(denied);
                Step::later(identity::conclude(
                    exchange,
                    &self.services,
                    anonymous,
                    outcome,
                ))
            }
        }
    }
}

type Sought = Lookup<Option<Arc<Record>>>;

/// How far a request got without waiting.
enum Begun {
    Settled,
    Waiting(Waiting),
}

/// What has to be fetched first.
enum Waiting {
    Credential(Sought),
    /// The consumer of this credential.
    Consumer(Arc<Record>, Sought),
}

/// What was found under one name.
enum Found {
    Nothing,
    One(String),
    Several,
}

impl KeyAuth {
    /// Authenticates with what the cache knows.
    ///
    /// Perf: a client that is known costs no future.
    fn begin(&self, exchange: &mut Exchange<'_>) -> Result<Begun, Denied> {
        let key = self.take_key(exchange)?;
        let records = &self.services.records;
        let found = match records.find("keyauth_credentials", By::Unique("key", &key)) {
            Lookup::Known(found) => found,
            fetch => return Ok(Begun::Waiting(Waiting::Credential(fetch))),
        };
        let record = self.valid(found)?;
        match identity::look_up_owner(&self.services, &record)? {
            Lookup::Known(consumer) => {
                self.admit(exchange, record, consumer)?;
                Ok(Begun::Settled)
            }
            fetch => Ok(Begun::Waiting(Waiting::Consumer(record, fetch))),
        }
    }

    /// Authenticates once what was waited for is there.
    async fn finish(&self, exchange: &mut Exchange<'_>, waiting: Waiting) -> Result<(), Denied> {
        let (record, consumer) = match waiting {
            Waiting::Credential(found) => {
                let record = self.valid(found.get().await?)?;
                let consumer = identity::look_up_owner(&self.services, &record)?;
                (record, consumer)
            }
            Waiting::Consumer(record, consumer) => (record, consumer),
        };
        self.admit(exchange, record, consumer.get().await?)
    }

    /// The credential that was found, if it still counts.
    fn valid(&self, found: Option<Arc<Record>>) -> Result<Arc<Record>, Denied> {
        let record = found.ok_or_else(|| self.refused())?;
        // Compat: a key with less than a second left is as good as gone (pinned by plugins/auth "a key with a ttl
        // expires"). Stores count whole seconds, of which the last one has begun.
        let left = record.get("ttl").and_then(serde_json::Value::as_i64);
        if left.is_some_and(|left| left <= 1) {
            return Err(self.refused());
        }
        Ok(record)
    }

    fn admit(
        &self,
        exchange: &mut Exchange<'_>,
        record: Arc<Record>,
        consumer: Option<Arc<Record>>,
    ) -> Result<(), Denied> {
        let consumer = identity::owner(consumer)?;
        let credential = identity::credential(record, "id").ok_or_else(|| self.refused())?;
        Ok(identity::identify(
            exchange,
            Some(consumer),
            Some(credential),
        )?)
    }

    fn refused(&self) -> Denied {
        identity::unauthorized("Unauthorized", &self.challenge)
    }

    /// The key of the request, taken out of it if it is not for the upstream.
    fn take_key(&self, exchange: &mut Exchange<'_>) -> Result<String, Denied> {
        let none = || identity::unauthorized("No API key found in request", &self.challenge);
        let mut body = None;
        for name in &self.config.key_names {
            match self.find(exchange, name, &mut body) {
                Found::Nothing => {}
                Found::Several => {
                    let message = "Duplicate API key found";
                    return Err(identity::unauthorized(message, &self.challenge));
                }
                Found::One(key) => {
                    if self.config.hide_credentials {
                        self.hide(exchange, name, body)?;
                    }
                    return if key.is_empty() { Err(none()) } else { Ok(key) };
                }
            }
        }
        Err(none())
    }

    fn find(
        &self,
        exchange: &Exchange<'_>,
        name: &str,
        body: &mut Option<Option<BodyArguments>>,
    ) -> Found {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        if self.config.key_in_header {
            let values = exchange.head.headers.get_all(name).map(text);
            let found = Found::of(values);
            if !matches!(found, Found::Nothing) {
                return found;
            }
        }
        if self.config.key_in_query {
            let given = arguments(exchange.head.query().unwrap_or_default());
            let values = given.filter(|argument| *argument.name == *name.as_bytes());
            let found = Found::of(values.filter_map(|argument| Some(text(&argument.value?))));
            if !matches!(found, Found::Nothing) {
                return found;
            }
        }
        if self.config.key_in_body {
            let parsed = body.get_or_insert_with(|| BodyArguments::of(exchange));
            if let Some(parsed) = parsed {
                return Found::of(parsed.texts(name).into_iter());
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

impl Found {
    fn of(mut values: impl Iterator<Item = String>) -> Self {
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(one), None) => Self::One(one),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}
