//! Changes to bodies: JSON objects, URL-encoded forms and multipart forms. Other bodies stay as they are.

use plugin_api::{BodyArguments, Exchange, Failure, Known, Part, arguments};
use serde_json::{Map, Value};

use super::handler::Changes;
use super::named::Named;

/// Changes the body of a request.
pub fn change(exchange: &mut Exchange<'_>, changes: &Changes<'_>) -> Result<(), Failure> {
    let kind = exchange.head.headers.get_str(Known::ContentType);
    let kind = kind.unwrap_or_default().to_ascii_lowercase();
    let is = |wanted: &str| kind.contains(wanted);
    if is("application/json") {
        change_json(exchange, changes)
    } else if is("multipart/form-data") {
        change_multipart(exchange, changes)
    } else if is("application/x-www-form-urlencoded") {
        let mut form = Named::of(arguments(exchange.body()));
        if form.change(changes) {
            exchange.set_body(form.encode());
        }
        Ok(())
    } else {
        Ok(())
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

fn change_json(exchange: &mut Exchange<'_>, changes: &Changes<'_>) -> Result<(), Failure> {
    let body = exchange.body();
    let mut members = match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => members,
        // What has no members cannot be changed, nor what is no JSON.
        _ if !body.is_empty() => return Ok(()),
        _ => Map::new(),
    };
    let empty = body.is_empty();
    let changed = change_members(&mut members, changes);
    // Where there was no body there is none without something to add.
    if !changed || (empty && members.is_empty()) {
        return Ok(());
    }
    let body = serde_json::to_vec(&members);
    let body =
        body.map_err(|error| Failure::new(format!("a body that cannot be written: {error}")))?;
    exchange.set_body(body);
    Ok(())
}

/// Compat: a member that is `false` counts as absent, and one that is neither a text nor a list is lost when a value is
/// appended to it.
fn change_members(members: &mut Map<String, Value>, changes: &Changes<'_>) -> bool {
    let is_there = |members: &Map<String, Value>, name: &str| {
        members
            .get(name)
            .is_some_and(|value| *value != Value::Bool(false))
    };
    let mut changed = !changes.remove.is_empty();
    for name in changes.remove {
        members.remove(name);
    }
    for (old, new) in &changes.rename {
        let new = text(new);
        if new != *old && is_there(members, old) {
            if let Some(value) = members.remove(*old) {
                members.insert(new, value);
            }
            changed = true;
        }
    }
    for (name, value) in &changes.replace {
        if is_there(members, name) {
            members.insert((*name).to_owned(), text(value).into());
            changed = true;
        }
    }
    for (name, value) in &changes.add {
        if !is_there(members, name) {
            members.insert((*name).to_owned(), text(value).into());
            changed = true;
        }
    }
    for (name, value) in &changes.append {
        let value = Value::String(text(value));
        let values = match members.remove(*name) {
            Some(Value::Array(mut values)) => {
                values.push(value);
                values
            }
            Some(one @ Value::String(_)) => vec![one, value],
            _ => vec![value],
        };
        members.insert((*name).to_owned(), Value::Array(values));
        changed = true;
    }
    changed
}

/// Compat: fields are renamed before they are removed, and nothing is appended.
fn change_multipart(exchange: &mut Exchange<'_>, changes: &Changes<'_>) -> Result<(), Failure> {
    let empty = exchange.body().is_empty();
    let Some(BodyArguments::Multipart {
        boundary,
        mut parts,
    }) = parts_of(exchange, empty)
    else {
        return Ok(());
    };
    let named = |parts: &[Part], name: &str| {
        parts
            .iter()
            .position(|part| part.name.as_deref() == Some(name))
    };
    let mut changed = !changes.remove.is_empty() && !empty;
    for (old, new) in &changes.rename {
        let new = text(new);
        if let Some(at) = named(&parts, old).filter(|_| new != *old) {
            let body = parts.remove(at).body;
            parts.retain(|part| part.name.as_deref() != Some(*old));
            set(&mut parts, new, body);
            changed = true;
        }
    }
    for name in changes.remove {
        parts.retain(|part| part.name.as_deref() != Some(name.as_str()));
    }
    for (name, value) in &changes.replace {
        if named(&parts, name).is_some() {
            parts.retain(|part| part.name.as_deref() != Some(*name));
            set(&mut parts, (*name).to_owned(), value.to_vec());
            changed = true;
        }
    }
    for (name, value) in &changes.add {
        if named(&parts, name).is_none() {
            set(&mut parts, (*name).to_owned(), value.to_vec());
            changed = true;
        }
    }
    if changed {
        BodyArguments::Multipart { boundary, parts }.write_to(exchange)?;
    }
    Ok(())
}

/// The parts of the body; none of an empty one.
fn parts_of(exchange: &mut Exchange<'_>, empty: bool) -> Option<BodyArguments> {
    if !empty {
        return BodyArguments::of(exchange);
    }
    let kind = exchange.head.headers.get_str(Known::ContentType)?;
    let (_, boundary) = kind.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    Some(BodyArguments::Multipart {
        boundary: boundary.to_owned(),
        parts: Vec::new(),
    })
}

/// Gives a field a value, in a part of its own.
fn set(parts: &mut Vec<Part>, name: String, body: Vec<u8>) {
    parts.retain(|part| part.name.as_deref() != Some(&name));
    // A quote or a line break would end the name.
    let quoted: String = name
        .chars()
        .map(|c| match c {
            '"' => "%22".to_owned(),
            '\r' => "%0D".to_owned(),
            '\n' => "%0A".to_owned(),
            other => other.to_string(),
        })
        .collect();
    parts.push(Part {
        head: format!("Content-Disposition: form-data; name=\"{quoted}\"").into_bytes(),
        name: Some(name),
        body,
    });
}
