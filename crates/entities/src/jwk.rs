//! JSON Web Keys (RFC 7517).

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256K1_SHA256_ASN1, ECDSA_P384_SHA384_ASN1,
    ECDSA_P521_SHA512_ASN1, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schema::{Context, Field, NoSubschemas, Operation, Record, Schema};
use serde_json::Value;

use crate::fields::text;

/// The members of a key that hold text.
const TEXTS: [&str; 19] = [
    "issuer", "kty", "use", "alg", "x5u", "x5t", "x5t#S256", "k", "x", "y", "crv", "n", "e", "d",
    "p", "q", "dp", "dq", "qi",
];

/// Whether a text is a key that can be loaded and has the given id.
pub(crate) fn check(jwk: &str, kid: &str) -> Result<(), String> {
    let jwk: Value =
        serde_json::from_str(jwk).map_err(|_| "could not json decode jwk string".to_owned())?;
    if jwk.get("kid").and_then(Value::as_str) != Some(kid) {
        return Err("kid in jwk.kid must be equal to keys.kid".to_owned());
    }
    let Value::Object(jwk) = jwk else {
        return Err("could not load JWK".to_owned());
    };
    if !is_loadable(&jwk) {
        return Err("could not load JWK, likely not a valid key".to_owned());
    }
    check_members(jwk)
}

fn check_members(jwk: Record) -> Result<(), String> {
    let text = || Field::string("").optional();
    let mut schema =
        Schema::new("jwk", "A JSON Web Key.").field_as("kid", Field::string("").required());
    for name in TEXTS.into_iter().chain(["oth", "r", "t"]) {
        schema = schema.field_as(name, text());
    }
    for name in ["key_ops", "x5c"] {
        schema = schema.field_as(name, Field::array("", text()).optional());
    }
    let mut no_ids = uuid::Uuid::nil;
    let mut context = Context::at(0, &mut no_ids, &NoSubschemas);
    match schema.prepare(Operation::Insert, jwk, None, &mut context) {
        Ok(_) => Ok(()),
        Err(violations) => Err(summary(&violations.into_json())),
    }
}

/// Errors on one line: `Validation error: alg: expected a string`.
fn summary(errors: &Value) -> String {
    let lines: Vec<String> = match errors {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, error)| format!("{name}: {}", summary_of(error)))
            .collect(),
        Value::Array(elements) => elements
            .iter()
            .filter(|error| !error.is_null())
            .map(summary_of)
            .collect(),
        other => vec![text(other).to_owned()],
    };
    format!("Validation error: {}", lines.join("; "))
}

fn summary_of(error: &Value) -> String {
    error.as_str().map_or_else(|| summary(error), str::to_owned)
}

fn is_loadable(jwk: &Record) -> bool {
    let bytes = |name: &str| {
        let decoded = URL_SAFE_NO_PAD
            .decode(jwk.get(name)?.as_str()?.trim_end_matches('='))
            .ok()?;
        Some(decoded).filter(|bytes| !bytes.is_empty())
    };
    let private_is_readable = !jwk.contains_key("d") || bytes("d").is_some();
    let public_is_readable = match jwk.get("kty").and_then(Value::as_str) {
        Some("RSA") => bytes("n").is_some() && bytes("e").is_some(),
        Some("EC") => match (
            jwk.get("crv").and_then(Value::as_str).and_then(curve),
            bytes("x"),
            bytes("y"),
        ) {
            (Some((algorithm, size)), Some(x), Some(y)) => is_point(algorithm, size, &x, &y),
            _ => false,
        },
        Some("OKP") => {
            let size = match jwk.get("crv").and_then(Value::as_str) {
                Some("Ed25519" | "X25519") => 32,
                Some("Ed448") => 57,
                Some("X448") => 56,
                _ => return false,
            };
            bytes("x").is_some_and(|x| x.len() == size)
        }
        _ => false,
    };
    public_is_readable && private_is_readable
}

fn curve(name: &str) -> Option<(&'static dyn VerificationAlgorithm, usize)> {
    match name {
        "P-256" => Some((&ECDSA_P256_SHA256_ASN1, 32)),
        "P-384" => Some((&ECDSA_P384_SHA384_ASN1, 48)),
        "P-521" => Some((&ECDSA_P521_SHA512_ASN1, 66)),
        "secp256k1" => Some((&ECDSA_P256K1_SHA256_ASN1, 32)),
        _ => None,
    }
}

/// Whether the coordinates are a point of the curve.
fn is_point(
    algorithm: &'static dyn VerificationAlgorithm,
    size: usize,
    x: &[u8],
    y: &[u8],
) -> bool {
    if x.len() > size || y.len() > size {
        return false;
    }
    let mut point = vec![0_u8; 1 + 2 * size];
    point[0] = 4;
    point[1 + size - x.len()..=size].copy_from_slice(x);
    point[1 + 2 * size - y.len()..].copy_from_slice(y);
    ParsedPublicKey::new(algorithm, &point).is_ok()
}
