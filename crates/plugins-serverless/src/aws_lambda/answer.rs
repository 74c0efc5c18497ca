//! What the client gets of a function's answer.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use plugin_api::{Body, Headers, HttpResponse, Reply};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use crate::outbound::Answer;

/// Reads base64 with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How answers are understood.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Whether the function says status, headers and body itself.
    pub is_proxy_integration: bool,
    /// The status where the function failed.
    pub unhandled_status: Option<u16>,
    /// Whether empty arrays become objects.
    pub empties_arrays: bool,
}

impl Reading {
    /// The client's answer.
    ///
    /// # Errors
    /// With what is wrong in the function's answer.
    pub fn answer(&self, said: HttpResponse) -> Result<Answer, String> {
        let mut answer = Answer {
            status: said.status,
            headers: said.headers,
            body: said.body,
        };
        if self.is_proxy_integration {
            integrate(&mut answer)?;
            return Ok(answer);
        }
        if let Some(status) = self.unhandled_status
            && answer.header("X-Amz-Function-Error") == Some(b"Unhandled")
        {
            answer.status = status;
        }
        if is_json(&answer) {
            self.read_json(&mut answer);
        }
        Ok(answer)
    }

    fn read_json(&self, answer: &mut Answer) {
        // Compat: a text stands for itself.
        if let Ok(text) = serde_json::from_slice::<String>(&answer.body) {
            answer.body = text.into();
        } else if self.empties_arrays && serde_json::from_slice::<IgnoredAny>(&answer.body).is_ok()
        {
            answer.body = without_empty_arrays(&answer.body).into();
        }
    }
}

/// The answer to a client whose function said something that is no answer.
pub fn refusal(reason: &str) -> Reply {
    let error = format!("could not JSON decode Lambda function response: {reason}");
    Reply::new(502).with_body(Body::Json(json!({
        "message": "Bad Gateway",
        "error": error,
    })))
}

/// Gives an answer the status, headers and body that it says in its own body.
fn integrate(answer: &mut Answer) -> Result<(), String> {
    let mut said: Value = serde_json::from_slice(&answer.body).map_err(|e| e.to_string())?;
    // Compat: the object may stand in a text.
    if let Value::String(text) = &said {
        said = serde_json::from_str(text).map_err(|e| e.to_string())?;
    }
    let Value::Object(said) = said else {
        return Err("proxy response must be json format".to_owned());
    };
    answer.status = status(said.get("statusCode")).ok_or("statusCode validation failed")?;
    let none = Map::new();
    let headers = match said.get("headers") {
        None => &none,
        Some(Value::Object(headers)) => headers,
        Some(Value::Array(items)) if items.is_empty() => &none,
        Some(_) => return Err("headers must be a table".to_owned()),
    };
    let body = match said.get("body") {
        None => "",
        Some(Value::String(body)) => body,
        Some(_) => return Err("body must be a string".to_owned()),
    };
    let is_base64 = match said.get("isBase64Encoded") {
        None => false,
        Some(Value::Bool(is_base64)) => *is_base64,
        Some(_) => return Err("isBase64Encoded must be a boolean".to_owned()),
    };
    let several = match said.get("multiValueHeaders") {
        None | Some(Value::Null) => &none,
        Some(Value::Object(headers)) => headers,
        Some(Value::Array(items)) if items.is_empty() => &none,
        Some(_) => return Err("multiValueHeaders must be a table".to_owned()),
    };
    for (name, value) in headers.iter().chain(several) {
        let values = match value {
            Value::Array(values) => values.iter().map(header_text).collect(),
            value => header_text(value).map(|text| vec![text]),
        };
        let values: Vec<Vec<u8>> = values
            .filter(|values: &Vec<_>| values.iter().all(|value| is_header(name, value)))
            .ok_or_else(|| format!("{name:?} is no header, or has no text"))?;
        answer.replace_header(name, values);
    }
    answer.body = match is_base64 {
        true => BASE64
            .decode(body)
            .map_err(|_| "body must be base64")?
            .into(),
        false => Bytes::copy_from_slice(body.as_bytes()),
    };
    Ok(())
}

/// A status that an answer can end with, as a number or in digits.
fn status(said: Option<&Value>) -> Option<u16> {
    let status = match said? {
        Value::Number(number) => number.as_f64()?,
        Value::String(digits) => digits.trim().parse().ok()?,
        _ => return None,
    };
    let is_whole = status.fract() == 0.0 && (200.0..=599.0).contains(&status);
    format!("{status:.0}").parse().ok().filter(|_| is_whole)
}

fn header_text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into_bytes()),
        _ => None,
    }
}

/// Whether a header can stand in an answer: what a function says is not taken for granted.
fn is_header(name: &str, value: &[u8]) -> bool {
    Headers::new().append(name, value).is_ok()
}

fn is_json(answer: &Answer) -> bool {
    let kind = answer.header("Content-Type").unwrap_or_default();
    let kind = kind.to_ascii_lowercase();
    let kind = String::from_utf8_lossy(&kind);
    let after = kind.split_once("application/");
    after.is_some_and(|(_, after)| after.contains("json"))
}

/// JSON with `{}` for every `[]`.
fn without_empty_arrays(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json;
    let mut is_text = false;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, is_text) {
            (b'\\', true) => {
                out.push(b'\\');
                if let [escaped, after @ ..] = rest {
                    out.push(*escaped);
                    rest = after;
                }
                continue;
            }
            (b'"', _) => is_text = !is_text,
            (b'[', false) => {
                if let Some(after) = rest.trim_ascii_start().strip_prefix(b"]") {
                    out.extend_from_slice(b"{}");
                    rest = after;
                    continue;
                }
            }
            _ => {}
        }
        out.push(*byte);
    }
    out
}
