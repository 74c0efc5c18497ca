//! A plugin's declaration depends on its `name`, so a change without one needs the stored plugin; and a plugin shares a
//! protocol with the route or service that it is for.

use async_trait::async_trait;
use schema::{Record, Schema};
use serde_json::Value;
use store::{Key, PageRequest};
use uuid::Uuid;

use super::{Error, Located, Plain, Resource, Written, foreign_id};
use crate::State;
use crate::error::Failure;

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

    async fn insert(&self, state: &State, input: Record) -> Result<Written, Error> {
        check_protocols(state, &input).await?;
        Plain(self.0).insert(state, input).await
    }

    async fn update(
        &self,
        state: &State,
        located: &Located,
        input: Record,
    ) -> Result<Written, Error> {
        // Compat: under an instance name nothing is compared (`a_plugin_shares_a_protocol_with_what_it_is_for`).
        if let Located::Id(_) = located
            && SCOPED.iter().any(|field| input.contains_key(*field))
        {
            let mut scope = input.clone();
            for (field, value) in self.select(state, located).await?.into_iter().flatten() {
                if SCOPED.contains(&field.as_str()) {
                    scope.entry(field).or_insert(value);
                }
            }
            check_protocols(state, &scope).await?;
        }
        Plain(self.0).update(state, located, input).await
    }

    async fn upsert(
        &self,
        state: &State,
        located: &Located,
        input: Record,
    ) -> Result<Written, Error> {
        if let Located::Id(_) = located {
            check_protocols(state, &input).await?;
        }
        Plain(self.0).upsert(state, located, input).await
    }
}

/// The fields that decide which protocols make sense.
const SCOPED: [&str; 3] = ["protocols", "route", "service"];

/// Refuses protocols of which neither the plugin's route nor, without one, any route of its service has any.
///
/// Compat: only protocols that are given are compared, and only with what is found; the rest is for validation to judge.
async fn check_protocols(state: &State, plugin: &Record) -> Result<(), Error> {
    let Some(Value::Array(protocols)) = plugin.get("protocols") else {
        return Ok(());
    };
    let Some(routes) = state.schema("routes") else {
        return Ok(());
    };
    if let Some(Value::Object(_)) = plugin.get("route") {
        let Some(id) = foreign_id(plugin, "route") else {
            return Ok(());
        };
        let route = state.repository.get(routes, &Key::Id(id)).await?;
        return match route.is_none_or(|route| has_one_of(&route, protocols)) {
            true => Ok(()),
            false => Err(mismatch("must match the associated route's protocols")),
        };
    }
    let Some(service) = foreign_id(plugin, "service") else {
        return Ok(());
    };
    match serves_one_of(state, routes, service, protocols).await? {
        true => Ok(()),
        false => Err(mismatch(
            "must match the protocols of at least one route pointing to this Plugin's service",
        )),
    }
}

/// Whether some route of a service has one of the protocols; a service without routes may get any.
async fn serves_one_of(
    state: &State,
    routes: &Schema,
    service: Uuid,
    protocols: &[Value],
) -> Result<bool, Error> {
    let mut request = PageRequest {
        size: PageRequest::MAX_SIZE,
        foreign: Some(("service", service)),
        ..PageRequest::default()
    };
    let mut has_routes = false;
    loop {
        let page = state.repository.page(routes, &request).await?;
        has_routes |= !page.records.is_empty();
        if page
            .records
            .iter()
            .any(|route| has_one_of(route, protocols))
        {
            return Ok(true);
        }
        match page.offset {
            Some(offset) => request.offset = Some(offset),
            None => return Ok(!has_routes),
        }
    }
}

fn has_one_of(route: &Record, protocols: &[Value]) -> bool {
    let own = route.get("protocols").and_then(Value::as_array);
    own.is_some_and(|own| own.iter().any(|protocol| protocols.contains(protocol)))
}

fn mismatch(reason: &str) -> Error {
    Failure::violation("protocols", reason).into()
}
