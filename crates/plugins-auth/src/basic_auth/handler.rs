//! Checks user name and password.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_api::{By, Configured, Exchange, Failure, Handler, Needs, Phase, Services, Step};
use schema::Record;
use serde::Deserialize;
use serde_json::Value;

use super::hash;
use crate::identity::{self, Denied};

#[derive(Deserialize)]
struct Config {
    hide_credentials: bool,
    anonymous: Option<String>,
    realm: String,
}

struct BasicAuth {
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
    Ok(Arc::new(BasicAuth {
        challenge: format!("Basic realm=\"{}\"", config.realm),
        config,
        services: services.clone(),
    }))
}

impl Handler for BasicAuth {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let anonymous = self.config.anonymous.as_deref();
        if identity::is_settled(exchange, anonymous) {
            return Step::next();
        }
        Step::later(async move {
            let outcome = self.authenticate(exchange).await;
            identity::conclude(exchange, &self.services, anonymous, outcome).await
        })
    }
}

/// What a client claims.
struct Claim {
    username: String,
    password: Vec<u8>,
}

impl BasicAuth {
    async fn authenticate(&self, exchange: &mut Exchange<'_>) -> Result<(), Denied> {
        let refused = || identity::unauthorized("Unauthorized", &self.challenge);
        // `Proxy-Authorization` counts if it names somebody; else what `Authorization` says.
        let (mut claim, mut found) = (self.take_claim(exchange, "proxy-authorization"), None);
        if let Some(claim) = &claim {
            found = self.look_up(claim).await?;
        }
        if found.is_none() {
            claim = self.take_claim(exchange, "authorization");
            if let Some(claim) = &claim {
                found = self.look_up(claim).await?;
            }
        }
        let claim = claim.ok_or_else(refused)?;
        // Somebody unknown costs as much as somebody with a wrong password.
        let nobody = Arc::new(Record::new());
        let record = found.unwrap_or(nobody);
        if !is_right(&record, &claim.password) {
            return Err(refused());
        }
        let consumer = identity::consumer_of(&self.services, &record).await?;
        let credential = identity::credential(record, "username").ok_or_else(refused)?;
        identity::identify(exchange, Some(consumer), Some(credential))?;
        Ok(())
    }

    async fn look_up(&self, claim: &Claim) -> Result<Option<Arc<Record>>, Denied> {
        let by_name = By::Unique("username", &claim.username);
        let records = &self.services.records;
        Ok(records.find("basicauth_credentials", by_name).get().await?)
    }

    fn take_claim(&self, exchange: &mut Exchange<'_>, header: &'static str) -> Option<Claim> {
        let claim = exchange.head.headers.get(header).and_then(read_claim);
        if self.config.hide_credentials {
            exchange.head.headers.remove(header);
        }
        claim
    }
}

fn read_claim(value: &[u8]) -> Option<Claim> {
    let (scheme, rest) = value.trim_ascii_start().split_at_checked(5)?;
    if !matches!(scheme, b"Basic" | b"basic") {
        return None;
    }
    let decoded = STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (username, password) = decoded.split_at_checked(colon)?;
    Some(Claim {
        username: String::from_utf8(username.to_vec())
            .ok()
            .filter(|name| !name.is_empty())?,
        password: password.get(1..)?.to_vec(),
    })
}

fn is_right(record: &Record, password: &[u8]) -> bool {
    let consumer = record
        .get("consumer")
        .and_then(|consumer| consumer.get("id")?.as_str());
    let stored = record
        .get("password")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let given = hash::of(consumer.unwrap_or_default(), password);
    aws_lc_rs::constant_time::verify_slices_are_equal(given.as_bytes(), stored.as_bytes()).is_ok()
}
