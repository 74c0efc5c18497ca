//! Tokens and codes: how they are made, stored, used once, and whom they are good for.

use std::sync::Arc;

use plugin_api::{By, Exchange, Failure, Random, WriteError};
use schema::Record;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::handler::OAuth2;
use super::refusal::Refusal;

pub(super) const TOKENS: &str = "oauth2_tokens";
pub(super) const CODES: &str = "oauth2_authorization_codes";

/// How many seconds a code is good.
pub(super) const CODE_TTL: i64 = 300;

/// For whom and for what a token is.
pub(super) struct Grant<'a> {
    pub(super) client: Uuid,
    /// The service that it opens; none opens all that take such tokens.
    pub(super) service: Option<Uuid>,
    pub(super) user: Option<&'a str>,
    pub(super) scope: Option<&'a str>,
    /// Whether a refresh token goes with it.
    pub(super) refreshable: bool,
}

/// What a client gets.
pub(super) struct Issued {
    row: Uuid,
    access_token: String,
    expires_in: i64,
    refresh_token: Option<String>,
}

impl Issued {
    /// The answer of RFC 6749 section 5.1.
    pub(super) fn members(self) -> Map<String, Value> {
        let mut members = Map::from_iter([
            ("access_token".to_owned(), self.access_token.into()),
            ("token_type".to_owned(), "bearer".into()),
        ]);
        if self.expires_in > 0 {
            members.insert("expires_in".to_owned(), self.expires_in.into());
        }
        if let Some(refresh_token) = self.refresh_token {
            members.insert("refresh_token".to_owned(), refresh_token.into());
        }
        members
    }
}

impl OAuth2 {
    /// The service that what is issued is for; none with global credentials.
    pub(super) fn service(&self, exchange: &Exchange<'_>) -> Result<Option<Uuid>, Failure> {
        if self.config.global_credentials {
            return Ok(None);
        }
        let service = exchange.matched.service.map(|service| service.id);
        let missing =
            || Failure::new("a route without a service issues tokens only with global_credentials");
        service.map(Some).ok_or_else(missing)
    }

    /// Whether a token or code is for the service of a request.
    pub(super) fn fits(&self, record: &Record, exchange: &Exchange<'_>) -> bool {
        match foreign(record, "service") {
            Some(service) => exchange
                .matched
                .service
                .is_some_and(|here| here.id == service),
            None => self.config.global_credentials,
        }
    }

    /// Stores a new token.
    pub(super) async fn store(&self, grant: &Grant<'_>) -> Result<Issued, Refusal> {
        let random = &*self.services.random;
        let expires_in = self.config.expires_in();
        let access_token = random_text(random);
        let refresh_token = (grant.refreshable && expires_in > 0).then(|| random_text(random));
        let id = random.uuid();
        let row = json!({
            "id": id,
            "service": reference(grant.service),
            "credential": { "id": grant.client },
            "authenticated_userid": grant.user,
            "scope": grant.scope,
            "access_token": access_token,
            "refresh_token": refresh_token,
            "expires_in": expires_in,
            "created_at": self.now(),
            "ttl": self.config.ttl(),
        });
        self.services.writer.insert(TOKENS, record(row)).await?;
        Ok(Issued {
            row: id,
            access_token,
            expires_in,
            refresh_token,
        })
    }

    /// Stores a new token in place of a row that is good for one: a code, or a token that is refreshed. `None` if another
    /// request used it up first.
    ///
    /// Invariant: of all who try at once, whoever deletes the row has the token. It is stored before, so that a database
    /// that goes away between the two takes nothing from the client.
    pub(super) async fn exchange(
        &self,
        entity: &'static str,
        row: Uuid,
        grant: &Grant<'_>,
    ) -> Result<Option<Issued>, Refusal> {
        let issued = self.store(grant).await?;
        let writer = &self.services.writer;
        let claimed = writer.delete(entity, row).await;
        if let Ok(Some(_)) = claimed {
            return Ok(Some(issued));
        }
        if let Err(error) = writer.delete(TOKENS, issued.row).await {
            tracing::warn!("a token that nobody got stays until its time is over: {error}");
        }
        claimed?;
        Ok(None)
    }

    /// Gives a row another access token and lets it keep its refresh token; `None` if the row is gone.
    pub(super) async fn renew(
        &self,
        row: Uuid,
        refresh_token: &str,
    ) -> Result<Option<Issued>, Refusal> {
        let access_token = random_text(&*self.services.random);
        let expires_in = self.config.expires_in();
        let changes = json!({
            "access_token": access_token,
            "expires_in": expires_in,
            "created_at": self.now(),
            "ttl": self.config.ttl(),
        });
        let updated = self
            .services
            .writer
            .update(TOKENS, row, record(changes))
            .await;
        match updated {
            Ok(_) => Ok(Some(Issued {
                row,
                access_token,
                expires_in,
                refresh_token: Some(refresh_token.to_owned()),
            })),
            Err(WriteError::NotFound) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Stores a new code.
    pub(super) async fn store_code(
        &self,
        grant: &Grant<'_>,
        challenge: Option<&str>,
    ) -> Result<String, Refusal> {
        let random = &*self.services.random;
        let code = random_text(random);
        let row = json!({
            "id": random.uuid(),
            "service": reference(grant.service),
            "credential": { "id": grant.client },
            "authenticated_userid": grant.user,
            "scope": grant.scope,
            "code": code,
            "challenge": challenge,
            "challenge_method": challenge.map(|_| super::proof::METHOD),
            "plugin": { "id": self.id },
            "created_at": self.now(),
            "ttl": CODE_TTL,
        });
        self.services.writer.insert(CODES, record(row)).await?;
        Ok(code)
    }

    /// The row with a value that only its holder knows.
    pub(super) async fn find(
        &self,
        entity: &'static str,
        field: &'static str,
        value: Option<&str>,
    ) -> Result<Option<Arc<Record>>, Refusal> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let found = self.services.records.find(entity, By::Unique(field, value));
        Ok(found.get().await?)
    }

    /// Whether the lifetime of a record is over; 0 is for ever.
    ///
    /// Compat: `created_at` is a whole second, so that a token lives at most one second longer than it says.
    pub(super) fn is_over(&self, record: &Record, lifetime: i64) -> bool {
        let created = record.get("created_at").and_then(Value::as_f64);
        let age = self.now() as f64 - created.unwrap_or_default().floor();
        lifetime > 0 && age > lifetime as f64
    }

    fn now(&self) -> i64 {
        self.services.clock.unix_seconds()
    }
}

/// The id of a record.
pub(super) fn id(record: &Record) -> Option<Uuid> {
    record.get("id")?.as_str()?.parse().ok()
}

/// The id in a foreign field.
pub(super) fn foreign(record: &Record, field: &str) -> Option<Uuid> {
    record.get(field)?.get("id")?.as_str()?.parse().ok()
}

fn reference(id: Option<Uuid>) -> Value {
    id.map_or(Value::Null, |id| json!({ "id": id }))
}

fn record(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

/// 32 letters and digits that nobody can guess.
fn random_text(random: &dyn Random) -> String {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const LENGTH: usize = 32;
    let mut text = String::with_capacity(LENGTH);
    while text.len() < LENGTH {
        let mut bytes = [0; LENGTH];
        random.fill(&mut bytes);
        let letters = bytes
            .iter()
            .filter_map(|byte| LETTERS.get(usize::from(byte & 63)));
        text.extend(
            letters
                .map(|letter| char::from(*letter))
                .take(LENGTH - text.len()),
        );
    }
    text
}
