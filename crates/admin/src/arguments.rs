//! What a request says: its query and its body, in any of the encodings that the Admin API takes.
//!
//! A JSON body is taken as it is. The fields of a form, a multipart body and a query are text: names that spell a
//! structure are nested ([`form`]); `Schema::coerce_form` then makes the values what the declaration expects.

mod form;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use form::FieldValue;

/// How many fields a query or a form may have.
const MAX_FIELDS: usize = 1000;

/// Why a request's arguments cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("unsupported media type")]
    UnsupportedMediaType,
    #[error("Cannot parse JSON body")]
    Json,
    #[error("Cannot parse multipart body")]
    Multipart,
    #[error("Too many arguments")]
    TooMany,
    #[error("An argument name nests too deeply")]
    TooDeep,
}

/// The encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    None,
    Json,
    Form,
    Multipart,
    Yaml,
}

impl Encoding {
    /// Whether values are text whose type the declaration decides.
    pub fn is_form(self) -> bool {
        matches!(self, Encoding::Form | Encoding::Multipart)
    }
}

/// Looks at the headers of a request that may have a body.
///
/// Compat: the media type is matched by letter case and by prefix; a missing one is fine if there is no body.
pub fn encoding(headers: &HeaderMap, accepts_yaml: bool) -> Result<Encoding, Error> {
    let Some(media_type) = headers.get(CONTENT_TYPE) else {
        let empty = headers
            .get(CONTENT_LENGTH)
            .is_none_or(|length| length == "0");
        let chunked = headers.contains_key(TRANSFER_ENCODING);
        return if empty && !chunked {
            Ok(Encoding::None)
        } else {
            Err(Error::UnsupportedMediaType)
        };
    };
    let media_type = media_type.as_bytes();
    let yaml: [&[u8]; 2] = [b"application/yaml", b"text/yaml"];
    if media_type.starts_with(b"application/json") {
        Ok(Encoding::Json)
    } else if media_type.starts_with(b"application/x-www-form-urlencoded") {
        Ok(Encoding::Form)
    } else if media_type.starts_with(b"multipart/form-data") {
        Ok(Encoding::Multipart)
    } else if accepts_yaml && yaml.iter().any(|prefix| media_type.starts_with(prefix)) {
        Ok(Encoding::Yaml)
    } else {
        Err(Error::UnsupportedMediaType)
    }
}

/// Reads a body as one object.
///
/// A YAML body is not looked into: it is the business of the endpoint that accepts one.
pub async fn decode_body(
    encoding: Encoding,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Map<String, Value>, Error> {
    let fields = match encoding {
        Encoding::None | Encoding::Yaml => return Ok(Map::new()),
        Encoding::Json => return decode_json(&body),
        Encoding::Form => split(&String::from_utf8_lossy(&body))?,
        Encoding::Multipart => split_multipart(headers, body).await?,
    };
    form::decode(fields)
}

/// Reads a query string.
pub fn decode_query(query: Option<&str>) -> Result<Map<String, Value>, Error> {
    form::decode(split(query.unwrap_or_default())?)
}

fn decode_json(body: &[u8]) -> Result<Map<String, Value>, Error> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        // Compat: an empty list is an empty object, as it is in Lua.
        Ok(Value::Array(list)) if list.is_empty() => Ok(Map::new()),
        _ => Err(Error::Json),
    }
}

/// Splits `a=1&b&c=` at its separators and decodes both sides; fields without a name are dropped.
fn split(text: &str) -> Result<Vec<(String, FieldValue)>, Error> {
    let mut fields = Vec::new();
    for field in text.split('&') {
        let (name, value) = match field.split_once('=') {
            Some((name, value)) => (name, FieldValue::Text(unescape(value))),
            None => (field, FieldValue::Present),
        };
        if name.is_empty() {
            continue;
        }
        if fields.len() == MAX_FIELDS {
            return Err(Error::TooMany);
        }
        fields.push((unescape(name), value));
    }
    Ok(fields)
}

/// Decodes `%xx` and `+`; what is not UTF-8 becomes U+FFFD.
pub fn unescape(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// Reads the parts of a multipart body; a part of JSON text is text here, since its name says where it belongs.
async fn split_multipart(
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Vec<(String, FieldValue)>, Error> {
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let boundary = media_type.and_then(|value| multer::parse_boundary(value).ok());
    let stream = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>(body) });
    let mut parts = multer::Multipart::new(stream, boundary.ok_or(Error::Multipart)?);
    let mut fields = Vec::new();
    while let Some(part) = parts.next_field().await.map_err(|_| Error::Multipart)? {
        let name = part.name().map(str::to_owned);
        let text = part.bytes().await.map_err(|_| Error::Multipart)?;
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            continue;
        };
        if fields.len() == MAX_FIELDS {
            return Err(Error::TooMany);
        }
        fields.push((
            name,
            FieldValue::Text(String::from_utf8_lossy(&text).into_owned()),
        ));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests;
