//! The arguments of a collection: `size`, `offset` and `tags`, and the link to the next page.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schema::Schema;
use serde_json::{Map, Value, json};
use store::{PageRequest, TagFilter};
use uuid::Uuid;

use crate::error::{Error, Failure, Kind};

const DEFAULT_SIZE: usize = 100;
const MAX_TAGS: usize = 5;

/// What stays as it is in a query: RFC 3986 unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The page that a query asks for.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    size: Option<usize>,
    offset: Option<String>,
    /// The text of the `tags` argument and its meaning.
    tags: Option<(String, TagFilter)>,
}

impl Paging {
    /// Reads the arguments; those that the entity has no use for are ignored.
    pub fn read(query: &Map<String, Value>, schema: &Schema) -> Result<Self, Error> {
        let tags = match query.get("tags") {
            Some(value) if schema.field("tags").is_some() => Some(read_tags(value)?),
            _ => None,
        };
        let size = query.get("size").map(read_size).transpose()?;
        let offset = query.get("offset").map(read_offset).transpose()?;
        Ok(Self { size, offset, tags })
    }

    /// The request to the store.
    ///
    /// Compat: tags are checked but filter nothing below a parent
    /// (pinned by admin/general "a tag filter on a nested list").
    pub fn request<'a>(&self, foreign: Option<(&'a str, Uuid)>) -> PageRequest<'a> {
        let tags = self.tags.as_ref().filter(|_| foreign.is_none());
        PageRequest {
            size: self.size(),
            offset: self.offset.clone(),
            foreign,
            tags: tags.map(|(_, filter)| filter.clone()),
        }
    }

    /// How many records the page may have.
    pub fn size(&self) -> usize {
        self.size.unwrap_or(DEFAULT_SIZE)
    }

    /// The offset as it was given.
    pub fn offset(&self) -> Option<&str> {
        self.offset.as_deref()
    }

    /// The body of a page; `path` is where the collection is.
    ///
    /// Compat: the link below a parent has nothing but the offset
    /// (pinned by admin/upstreams-targets "targets are paged with a numeric offset").
    pub fn body(&self, path: &str, data: Vec<Value>, offset: Option<String>) -> Value {
        let Some(offset) = offset else {
            return json!({ "data": data, "next": null });
        };
        let mut next = format!("{path}?offset={}", escape(&offset));
        let nested = path.trim_start_matches('/').contains('/');
        if !nested {
            if let Some((tags, _)) = &self.tags {
                next.push_str(&format!("&tags={}", escape(tags)));
            }
            if let Some(size) = self.size {
                next.push_str(&format!("&size={size}"));
            }
        }
        json!({ "data": data, "next": next, "offset": offset })
    }
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

fn read_size(value: &Value) -> Result<usize, Error> {
    let number = match value {
        Value::String(text) => text.trim().parse::<f64>().ok(),
        value => value.as_f64(),
    };
    let number = number.ok_or_else(|| Failure::new(Kind::InvalidSize, "size must be a number"))?;
    let limit = PageRequest::MAX_SIZE;
    (1..=limit)
        .find(|size| *size as f64 == number)
        .ok_or_else(|| {
            Failure::new(
                Kind::InvalidSize,
                format!("size must be an integer between 1 and {limit}"),
            )
            .into()
        })
}

fn read_offset(value: &Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err(Failure::new(Kind::InvalidOffset, "offset must be a string").into()),
    }
}

fn read_tags(value: &Value) -> Result<(String, TagFilter), Error> {
    let first = match value {
        Value::Array(list) => list.first().unwrap_or(&Value::Null),
        value => value,
    };
    let text = match first {
        Value::Null => return Err(invalid_tags("cannot be null")),
        Value::String(text) => text,
        _ => return Err(invalid_tags("invalid filter syntax")),
    };
    let filter = split_tags(text, ',').map(TagFilter::All);
    let filter = filter.or_else(|| split_tags(text, '/').map(TagFilter::Any));
    match filter {
        None => Err(invalid_tags("invalid filter syntax")),
        Some(TagFilter::All(tags) | TagFilter::Any(tags)) if tags.len() > MAX_TAGS => Err(
            invalid_tags(&format!("cannot query more than {MAX_TAGS} tags")),
        ),
        Some(filter) => Ok((text.clone(), filter)),
    }
}

/// Splits `a,b`; a separator at the end asks for an empty tag as well, which nothing has.
fn split_tags(text: &str, separator: char) -> Option<Vec<String>> {
    let tags: Vec<&str> = text.split(separator).collect();
    let (last, others) = tags.split_last()?;
    let is_tag = |tag: &str| {
        tag.chars()
            .all(|c| !c.is_ascii_control() && !matches!(c, ',' | '/' | char::REPLACEMENT_CHARACTER))
    };
    let whole = others.iter().all(|tag| !tag.is_empty() && is_tag(tag)) && is_tag(last);
    (whole && !(others.is_empty() && last.is_empty()))
        .then(|| tags.into_iter().map(str::to_owned).collect())
}

fn invalid_tags(reason: &str) -> Error {
    let message = format!("invalid option (tags: {reason})");
    Failure::new(Kind::InvalidOptions, message)
        .with(json!({ "tags": reason }))
        .into()
}

#[cfg(test)]
mod tests;
