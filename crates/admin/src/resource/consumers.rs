//! Consumers can be looked up by `custom_id` in the query of their collection.

use async_trait::async_trait;
use http::StatusCode;
use schema::Schema;
use serde_json::{Map, Value};
use store::{Key, Page};
use uuid::Uuid;

use super::{Error, Paging, Resource};
use crate::State;

/// `/consumers?custom_id=…` lists the one consumer that has it.
pub struct Consumers(pub &'static Schema);

#[async_trait]
impl Resource for Consumers {
    fn schema(&self) -> &'static Schema {
        self.0
    }

    async fn page(
        &self,
        state: &State,
        query: &Map<String, Value>,
        paging: &Paging,
        foreign: Option<(&'static str, Uuid)>,
    ) -> Result<Page, Error> {
        match query.get("custom_id") {
            None => Ok(state
                .repository
                .page(self.0, &paging.request(foreign))
                .await?),
            Some(Value::String(custom_id)) if !custom_id.is_empty() => {
                let found = state
                    .repository
                    .get(self.0, &Key::Unique("custom_id", custom_id))
                    .await?;
                Ok(Page {
                    records: found.into_iter().collect(),
                    offset: None,
                })
            }
            Some(_) => {
                let message = "custom_id must be an unempty string".to_owned();
                Err(Error::Refused(StatusCode::BAD_REQUEST, message))
            }
        }
    }
}
