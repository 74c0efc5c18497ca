//! Page tokens: base64 of a JSON array of strings, as Kong's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::Error;

/// Longest token that is looked at.
const MAX_LENGTH: usize = 4096;

/// Makes a token of the place after which the next page starts.
pub fn encode(place: &[&str]) -> String {
    STANDARD.encode(serde_json::Value::from(place.to_vec()).to_string())
}

/// Reads a token of `length` strings.
///
/// # Errors
/// `InvalidOffset`, in the words of Kong's PostgreSQL store.
pub fn decode(token: &str, length: usize) -> Result<Vec<String>, Error> {
    let invalid = |reason: &str| Error::InvalidOffset {
        offset: token.to_owned(),
        reason: reason.to_owned(),
    };
    if token.len() > MAX_LENGTH {
        return Err(invalid("too long"));
    }
    let json = STANDARD
        .decode(token)
        .map_err(|_| invalid("bad base64 encoding"))?;
    let place: Vec<String> =
        serde_json::from_slice(&json).map_err(|_| invalid("bad json encoding"))?;
    if place.len() == length {
        Ok(place)
    } else {
        Err(invalid("bad offset key"))
    }
}

/// Makes a token that continues after `id`.
pub fn after(id: Uuid) -> String {
    encode(&[&id.to_string()])
}

/// Reads a token made by [`after`].
///
/// # Errors
/// `InvalidOffset` if it was not.
pub fn parse_after(token: &str) -> Result<Uuid, Error> {
    let place = decode(token, 1)?;
    place
        .first()
        .and_then(|text| Uuid::parse_str(text).ok())
        .ok_or_else(|| Error::InvalidOffset {
            offset: token.to_owned(),
            reason: "bad offset key".to_owned(),
        })
}
