//! Credentials, and the JSON in which services of the machine hand them out.

use std::fmt;

use serde::Deserialize;
use stdx::{Moment, Secret};

/// Who signs.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub key_id: String,
    pub secret: Secret,
    pub session_token: Option<Secret>,
    /// When they end, in seconds since 1970.
    pub expires: Option<i64>,
    /// When they should be asked for again although they have no end.
    pub renew: Option<i64>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("credentials")
    }
}

/// What the metadata service and containers say.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Said {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

impl Credentials {
    /// Without an end.
    pub fn lasting(key_id: String, secret: Secret, session_token: Option<Secret>) -> Self {
        Self {
            key_id,
            secret,
            session_token,
            expires: None,
            renew: None,
        }
    }

    /// Out of the JSON of a metadata service.
    ///
    /// # Errors
    /// When it is something else. What was said is not in the text.
    pub fn of_json(json: &[u8]) -> Result<Self, String> {
        let said: Said =
            serde_json::from_slice(json).map_err(|_| "the answer holds no credentials")?;
        let expires = match said.expiration.as_deref() {
            Some(text) => Some(moment(text)?),
            None => None,
        };
        Ok(Self {
            key_id: said.access_key_id,
            secret: Secret::new(said.secret_access_key),
            session_token: said.token.map(Secret::new),
            expires,
            renew: None,
        })
    }
}

/// The seconds of a time that a service says.
pub fn moment(text: &str) -> Result<i64, String> {
    let moment = Moment::parse(text).ok_or("the credentials' end is no time")?;
    Ok(moment.seconds)
}
