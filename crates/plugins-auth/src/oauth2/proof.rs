//! Proof keys (PKCE, RFC 7636): who asks for a code shows a hash, and who redeems it shows what was hashed.

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::parameters::Parameters;
use super::refusal::ProtocolError;

/// The only way of hashing.
pub(super) const METHOD: &str = "S256";

/// The longest challenge that is stored; one of `S256` has 43 characters.
const LONGEST: usize = 128;

/// The hash in a request for a code, in the form in which it is compared; `None` if there is none.
pub(super) fn challenge(parameters: &Parameters) -> Result<Option<String>, ProtocolError> {
    let wrong = |why: &'static str| Err(ProtocolError::new("invalid_request", why));
    if !parameters.has("code_challenge") {
        return if parameters.has("code_challenge_method") {
            wrong("code_challenge is required when code_method is present")
        } else {
            Ok(None)
        };
    }
    if parameters.has("code_challenge_method") {
        let method = parameters.text("code_challenge_method");
        if !method.is_some_and(|method| method.eq_ignore_ascii_case(METHOD)) {
            return wrong("code_challenge_method is not supported, must be S256");
        }
    }
    match parameters.text("code_challenge") {
        Some(given) if !given.is_empty() && given.len() <= LONGEST => {
            let given = given.trim_end_matches('=');
            Ok(Some(given.replace('+', "-").replace('/', "_")))
        }
        _ => wrong("code_challenge is not a SHA-256 hash in base64url"),
    }
}

/// Checks what was hashed against the hash that came with the request for the code.
pub(super) fn check(parameters: &Parameters, challenge: Option<&str>) -> Result<(), ProtocolError> {
    let wrong = |why: &'static str| Err(ProtocolError::new("invalid_request", why));
    if !parameters.has("code_verifier") {
        return wrong("code_verifier is required for PKCE authorization requests");
    }
    let Some(verifier) = parameters.text("code_verifier") else {
        return wrong("code_verifier is not a string");
    };
    if !(43..=128).contains(&verifier.len()) {
        return wrong("code_verifier must be between 43 and 128 characters");
    }
    let sum = digest::digest(&digest::SHA256, verifier.as_bytes());
    let sum = URL_SAFE_NO_PAD.encode(sum);
    let expected = challenge.unwrap_or_default();
    constant_time::verify_slices_are_equal(sum.as_bytes(), expected.as_bytes())
        .map_err(|_| ProtocolError::new("invalid_grant", "Invalid code"))
}
