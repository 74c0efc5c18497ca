//! Applications as clients of the endpoints: who they say they are, and where they may be sent back to.

use std::sync::Arc;

use plugin_api::By;
use schema::Record;
use serde_json::Value;
use uuid::Uuid;

use super::handler::OAuth2;
use super::parameters::Parameters;
use super::refusal::{ProtocolError, Refusal};
use super::secret;
use crate::encoding;

/// An application.
pub(super) struct Client {
    pub(super) id: Uuid,
    record: Arc<Record>,
}

/// Who a client of the token endpoint says it is.
pub(super) struct Claim {
    pub(super) id: Option<String>,
    secret: Option<String>,
    /// Whether a header says so, and not parameters.
    by_header: bool,
}

impl Client {
    fn read(record: Arc<Record>) -> Option<Self> {
        let id = record.get("id")?.as_str()?.parse().ok()?;
        Some(Self { id, record })
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.record.get(field)?.as_str()
    }

    /// Whether it is one that cannot keep a secret.
    pub(super) fn is_public(&self) -> bool {
        self.text("client_type") == Some("public")
    }

    /// What the client type is called.
    pub(super) fn kind(&self) -> &'static str {
        if self.is_public() {
            "public"
        } else {
            "confidential"
        }
    }

    /// Where the application may be sent back to; `None` if it takes part in no grant that sends back.
    fn redirect_uris(&self) -> Option<impl Iterator<Item = &str>> {
        let uris = self.record.get("redirect_uris")?.as_array()?;
        Some(uris.iter().filter_map(Value::as_str))
    }

    /// Where this request is to be sent back to, if that can be said; and what is wrong with it.
    ///
    /// Invariant: an address counts only if it is, letter by letter, one that the application has. Errors go to its first
    /// one if the request names another.
    pub(super) fn way_back<'a>(
        client: Option<&'a Self>,
        parameters: &Parameters,
    ) -> (Option<&'a str>, Result<(), ProtocolError>) {
        let Some(mut uris) = client.and_then(Self::redirect_uris) else {
            return (None, Err(ProtocolError::invalid_client()));
        };
        let first = uris.next();
        let asked = parameters.text("redirect_uri");
        let found = match asked {
            None if !parameters.has("redirect_uri") => first,
            asked => first
                .into_iter()
                .chain(uris)
                .find(|uri| Some(*uri) == asked),
        };
        if found.is_some() {
            return (found, Ok(()));
        }
        let error = ProtocolError::new(
            "invalid_request",
            "Invalid redirect_uri that does not match with any redirect_uri created with the application",
        );
        (first, Err(error))
    }
}

impl Claim {
    /// Of parameters, or else of the header that holds tokens elsewhere.
    pub(super) fn of(header: Option<&[u8]>, parameters: &Parameters) -> Self {
        let text = |name| parameters.text(name).map(str::to_owned);
        let in_parameters = parameters.has("client_id") && parameters.has("client_secret");
        match header {
            Some(header) if !in_parameters => {
                let (id, secret) = basic(header).unzip();
                Self {
                    id,
                    secret,
                    by_header: true,
                }
            }
            _ => Self {
                id: text("client_id"),
                secret: text("client_secret"),
                by_header: false,
            },
        }
    }

    /// The refusal of who cannot prove it.
    pub(super) fn refused(&self) -> ProtocolError {
        self.answered(ProtocolError::invalid_client())
    }

    /// An error as this client is told: who tried to authenticate with a header and failed gets 401.
    pub(super) fn answered(&self, error: ProtocolError) -> ProtocolError {
        if self.by_header && error.is_invalid_client() {
            error.with_status(401)
        } else {
            error
        }
    }
}

/// Name and secret of `Basic …`.
fn basic(header: &[u8]) -> Option<(String, String)> {
    let (scheme, rest) = header.trim_ascii().split_at_checked(5)?;
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = String::from_utf8(encoding::decode(rest.trim_ascii())?).ok()?;
    let (name, secret) = decoded.split_once(':')?;
    Some((name.to_owned(), secret.to_owned()))
}

impl OAuth2 {
    /// The application with this `client_id`.
    pub(super) async fn client(&self, id: Option<&str>) -> Result<Option<Client>, Refusal> {
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return Ok(None);
        };
        let by_name = By::Unique("client_id", id);
        let found = self.services.records.find("oauth2_credentials", by_name);
        Ok(found.get().await?.and_then(Client::read))
    }

    /// Checks that a client is who it says.
    pub(super) async fn check_secret(&self, client: &Client, claim: &Claim) -> Result<(), Refusal> {
        let given = claim.secret.as_deref().unwrap_or_default();
        if client.is_public() {
            if given.trim().is_empty() {
                return Ok(());
            }
            let message = "client_secret is disallowed for public clients";
            return Err(ProtocolError::new("invalid_request", message).into());
        }
        let stored = client
            .text("client_secret")
            .filter(|stored| !stored.is_empty());
        let stored = stored.ok_or_else(|| claim.refused())?;
        let is_right = if client.record.get("hash_secret") == Some(&Value::Bool(true)) {
            let background = &*self.services.background;
            let (given, stored) = (given.to_owned(), stored.to_owned());
            let checked = self.hashing.has_hash(background, given, stored).await;
            checked.ok_or_else(|| {
                Refusal::Unavailable("too many secrets are being checked".to_owned())
            })?
        } else {
            secret::is_same(given, stored)
        };
        if is_right {
            Ok(())
        } else {
            Err(claim.refused().into())
        }
    }
}
