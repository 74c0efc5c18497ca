//! Arguments in request bodies: JSON objects, URL-encoded forms, and multipart forms.

use bytes::Bytes;
use http1::{Framing, Known, RequestHead};
use serde_json::{Map, Value};

use crate::arguments::{arguments, push_argument};
use crate::{Exchange, Failure};

/// The body of a request, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub enum BodyArguments {
    Json(Map<String, Value>),
    Form(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Multipart { boundary: String, parts: Vec<Part> },
}

/// One part of a multipart form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub name: Option<String>,
    /// The header lines of the part, as they came.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

/// The kinds of bodies that can be taken apart.
enum Kind {
    Json,
    Form,
    Multipart,
}

impl Kind {
    fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is = |kind: &str| essence.eq_ignore_ascii_case(kind);
        if is("application/json") {
            Some(Self::Json)
        } else if is("application/x-www-form-urlencoded") {
            Some(Self::Form)
        } else if is("multipart/form-data") {
            Some(Self::Multipart)
        } else {
            None
        }
    }
}

impl BodyArguments {
    /// Takes the body of a request apart; `None` if there is none, or if it is of no such kind.
    pub fn of(exchange: &Exchange<'_>) -> Option<Self> {
        let content_type = exchange.head.headers.get_str(Known::ContentType)?;
        let body = exchange.body();
        match Kind::of(content_type)? {
            Kind::Json => match serde_json::from_slice(body).ok()? {
                Value::Object(members) => Some(Self::Json(members)),
                _ => None,
            },
            Kind::Form => {
                let pairs = arguments(body).map(|argument| {
                    (
                        argument.name.into_owned(),
                        argument.value.map(|v| v.into_owned()),
                    )
                });
                Some(Self::Form(pairs.collect()))
            }
            Kind::Multipart => {
                let boundary = boundary(content_type)?;
                let parts = split_multipart(body, &boundary)?;
                Some(Self::Multipart { boundary, parts })
            }
        }
    }

    /// Whether the body that a head announces is of a kind that can be taken apart.
    pub fn may_follow(head: &RequestHead) -> bool {
        let content_type = head.headers.get_str(Known::ContentType);
        content_type.and_then(Kind::of).is_some()
    }

    /// The texts under a name, in their order; numbers and truth values as JSON writes them.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match self {
            Self::Json(members) => match members.get(name) {
                Some(Value::String(text)) => vec![text.clone()],
                Some(Value::Array(items)) => items
                    .iter()
                    .map(|item| {
                        item.as_str()
                            .map_or_else(|| item.to_string(), str::to_owned)
                    })
                    .collect(),
                Some(other @ (Value::Number(_) | Value::Bool(_))) => vec![other.to_string()],
                _ => Vec::new(),
            },
            Self::Form(pairs) => pairs
                .iter()
                .filter(|(given, _)| given == name.as_bytes())
                .filter_map(|(_, value)| value.as_deref().map(text))
                .collect(),
            Self::Multipart { parts, .. } => parts
                .iter()
                .filter(|part| part.name.as_deref() == Some(name))
                .map(|part| text(&part.body))
                .collect(),
        }
    }

    /// Removes everything under a name.
    pub fn remove(&mut self, name: &str) {
        match self {
            Self::Json(members) => {
                members.remove(name);
            }
            Self::Form(pairs) => pairs.retain(|(given, _)| given != name.as_bytes()),
            Self::Multipart { parts, .. } => {
                parts.retain(|part| part.name.as_deref() != Some(name));
            }
        }
    }

    /// Makes this the body that the upstream gets.
    ///
    /// # Errors
    /// When JSON cannot be written.
    pub fn write_to(&self, exchange: &mut Exchange<'_>) -> Result<(), Failure> {
        let body = match self {
            Self::Json(members) => serde_json::to_vec(members)
                .map_err(|error| Failure::new(format!("a body that cannot be written: {error}")))?,
            Self::Form(pairs) => {
                let mut form = Vec::new();
                for (name, value) in pairs {
                    push_argument(&mut form, name, value.as_deref());
                }
                form
            }
            Self::Multipart { boundary, parts } => join_multipart(parts, boundary),
        };
        exchange.set_body(Bytes::from(body));
        Ok(())
    }
}

impl Exchange<'_> {
    /// Whether the client announced a body.
    pub fn announces_body(&self) -> bool {
        !matches!(self.head.framing(), Framing::None | Framing::Length(0))
    }
}

/// The parameter `boundary` of a content type.
fn boundary(content_type: &str) -> Option<String> {
    let mut parameters = content_type.split(';').skip(1).map(str::trim);
    let value = parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim())
    })?;
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    // RFC 2046 section 5.1.1.
    (1..=70).contains(&value.len()).then(|| value.to_owned())
}

fn split_multipart(body: &[u8], boundary: &str) -> Option<Vec<Part>> {
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let first = delimiter.strip_prefix(b"\r\n")?;
    let mut rest = match body.strip_prefix(first) {
        Some(rest) => rest,
        None => find(body, &delimiter).and_then(|at| body.get(at + delimiter.len()..))?,
    };
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        let content = rest.get(find(rest, b"\r\n")? + 2..)?;
        let end = find(content, &delimiter)?;
        let part = content.get(..end)?;
        let (head, body) = match part.strip_prefix(b"\r\n") {
            Some(body) => (&b""[..], body),
            None => {
                let blank = find(part, b"\r\n\r\n")?;
                (part.get(..blank)?, part.get(blank + 4..)?)
            }
        };
        parts.push(Part {
            name: part_name(head),
            head: head.to_vec(),
            body: body.to_vec(),
        });
        rest = content.get(end + delimiter.len()..)?;
    }
    Some(parts)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

/// The name in `Content-Disposition: form-data; name="…"`.
fn part_name(head: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim()
            .eq_ignore_ascii_case("content-disposition")
            .then(|| value.trim().to_owned())
    })?;
    let mut parameters = disposition.split(';').skip(1).map(str::trim);
    parameters.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let value = value.trim();
        let value = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        name.trim()
            .eq_ignore_ascii_case("name")
            .then(|| value.to_owned())
    })
}

fn join_multipart(parts: &[Part], boundary: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(b"--");
        out.extend_from_slice(boundary.as_bytes());
        out.extend_from_slice(b"\r\n");
        if !part.head.is_empty() {
            out.extend_from_slice(&part.head);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(&part.body);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"--");
    out.extend_from_slice(boundary.as_bytes());
    out.extend_from_slice(b"--\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Sample;

    fn parsed(kind: &str, body: &str) -> Option<BodyArguments> {
        let mut sample = Sample::new("POST", "/", &[("Content-Type", kind)]);
        sample.work.body = Some(Bytes::copy_from_slice(body.as_bytes()));
        BodyArguments::of(&sample.exchange())
    }

    #[test]
    fn each_kind_of_body_gives_its_arguments() {
        let multipart = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk1\r\n\
                         --b\r\ncontent-disposition: form-data; filename=\"x\"; name=other\r\n\r\na\r\nb\r\n--b--\r\n";
        for (kind, body) in [
            ("application/json; charset=utf-8", r#"{"key":"k1","n":1}"#),
            ("application/x-www-form-urlencoded", "a=b&key=k1"),
            ("multipart/form-data; boundary=\"b\"", multipart),
        ] {
            let parsed = parsed(kind, body).expect(kind);
            assert_eq!(parsed.texts("key"), ["k1"], "{kind}");
            assert!(parsed.texts("none").is_empty());
        }
        assert_eq!(
            parsed("multipart/form-data; boundary=b", multipart)
                .expect("parts")
                .texts("other"),
            ["a\r\nb"]
        );
    }

    #[test]
    fn bodies_of_other_kinds_and_broken_ones_give_none() {
        for (kind, body) in [
            ("text/plain", "key=k1"),
            ("application/json", "[1]"),
            ("application/json", "{"),
            ("multipart/form-data", "--b--"),
            ("multipart/form-data; boundary=b", "--b\r\nno end"),
            ("multipart/form-data; boundary=b", ""),
        ] {
            assert_eq!(parsed(kind, body), None, "{kind} {body}");
        }
    }

    #[test]
    fn what_is_removed_is_gone_and_the_rest_is_as_it_was() {
        let multipart = "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk1\r\n\
                         --b\r\nContent-Disposition: form-data; name=\"x\"\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--\r\n";
        for (kind, body, left) in [
            (
                "application/json",
                r#"{"key":"k1","x":[1,null]}"#,
                r#"{"x":[1,null]}"#,
            ),
            (
                "application/x-www-form-urlencoded",
                "key=k1&x=%20&key=2",
                "x=%20",
            ),
            (
                "multipart/form-data; boundary=b",
                multipart,
                "--b\r\nContent-Disposition: form-data; name=\"x\"\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--\r\n",
            ),
        ] {
            let mut sample = Sample::new("POST", "/", &[("Content-Type", kind)]);
            sample.work.body = Some(Bytes::copy_from_slice(body.as_bytes()));
            let mut exchange = sample.exchange();
            let mut parsed = BodyArguments::of(&exchange).expect(kind);
            parsed.remove("key");
            parsed.write_to(&mut exchange).expect("a body");
            assert_eq!(String::from_utf8_lossy(exchange.body()), left, "{kind}");
            assert!(exchange.work.body_changed);
        }
    }
}
