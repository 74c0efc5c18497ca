//! Looks for a signature, and for whose it is.

use std::sync::Arc;
use std::time::SystemTime;

use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Phase, Services, Step};
use serde::Deserialize;

use super::signature::{self, Claim};
use crate::identities::{Identities, Kind};
use crate::identity::{self, Denied, Identity};

#[derive(Deserialize)]
struct Config {
    hide_credentials: bool,
    clock_skew: Option<f64>,
    anonymous: Option<String>,
    validate_request_body: bool,
    enforce_headers: Option<Vec<String>>,
    algorithms: Option<Vec<String>>,
    realm: Option<String>,
}

struct HmacAuth {
    config: Config,
    /// The value of `WWW-Authenticate`.
    challenge: String,
    identities: Identities,
    services: Services,
}

const SECRETS: Kind = Kind {
    entity: "hmacauth_credentials",
    field: "username",
    identifier: "username",
};

const NOT_VERIFIABLE: &str = "HMAC signature cannot be verified";
const NOT_THE_SAME: &str = "HMAC signature does not match";
const NO_DATE: &str = "HMAC signature cannot be verified, a valid date or x-date header is required \
                       for HMAC Authentication";

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let challenge = match &config.realm {
        Some(realm) => format!("hmac realm=\"{realm}\""),
        None => "hmac".to_owned(),
    };
    Ok(Arc::new(HmacAuth {
        config,
        challenge,
        identities: Identities::of(services, SECRETS),
        services: services.clone(),
    }))
}

impl Handler for HmacAuth {
    fn needs(&self) -> Needs {
        Needs {
            request_body: self.config.validate_request_body,
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let anonymous = self.config.anonymous.as_deref();
        if identity::is_settled(exchange, anonymous) {
            return Step::next();
        }
        let asked = self.claim(exchange).map(|claim| {
            let sought = self.identities.find(&claim.username);
            (claim, sought)
        });
        identity::settle(
            exchange,
            &self.services,
            anonymous,
            asked,
            |exchange, claim, found| {
                let known = found.ok_or_else(|| self.refused(NOT_VERIFIABLE));
                let checked = known.and_then(|identity| {
                    self.check(exchange, &claim, &identity)?;
                    Ok(identity)
                });
                // What was signed is checked first, then it may go.
                self.hide(exchange);
                Ok(checked?.enter(exchange)?)
            },
        )
    }
}

impl HmacAuth {
    /// What the client claims, if that can be checked.
    fn claim(&self, exchange: &mut Exchange<'_>) -> Result<Claim, Denied> {
        let headers = &exchange.head.headers;
        if !headers.contains("Authorization") && !headers.contains("Proxy-Authorization") {
            return Err(self.refused("Unauthorized"));
        }
        if !self.is_recent(exchange, "X-Date") && !self.is_recent(exchange, "Date") {
            return Err(self.refused(NO_DATE));
        }
        let claim = self.take_claim(exchange);
        let claim = claim.filter(|claim| self.is_acceptable(claim));
        claim.ok_or_else(|| {
            self.hide(exchange);
            self.refused(NOT_VERIFIABLE)
        })
    }

    /// Whether the client has signed with the secret of the credential.
    fn check(
        &self,
        exchange: &Exchange<'_>,
        claim: &Claim,
        identity: &Identity,
    ) -> Result<(), Denied> {
        let record = identity.record();
        let secret = record.and_then(|record| record.get("secret")?.as_str());
        let secret = secret.filter(|secret| !secret.is_empty());
        if !secret.is_some_and(|secret| claim.is_signed(exchange, secret)) {
            return Err(self.refused(NOT_THE_SAME));
        }
        if self.config.validate_request_body && !signature::is_digest_right(exchange) {
            return Err(self.refused(NOT_THE_SAME));
        }
        Ok(())
    }

    fn refused(&self, message: &'static str) -> Denied {
        identity::unauthorized(message, &self.challenge)
    }

    /// What `Proxy-Authorization` says, or else `Authorization`.
    fn take_claim(&self, exchange: &Exchange<'_>) -> Option<Claim> {
        let headers = &exchange.head.headers;
        let said = |name: &str| headers.get(name).and_then(Claim::parse);
        said("Proxy-Authorization").or_else(|| said("Authorization"))
    }

    /// Keeps credentials from the upstream if that is wanted.
    ///
    /// Compat: those that were refused as well, where the anonymous consumer stands in.
    fn hide(&self, exchange: &mut Exchange<'_>) {
        if !self.config.hide_credentials {
            return;
        }
        let headers = &mut exchange.head.headers;
        let proxied = headers.get("Proxy-Authorization").and_then(Claim::parse);
        headers.remove(match proxied {
            Some(_) => "Proxy-Authorization",
            None => "Authorization",
        });
    }

    /// Whether a signature covers what it must, in a way that is accepted.
    fn is_acceptable(&self, claim: &Claim) -> bool {
        let mut enforced = self.config.enforce_headers.iter().flatten();
        let mut accepted = self.config.algorithms.iter().flatten();
        enforced.all(|name| claim.headers.contains(name))
            && accepted.any(|name| *name == claim.algorithm)
    }

    /// Whether a header holds a date that is not too far off.
    fn is_recent(&self, exchange: &Exchange<'_>, name: &str) -> bool {
        let text = exchange.head.headers.get_str(name);
        let Some(date) = text.and_then(|text| httpdate::parse_http_date(text).ok()) else {
            return false;
        };
        let seconds = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH);
            since.map_or(0.0, |since| since.as_secs() as f64)
        };
        let skew = (seconds(self.services.clock.now()) - seconds(date)).abs();
        skew <= self.config.clock_skew.unwrap_or(300.0)
    }
}
