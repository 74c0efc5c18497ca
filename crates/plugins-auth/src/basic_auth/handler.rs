//! Checks user name and password.

use std::sync::Arc;

use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Phase, Services, Step};
use schema::Record;
use serde::Deserialize;
use serde_json::Value;

use super::hash;
use crate::encoding;
use crate::identities::{Identities, Kind, Sought};
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
    identities: Identities,
    services: Services,
}

const NAMES: Kind = Kind {
    entity: "basicauth_credentials",
    field: "username",
    identifier: "username",
};

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(BasicAuth {
        challenge: format!("Basic realm=\"{}\"", config.realm),
        config,
        identities: Identities::of(services, NAMES),
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
        // `Proxy-Authorization` counts if it names somebody; else what `Authorization` says.
        let Some(claim) = self.take_claim(exchange, "proxy-authorization") else {
            return self.authorize(exchange);
        };
        match self.identities.find(&claim.username) {
            Sought::Known(Ok(None)) => self.authorize(exchange),
            sought => Step::later(async move {
                let found = match sought {
                    Sought::Known(found) => found,
                    Sought::Fetch(fetch) => fetch.await,
                };
                if matches!(found, Ok(None)) {
                    return self.authorize(exchange).outcome().await;
                }
                let asked = Ok((claim, Sought::Known(found)));
                self.settle(exchange, asked).outcome().await
            }),
        }
    }
}

/// What a client claims.
struct Claim {
    username: String,
    password: Vec<u8>,
}

impl BasicAuth {
    /// Checks what `Authorization` says.
    fn authorize<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let claim = self.take_claim(exchange, "authorization");
        let asked = claim.ok_or_else(|| self.refused()).map(|claim| {
            let sought = self.identities.find(&claim.username);
            (claim, sought)
        });
        self.settle(exchange, asked)
    }

    fn settle<'a>(
        &'a self,
        exchange: &'a mut Exchange<'_>,
        asked: Result<(Claim, Sought), Denied>,
    ) -> Step<'a> {
        let anonymous = self.config.anonymous.as_deref();
        identity::settle(
            exchange,
            &self.services,
            anonymous,
            asked,
            |exchange, claim, found| {
                // Somebody unknown costs as much as somebody with a wrong password.
                let nobody = Record::new();
                let known = found.as_ref().and_then(|identity| identity.record());
                let is_right = is_right(known.unwrap_or(&nobody), &claim.password);
                let identity = found.filter(|_| is_right).ok_or_else(|| self.refused())?;
                Ok(identity.enter(exchange)?)
            },
        )
    }

    fn refused(&self) -> Denied {
        identity::unauthorized("Unauthorized", &self.challenge)
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
    let decoded = encoding::decode(rest.trim_ascii())?;
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
