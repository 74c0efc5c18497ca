//! A membership is found by its group, below its consumer.

use async_trait::async_trait;
use http::Method;
use schema::Schema;
use uuid::Uuid;

use super::{Error, Located, Resource, parse_uuid};
use crate::State;

/// `/consumers/{consumers}/acls/{acls}` takes the name of a group in place of an id.
pub struct Acls(pub &'static Schema);

#[async_trait]
impl Resource for Acls {
    fn schema(&self) -> &'static Schema {
        self.0
    }

    async fn locate_below(
        &self,
        _state: &State,
        foreign: (&'static str, Uuid),
        segment: &str,
        _method: &Method,
    ) -> Result<Located, Error> {
        Ok(match parse_uuid(segment) {
            Some(id) => Located::Id(id),
            None => Located::Below {
                foreign,
                field: "group",
                value: segment.to_owned(),
            },
        })
    }
}
