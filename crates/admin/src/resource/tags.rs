//! Tags are a view of what carries them: they can be listed and nothing else.

use async_trait::async_trait;
use schema::{Record, Schema};
use serde_json::{Map, Value, json};
use store::{Page, TagRow, Version};
use uuid::Uuid;

use super::{Error, Located, Paging, Resource, Written, locate, parse_uuid};
use crate::State;
use crate::error::Failure;

/// `/tags` lists every tag of every entity.
pub struct Tags(pub &'static Schema);

impl Tags {
    /// The entities that carry one tag, which may look like an id.
    pub async fn page_of(&self, state: &State, tag: &str, paging: &Paging) -> Result<Page, Error> {
        if parse_uuid(tag).is_none() {
            locate(state, self.0, tag)?;
        }
        list(state, Some(tag), paging).await
    }
}

async fn list(state: &State, tag: Option<&str>, paging: &Paging) -> Result<Page, Error> {
    let (rows, offset) = state.repository.tags(tag, &paging.request(None)).await?;
    Ok(Page {
        records: rows.into_iter().map(record).collect(),
        offset,
    })
}

fn record(row: TagRow) -> Record {
    let fields = json!({ "entity_id": row.entity_id.to_string(), "entity_name": row.entity_name, "tag": row.tag });
    fields.as_object().cloned().unwrap_or_default()
}

fn read_only() -> Error {
    Failure::violation(
        "tags",
        "does not support insert/upsert/update/delete operations",
    )
    .into()
}

#[async_trait]
impl Resource for Tags {
    fn schema(&self) -> &'static Schema {
        self.0
    }

    async fn page(
        &self,
        state: &State,
        _query: &Map<String, Value>,
        paging: &Paging,
        _foreign: Option<(&'static str, Uuid)>,
    ) -> Result<Page, Error> {
        list(state, None, paging).await
    }

    async fn insert(&self, _state: &State, _input: Record) -> Result<Written, Error> {
        Err(read_only())
    }

    async fn update(
        &self,
        _state: &State,
        _located: &Located,
        _input: Record,
    ) -> Result<Written, Error> {
        Err(read_only())
    }

    async fn upsert(
        &self,
        _state: &State,
        _located: &Located,
        _input: Record,
    ) -> Result<Written, Error> {
        Err(read_only())
    }

    async fn delete(&self, _state: &State, _located: &Located) -> Result<Version, Error> {
        Err(read_only())
    }
}
