//! What all authentication has in common: who the client is, as the upstream and later plugins learn it.

use std::sync::Arc;

use http1::{Known, OwnLines};
use plugin_api::{
    By, Consumer, Credential, Exchange, Failure, Flow, Lookup, Outcome, Records, Reply, Services,
    Step, Unavailable,
};
use schema::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::identities::{Found, Sought};

pub(crate) const CONSUMERS: &str = "consumers";

/// Why a request is not let through.
pub(crate) enum Denied {
    /// With this answer.
    Refused(Reply),
    /// Nobody could say whether the credential is good.
    Unknown(Unavailable),
    /// The plugin could not do its work.
    Failed(Failure),
}

impl From<Unavailable> for Denied {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unknown(unavailable)
    }
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<http1::Error> for Denied {
    fn from(error: http1::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// A refusal for want of a good credential.
pub(crate) fn unauthorized(message: &'static str, challenge: &str) -> Denied {
    Denied::Refused(Reply::error(401, message).with_header("WWW-Authenticate", challenge))
}

/// Whether another plugin has recognised the client already, and this one need not.
///
/// With `anonymous`, the authentication plugins of a chain are alternatives; without, all of them have to agree.
pub(crate) fn is_settled(exchange: &Exchange<'_>, anonymous: Option<&str>) -> bool {
    anonymous.is_some() && exchange.work.credential.is_some()
}

/// Authenticates a client who claims something, with the credential that was sought for it: `check` says whether the claim
/// is good, and [enters](Identity::enter) the client.
///
/// Perf: a client that is known costs no future.
pub(crate) fn settle<'a, C: 'a>(
    exchange: &'a mut Exchange<'_>,
    services: &'a Services,
    anonymous: Option<&'a str>,
    asked: Result<(C, Sought), Denied>,
    check: impl FnOnce(&mut Exchange<'_>, C, Found) -> Result<(), Denied> + 'a,
) -> Step<'a> {
    let (claim, fetch) = match asked {
        Ok((claim, Sought::Known(found))) => {
            let outcome = found.and_then(|found| check(exchange, claim, found));
            return finish(exchange, services, anonymous, outcome);
        }
        Ok((claim, Sought::Fetch(fetch))) => (claim, fetch),
        Err(denied) => return finish(exchange, services, anonymous, Err(denied)),
    };
    Step::later(async move {
        let found = fetch.await;
        let outcome = found.and_then(|found| check(exchange, claim, found));
        conclude(exchange, services, anonymous, outcome).await
    })
}

/// As [`conclude`], waiting only for who has to be looked up.
pub(crate) fn finish<'a>(
    exchange: &'a mut Exchange<'_>,
    services: &'a Services,
    anonymous: Option<&'a str>,
    outcome: Result<(), Denied>,
) -> Step<'a> {
    match outcome {
        Ok(()) => Step::next(),
        outcome => Step::later(conclude(exchange, services, anonymous, outcome)),
    }
}

/// What follows from an attempt to authenticate: with `anonymous`, a refused client goes on as that consumer.
pub(crate) async fn conclude(
    exchange: &mut Exchange<'_>,
    services: &Services,
    anonymous: Option<&str>,
    outcome: Result<(), Denied>,
) -> Outcome {
    match (outcome, anonymous) {
        (Ok(()), _) => Ok(Flow::Next),
        (Err(Denied::Refused(_)), Some(name)) => match find_consumer(services, name).await {
            Ok(Some(consumer)) => {
                identify(exchange, Some(consumer), None)?;
                Ok(Flow::Next)
            }
            Ok(None) => Err(Failure::new(format!(
                "anonymous consumer {name} is configured but doesn't exist"
            ))),
            Err(unavailable) => Ok(out_of_reach(&unavailable)),
        },
        (Err(Denied::Refused(reply)), None) => Ok(reply.into()),
        (Err(Denied::Unknown(unavailable)), _) => Ok(out_of_reach(&unavailable)),
        (Err(Denied::Failed(failure)), _) => Err(failure),
    }
}

/// Compat: Kong answers 500 or 401 here; an outage is nobody's lack of rights.
fn out_of_reach(_: &Unavailable) -> Flow {
    let reply = Reply::error(503, "the credentials cannot be checked right now");
    reply.with_header("Retry-After", "5").into()
}

/// The consumer of a credential.
///
/// # Errors
/// When it cannot be found out; a credential without a consumer is a damaged store.
pub(crate) async fn consumer_of(
    services: &Services,
    credential: &Record,
) -> Result<Arc<Consumer>, Denied> {
    owner(look_up_owner(&*services.records, credential)?.get().await?)
}

/// Looks up the record of a credential's consumer, which [`owner`] reads.
pub(crate) fn look_up_owner(
    records: &dyn Records,
    credential: &Record,
) -> Result<Lookup<Option<Arc<Record>>>, Denied> {
    let id = credential
        .get("consumer")
        .and_then(|consumer| consumer.get("id")?.as_str()?.parse().ok())
        .ok_or_else(|| Failure::new("a credential names no consumer"))?;
    Ok(records.find(CONSUMERS, By::Id(id)))
}

/// The consumer that was looked up for a credential, which has to be there.
pub(crate) fn owner(found: Option<Arc<Record>>) -> Result<Arc<Consumer>, Denied> {
    let consumer = found.and_then(Consumer::read).map(Arc::new);
    consumer.ok_or_else(|| Failure::new("the consumer of a credential is not there").into())
}

/// A consumer by id or user name.
async fn find_consumer(
    services: &Services,
    name: &str,
) -> Result<Option<Arc<Consumer>>, Unavailable> {
    let records = &services.records;
    let mut found = None;
    if let Ok(id) = name.parse::<Uuid>() {
        found = records.find(CONSUMERS, By::Id(id)).get().await?;
    }
    if found.is_none() {
        found = records
            .find(CONSUMERS, By::Unique("username", name))
            .get()
            .await?;
    }
    Ok(found.and_then(Consumer::read).map(Arc::new))
}

/// A credential that has a record; `identifier` is what the upstream gets to know of it.
pub(crate) fn credential(record: Arc<Record>, identifier: &str) -> Option<Arc<Credential>> {
    let text = |field: &str| record.get(field).and_then(Value::as_str).map(Box::from);
    Some(Arc::new(Credential {
        id: text("id")?,
        identifier: text(identifier),
        record: Some(record),
    }))
}

/// Who a client is, as the upstream and later plugins learn it.
pub(crate) struct Identity {
    consumer: Option<Arc<Consumer>>,
    credential: Option<Arc<Credential>>,
    /// How many seconds the credential had left when it was read, if it ends by itself.
    seconds_left: Option<i64>,
    /// What the upstream is told.
    lines: OwnLines,
}

impl Identity {
    /// Of a consumer who has shown a credential; nobody without a credential is anybody in particular.
    ///
    /// # Errors
    /// When a name cannot stand in a header.
    pub fn new(
        consumer: Option<Arc<Consumer>>,
        credential: Option<Arc<Credential>>,
    ) -> Result<Self, http1::Error> {
        let known = consumer.as_deref();
        let id = known.map(|consumer| consumer.id.to_string());
        let custom_id = known.and_then(|consumer| consumer.custom_id.as_deref());
        let username = known.and_then(|consumer| consumer.username.as_deref());
        let shown = credential.as_deref();
        let identifier = shown.and_then(|credential| credential.identifier.as_deref());
        let anonymous = shown.is_none().then_some("true");
        let mut lines = OwnLines::new();
        for (name, value) in [
            (Known::XConsumerId, id.as_deref()),
            (Known::XConsumerCustomId, custom_id),
            (Known::XConsumerUsername, username),
            (Known::XCredentialIdentifier, identifier),
            (Known::XAnonymousConsumer, anonymous),
        ] {
            match value {
                Some(value) => lines.add(name, value.as_bytes())?,
                None => lines.leave_out(name),
            }
        }
        lines.shrink_to_fit();
        let record = shown.and_then(|credential| credential.record.as_deref());
        Ok(Self {
            seconds_left: record.and_then(|record| record.get("ttl")?.as_i64()),
            lines,
            consumer,
            credential,
        })
    }

    /// The record of the credential; it holds secrets.
    pub fn record(&self) -> Option<&Record> {
        self.credential.as_deref()?.record.as_deref()
    }

    /// How many seconds the credential had left when it was read; `None` if it does not end by itself.
    pub fn seconds_left(&self) -> Option<i64> {
        self.seconds_left
    }

    /// Notes who the client is, and tells the upstream.
    pub fn enter(&self, exchange: &mut Exchange<'_>) -> Result<(), http1::Error> {
        self.lines.apply(&mut exchange.head.headers)?;
        exchange.work.consumer = self.consumer.clone();
        exchange.work.credential = self.credential.clone();
        Ok(())
    }
}

/// Notes who the client is, and tells the upstream.
pub(crate) fn identify(
    exchange: &mut Exchange<'_>,
    consumer: Option<Arc<Consumer>>,
    credential: Option<Arc<Credential>>,
) -> Result<(), http1::Error> {
    Identity::new(consumer, credential)?.enter(exchange)
}
