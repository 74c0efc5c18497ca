//! What clients claim.

use crate::encoding;

/// A name and a password, neither of them empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claim {
    pub user: String,
    pub password: Vec<u8>,
}

/// What follows the scheme in the value of a header; `None` if it has another scheme.
pub(super) fn strip_scheme<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let value = value.trim_ascii_start();
    let (given, rest) = value.split_at_checked(scheme.len())?;
    let is_same = given.eq_ignore_ascii_case(scheme.as_bytes());
    let is_apart = rest.first().is_some_and(u8::is_ascii_whitespace);
    (is_same && is_apart).then(|| rest.trim_ascii())
}

/// The claim of encoded credentials, `name:password` in base64; `None` if that is not what they are.
pub(super) fn parse_claim(encoded: &[u8]) -> Option<Claim> {
    let mut user = encoding::decode(encoded)?;
    let colon = user.iter().position(|byte| *byte == b':')?;
    let password = user.split_off(colon + 1);
    user.truncate(colon);
    // The name goes to the upstream in a header.
    let user = String::from_utf8(user).ok()?;
    let is_name = !user.is_empty() && !user.chars().any(char::is_control);
    (is_name && !password.is_empty()).then_some(Claim { user, password })
}
