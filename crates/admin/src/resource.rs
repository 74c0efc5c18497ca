//! An entity as the Admin API sees it: found by what stands in a URL, shown, created, changed, deleted.
//!
//! [`Plain`] is the generic behaviour, which follows from the declaration. An entity with manners of its own has one
//! file here that wraps it; an entity without a file has none.

mod acls;
mod ca_certificates;
mod certificates;
mod consumers;
mod plugins;
mod tags;

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use schema::{Record, Schema};
use serde_json::{Map, Value, json};
use store::{Key, Page, Version};
use uuid::Uuid;

pub use tags::Tags;

use crate::State;
use crate::error::{Error, Failure, Kind};
use crate::paging::Paging;

/// A record that was written, and the version of the configuration since then.
#[derive(Debug, Clone)]
pub struct Written {
    pub record: Record,
    pub version: Version,
}

/// What a URL segment names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Located {
    Id(Uuid),
    /// A unique field and its value.
    Unique(&'static str, String),
    /// A field and its value, among the records whose foreign field holds an id.
    Below {
        foreign: (&'static str, Uuid),
        field: &'static str,
        value: String,
    },
}

impl Located {
    /// The store's form of it.
    pub fn key(&self) -> Key<'_> {
        match self {
            Located::Id(id) => Key::Id(*id),
            Located::Unique(field, value) => Key::Unique(field, value),
            Located::Below {
                foreign,
                field,
                value,
            } => Key::Within {
                foreign: *foreign,
                field: (field, value),
            },
        }
    }

    /// Says that there is no such record.
    pub fn not_found(&self) -> Error {
        let (message, fields) = match self {
            Located::Id(id) => {
                let key = json!({ "id": id.to_string() });
                (
                    format!(
                        "could not find the entity with primary key '{}'",
                        schema::write_table_inline(&key)
                    ),
                    key,
                )
            }
            Located::Unique(field, value) | Located::Below { field, value, .. } => {
                let key = json!({ *field: value });
                (
                    format!(
                        "could not find the entity with '{}'",
                        schema::write_table_inline(&key)
                    ),
                    key,
                )
            }
        };
        Failure::new(Kind::NotFound, message).with(fields).into()
    }
}

/// The operations on one entity.
#[async_trait]
pub trait Resource: Send + Sync {
    /// Its declaration.
    fn schema(&self) -> &'static Schema;

    /// Understands a URL segment, already decoded.
    async fn locate(
        &self,
        state: &State,
        segment: &str,
        _method: &Method,
    ) -> Result<Located, Error> {
        locate(state, self.schema(), segment)
    }

    /// Understands a URL segment below the entity whose id a foreign field holds.
    async fn locate_below(
        &self,
        state: &State,
        _foreign: (&'static str, Uuid),
        segment: &str,
        method: &Method,
    ) -> Result<Located, Error> {
        self.locate(state, segment, method).await
    }

    /// One record as it is stored.
    async fn select(&self, state: &State, located: &Located) -> Result<Option<Record>, Error> {
        Ok(state.repository.get(self.schema(), &located.key()).await?)
    }

    /// One record as its own URL shows it.
    async fn show(&self, state: &State, located: &Located) -> Result<Record, Error> {
        self.select(state, located).await?.ok_or(Error::NotFound)
    }

    /// One record as the URL of a record that points at it shows it.
    async fn show_referenced(&self, state: &State, located: &Located) -> Result<Record, Error> {
        self.select(state, located).await?.ok_or(Error::NotFound)
    }

    /// One page of the collection, or of the records whose foreign field holds an id.
    async fn page(
        &self,
        state: &State,
        query: &Map<String, Value>,
        paging: &Paging,
        foreign: Option<(&'static str, Uuid)>,
    ) -> Result<Page, Error> {
        let _ = query;
        Ok(state
            .repository
            .page(self.schema(), &paging.request(foreign))
            .await?)
    }

    /// Creates a record.
    async fn insert(&self, state: &State, input: Record) -> Result<Written, Error> {
        let (record, version) = state.repository.insert(self.schema(), input).await?;
        Ok(Written { record, version })
    }

    /// Adds to the changes what their meaning depends on.
    async fn complete(
        &self,
        _state: &State,
        _located: &Located,
        _changes: &mut Record,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Changes the fields that are given.
    async fn update(
        &self,
        state: &State,
        located: &Located,
        input: Record,
    ) -> Result<Written, Error> {
        let written = state
            .repository
            .update(self.schema(), &located.key(), input)
            .await;
        let (record, version) = written.map_err(|error| missing(error, located))?;
        Ok(Written { record, version })
    }

    /// Creates a record under this key, or replaces it.
    async fn upsert(
        &self,
        state: &State,
        located: &Located,
        input: Record,
    ) -> Result<Written, Error> {
        let (record, version) = state
            .repository
            .upsert(self.schema(), &located.key(), input)
            .await?;
        Ok(Written { record, version })
    }

    /// [`Self::upsert`] through the URL of a record that points at it.
    async fn upsert_referenced(
        &self,
        state: &State,
        located: &Located,
        input: Record,
    ) -> Result<Written, Error> {
        self.upsert(state, located, input).await
    }

    /// Deletes a record; what is not there is deleted already.
    async fn delete(&self, state: &State, located: &Located) -> Result<Version, Error> {
        Ok(state
            .repository
            .delete(self.schema(), &located.key())
            .await?)
    }
}

/// An entity without manners of its own.
pub struct Plain(pub &'static Schema);

impl Resource for Plain {
    fn schema(&self) -> &'static Schema {
        self.0
    }
}

/// The operations on an entity.
pub fn of(schema: &'static Schema) -> Arc<dyn Resource> {
    match schema.name {
        "acls" => Arc::new(acls::Acls(schema)),
        "ca_certificates" => Arc::new(ca_certificates::CaCertificates(schema)),
        "certificates" => Arc::new(certificates::Certificates(schema)),
        "consumers" => Arc::new(consumers::Consumers(schema)),
        "plugins" => Arc::new(plugins::Plugins(schema)),
        "tags" => Arc::new(Tags(schema)),
        _ => Arc::new(Plain(schema)),
    }
}

/// A UUID is an id; anything else must be a possible value of the entity's other key.
pub fn locate(state: &State, schema: &'static Schema, segment: &str) -> Result<Located, Error> {
    if let Some(id) = parse_uuid(segment) {
        return Ok(Located::Id(id));
    }
    let Some(field) = schema.endpoint_key else {
        let reason = json!({ "id": "expected a valid UUID" });
        let message = format!(
            "invalid primary key: '{}'",
            schema::write_table_inline(&reason)
        );
        return Err(Failure::new(Kind::InvalidPrimaryKey, message)
            .with(reason)
            .into());
    };
    check_unique(state, schema, field, segment)?;
    Ok(Located::Unique(field, segment.to_owned()))
}

/// Refuses what cannot be a value of a unique field.
fn check_unique(
    state: &State,
    schema: &'static Schema,
    field: &'static str,
    value: &str,
) -> Result<(), Error> {
    let reason = state.validate_field(schema, field, &Value::from(value));
    reason.map_err(|reason| {
        let message = reason
            .as_str()
            .map_or_else(|| reason.to_string(), str::to_owned);
        Failure::invalid_unique(field, message).into()
    })
}

/// A UUID in its hyphenated form, in letters of either case.
pub fn parse_uuid(text: &str) -> Option<Uuid> {
    (text.len() == 36)
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
}

/// The id of a record; every stored record has one.
pub fn id_of(record: &Record) -> Option<Uuid> {
    record
        .get("id")
        .and_then(Value::as_str)
        .and_then(parse_uuid)
}

/// The id that a foreign field holds.
pub fn foreign_id(record: &Record, field: &str) -> Option<Uuid> {
    record.get(field)?.get("id")?.as_str().and_then(parse_uuid)
}

fn missing(error: store::repository::Error, located: &Located) -> Error {
    match error {
        store::repository::Error::Store(store::Error::NotFound) => located.not_found(),
        other => other.into(),
    }
}
