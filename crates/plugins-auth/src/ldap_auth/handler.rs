//! Checks what a client claims with the directory.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use plugin_api::{
    Configured, Credential, Destination, Exchange, Failure, Handler, Needs, Phase, Services, Step,
};
use serde::Deserialize;

use super::claim::{Claim, parse_claim, strip_scheme};
use super::directory::{Directory, Place};
use super::server::Settings;
use crate::identity::{self, Denied};

/// Where clients say who they are; what comes first counts if it is right.
const HEADERS: [&str; 2] = ["proxy-authorization", "authorization"];

#[derive(Deserialize)]
struct Config {
    ldap_host: String,
    ldap_port: u16,
    ldaps: bool,
    start_tls: bool,
    verify_ldap_host: bool,
    base_dn: String,
    attribute: String,
    cache_ttl: f64,
    hide_credentials: bool,
    timeout: Option<f64>,
    keepalive: Option<f64>,
    anonymous: Option<String>,
    header_type: Option<String>,
    realm: Option<String>,
}

struct LdapAuth {
    scheme: String,
    /// The value of `WWW-Authenticate`.
    challenge: String,
    hide_credentials: bool,
    anonymous: Option<String>,
    /// What all users of the directory have in common, in the ids of their credentials.
    place: String,
    directory: Arc<Directory>,
    services: Services,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let timeout = duration("timeout", config.timeout.unwrap_or(10_000.0) / 1000.0)?;
    if timeout.is_zero() {
        return Err(Failure::new("timeout has to be more than 0"));
    }
    let scheme = config.header_type.unwrap_or_else(|| "ldap".to_owned());
    let settings = Settings {
        to: Destination {
            host: config.ldap_host,
            port: config.ldap_port,
        },
        tls: config.ldaps,
        start_tls: config.start_tls,
        verify: config.verify_ldap_host,
        timeout,
        keep_alive: duration("keepalive", config.keepalive.unwrap_or(60_000.0) / 1000.0)?,
    };
    let place = Place {
        base: config.base_dn,
        attribute: config.attribute,
        remembered: duration("cache_ttl", config.cache_ttl)?,
    };
    Ok(Arc::new(LdapAuth {
        challenge: challenge(&scheme, config.realm.as_deref()),
        scheme,
        hide_credentials: config.hide_credentials,
        anonymous: config.anonymous,
        place: format!("{:?} {:?} {:?}", settings.to, place.attribute, place.base),
        directory: Directory::of(services, settings, place),
        services: services.clone(),
    }))
}

fn duration(field: &str, seconds: f64) -> Result<Duration, Failure> {
    let parsed = Duration::try_from_secs_f64(seconds);
    parsed.map_err(|error| Failure::new(format!("{field}: {error}")))
}

/// Compat: the default scheme is named in capitals, any other as it is written.
fn challenge(scheme: &str, realm: Option<&str>) -> String {
    let scheme = if scheme == "ldap" { "LDAP" } else { scheme };
    match realm {
        Some(realm) => format!("{scheme} realm=\"{realm}\""),
        None => scheme.to_owned(),
    }
}

impl Handler for LdapAuth {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let anonymous = self.anonymous.as_deref();
        if identity::is_settled(exchange, anonymous) {
            return Step::next();
        }
        let claims: Vec<Claim> = HEADERS
            .iter()
            .filter_map(|header| self.take_claim(exchange, header))
            .collect();
        if let Some(right) = self.recall(&claims) {
            let outcome = self.enter(exchange, right);
            return identity::finish(exchange, &self.services, anonymous, outcome);
        }
        Step::later(async move {
            let asked = self.ask(claims).await;
            let outcome = asked.and_then(|right| self.enter(exchange, right.as_deref()));
            identity::conclude(exchange, &self.services, anonymous, outcome).await
        })
    }
}

impl LdapAuth {
    fn take_claim(&self, exchange: &mut Exchange<'_>, header: &'static str) -> Option<Claim> {
        let value = exchange.head.headers.get(header)?;
        let claim = parse_claim(strip_scheme(value, &self.scheme)?);
        // Wrong passwords are secrets as well: they are often almost right.
        if self.hide_credentials {
            exchange.head.headers.remove(header);
        }
        claim
    }

    /// Who is known to be right, or that nobody is; `None` if the server has to be asked.
    fn recall<'c>(&self, claims: &'c [Claim]) -> Option<Option<&'c str>> {
        for claim in claims {
            if self.directory.recall(claim)? {
                return Some(Some(&claim.user));
            }
        }
        Some(None)
    }

    /// Who is right.
    async fn ask(&self, claims: Vec<Claim>) -> Result<Option<String>, Denied> {
        for claim in claims {
            let user = claim.user.clone();
            if self.directory.is_right(claim).await? {
                return Ok(Some(user));
            }
        }
        Ok(None)
    }

    fn enter(&self, exchange: &mut Exchange<'_>, user: Option<&str>) -> Result<(), Denied> {
        let Some(user) = user else {
            return Err(identity::unauthorized("Unauthorized", &self.challenge));
        };
        if self.hide_credentials {
            for header in HEADERS {
                exchange.head.headers.remove(header);
            }
        }
        let credential = Credential {
            id: self.id_of(user),
            identifier: Some(user.into()),
            record: None,
        };
        Ok(identity::identify(
            exchange,
            None,
            Some(Arc::new(credential)),
        )?)
    }

    /// The id of a user's credential, the same on every node and with every password.
    fn id_of(&self, user: &str) -> Box<str> {
        let text = format!("{} {user:?}", self.place);
        let sum = digest::digest(&digest::SHA256, text.as_bytes());
        let mut id = "ldap-auth:".to_owned();
        for byte in sum.as_ref() {
            id.extend(
                [byte >> 4, byte & 15].map(|half| char::from_digit(half.into(), 16).unwrap_or('0')),
            );
        }
        id.into()
    }
}
