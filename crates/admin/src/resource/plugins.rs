//! A plugin's declaration depends on its `name`, so a change without one needs the stored plugin.

use async_trait::async_trait;
use schema::{Record, Schema};

use super::{Error, Located, Resource};
use crate::State;

/// Compat: a PATCH of an unknown plugin that names no plugin answers with a bare 404
/// (pinned by admin/plugins "patching an unknown plugin is not found").
pub struct Plugins(pub &'static Schema);

#[async_trait]
impl Resource for Plugins {
    fn schema(&self) -> &'static Schema {
        self.0
    }

    async fn complete(
        &self,
        state: &State,
        located: &Located,
        changes: &mut Record,
    ) -> Result<(), Error> {
        if changes.get("name").is_none_or(|name| name.is_null()) {
            let stored = self.select(state, located).await?.ok_or(Error::NotFound)?;
            changes.extend(
                stored
                    .get("name")
                    .map(|name| ("name".to_owned(), name.clone())),
            );
        }
        Ok(())
    }
}
