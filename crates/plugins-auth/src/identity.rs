//! What all authentication has in common: who the client is, as the upstream and later plugins learn it.

use std::sync::Arc;

use plugin_api::{
    By, Consumer, Credential, Exchange, Failure, Flow, Known, Lookup, Outcome, Reply, Services,
    Unavailable,
};
use schema::Record;
use serde_json::Value;
use uuid::Uuid;

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
    owner(look_up_owner(services, credential)?.get().await?)
}

/// Looks up the record of a credential's consumer, which [`owner`] reads.
pub(crate) fn look_up_owner(
    services: &Services,
    credential: &Record,
) -> Result<Lookup<Option<Arc<Record>>>, Denied> {
    let id = credential
        .get("consumer")
        .and_then(|consumer| consumer.get("id")?.as_str()?.parse().ok())
        .ok_or_else(|| Failure::new("a credential names no consumer"))?;
    Ok(services.records.find("consumers", By::Id(id)))
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
        found = records.find("consumers", By::Id(id)).get().await?;
    }
    if found.is_none() {
        found = records
            .find("consumers", By::Unique("username", name))
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

/// Notes who the client is, and tells the upstream.
pub(crate) fn identify(
    exchange: &mut Exchange<'_>,
    consumer: Option<Arc<Consumer>>,
    credential: Option<Arc<Credential>>,
) -> Result<(), http1::Error> {
    let headers = &mut exchange.head.headers;
    let id = consumer.as_ref().map(|consumer| consumer.id.to_string());
    let field = |field: fn(&Consumer) -> &Option<Box<str>>| {
        consumer
            .as_deref()
            .and_then(|consumer| field(consumer).as_deref())
    };
    let identifier = credential
        .as_ref()
        .and_then(|credential| credential.identifier.as_deref());
    for (name, value) in [
        (Known::XConsumerId, id.as_deref()),
        (
            Known::XConsumerCustomId,
            field(|consumer| &consumer.custom_id),
        ),
        (
            Known::XConsumerUsername,
            field(|consumer| &consumer.username),
        ),
        (Known::XCredentialIdentifier, identifier),
        (
            Known::XAnonymousConsumer,
            credential.is_none().then_some("true"),
        ),
    ] {
        match value {
            Some(value) => headers.set(name, value)?,
            None => headers.remove(name),
        }
    }
    exchange.work.consumer = consumer;
    exchange.work.credential = credential;
    Ok(())
}
