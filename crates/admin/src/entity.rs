//! The generated endpoints: collections and entities, and the same reached through a foreign field from either end.

use axum::response::Response;
use http::{Method, StatusCode};
use schema::{Record, Schema};
use serde_json::{Value, json};
use store::Version;
use uuid::Uuid;

use crate::endpoint::{Operation, Relation};
use crate::error::{Error, Failure, Kind};
use crate::paging::Paging;
use crate::propagation::ToldVersion;
use crate::resource::{Located, Resource, Written, foreign_id, id_of};
use crate::router::Call;
use crate::{State, answer};

/// Answers a call to a generated endpoint.
pub async fn call(call: Call<'_>) -> Result<Response, Error> {
    if let Some(schema) = call.schema() {
        check_ttl(schema, &call.body)?;
    }
    match &call.endpoint.operation {
        Operation::Collection(entity) => collection(&call, entity.as_ref()).await,
        Operation::Entity(entity) => single(&call, entity.as_ref()).await,
        Operation::Children(relation) => children(&call, relation).await,
        Operation::Child(relation) => child(&call, relation).await,
        Operation::Parent(relation) => parent(&call, relation).await,
        Operation::Page(_) | Operation::Plugin(_) => Err(Error::NotFound),
    }
}

/// Refuses a number that is no time for a record to live.
///
/// Compat: to Kong the time is an option and no field; what is no number is left to validation
/// (`a_time_to_live_is_an_option`).
fn check_ttl(schema: &Schema, body: &Record) -> Result<(), Error> {
    const LONGEST: f64 = 100_000_000.0;
    let seconds = match body.get("ttl").filter(|_| schema.ttl) {
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_f64(),
        None => None,
    };
    match seconds {
        Some(seconds) if seconds.fract() != 0.0 || !(0.0..=LONGEST).contains(&seconds) => {
            let reason = format!("must be an integer between 0 and {LONGEST}");
            let message = format!("invalid option (ttl: {reason})");
            Err(Failure::new(Kind::InvalidOptions, message)
                .with(json!({ "ttl": reason }))
                .into())
        }
        _ => Ok(()),
    }
}

/// `/routes`
async fn collection(call: &Call<'_>, entity: &dyn Resource) -> Result<Response, Error> {
    let state = call.state;
    if call.method == Method::POST {
        let written = entity.insert(state, call.input(entity.schema())).await?;
        return Ok(created(state, entity.schema(), written));
    }
    let paging = Paging::read(&call.query, entity.schema())?;
    let page = entity.page(state, &call.query, &paging, None).await?;
    let path = format!("/{}", entity.schema().admin_path);
    Ok(shown_page(&paging, &path, presented(state, entity, page)))
}

/// `/routes/{routes}`
async fn single(call: &Call<'_>, entity: &dyn Resource) -> Result<Response, Error> {
    let state = call.state;
    let located = entity
        .locate(state, call.parameter(0), &call.method)
        .await?;
    let schema = entity.schema();
    match call.method {
        Method::PUT => {
            let written = entity.upsert(state, &located, call.input(schema)).await?;
            Ok(changed(state, schema, written))
        }
        Method::PATCH => {
            let written = update(call, entity, &located, call.body.clone()).await?;
            Ok(changed(state, schema, written))
        }
        Method::DELETE => Ok(deleted(entity.delete(state, &located).await?)),
        _ => Ok(shown(state, schema, entity.show(state, &located).await?)),
    }
}

/// `/services/{services}/routes`
async fn children(call: &Call<'_>, relation: &Relation) -> Result<Response, Error> {
    let state = call.state;
    let parent_id = find_parent(call, relation).await?;
    let child = &relation.child;
    if call.method == Method::POST {
        let mut input = call.input(child.schema());
        input.insert(relation.field.to_owned(), reference(parent_id));
        let written = child.insert(state, input).await?;
        return Ok(created(state, child.schema(), written));
    }
    let paging = Paging::read(&call.query, child.schema())?;
    let page = child
        .page(
            state,
            &call.query,
            &paging,
            Some((relation.field, parent_id)),
        )
        .await?;
    let page = presented(state, child.as_ref(), page);
    Ok(shown_page(&paging, &call.path, page))
}

/// `/services/{services}/routes/{routes}`
async fn child(call: &Call<'_>, relation: &Relation) -> Result<Response, Error> {
    let state = call.state;
    let parent_id = find_parent(call, relation).await?;
    let child = &relation.child;
    let schema = child.schema();
    let below = (relation.field, parent_id);
    let located = child
        .locate_below(state, below, call.parameter(1), &call.method)
        .await?;
    if call.method == Method::PUT {
        let mut input = call.input(schema);
        input.insert(relation.field.to_owned(), reference(parent_id));
        let written = child.upsert(state, &located, input).await?;
        return Ok(changed(state, schema, written));
    }
    let stored = child
        .select(state, &located)
        .await?
        .ok_or(Error::NotFound)?;
    if foreign_id(&stored, relation.field) != Some(parent_id) {
        return Err(Error::NotFound);
    }
    match call.method {
        Method::PATCH => {
            let mut input = call.body.clone();
            input
                .entry(relation.field)
                .or_insert_with(|| reference(parent_id));
            let written = update(call, child.as_ref(), &located, input).await?;
            Ok(changed(state, schema, written))
        }
        Method::DELETE => Ok(deleted(child.delete(state, &located).await?)),
        _ => Ok(shown(state, schema, stored)),
    }
}

/// `/routes/{routes}/service`
///
/// Compat: it can be read, changed, and created by PUT where there is none, but not deleted.
async fn parent(call: &Call<'_>, relation: &Relation) -> Result<Response, Error> {
    let state = call.state;
    let (child, parent) = (&relation.child, &relation.parent);
    let located = child.locate(state, call.parameter(0), &call.method).await?;
    let stored = child
        .select(state, &located)
        .await?
        .ok_or(Error::NotFound)?;
    let parent_id = foreign_id(&stored, relation.field);
    let schema = parent.schema();
    match (&call.method, parent_id) {
        (&Method::PUT, Some(id)) => {
            let written = parent
                .upsert_referenced(state, &Located::Id(id), call.input(schema))
                .await?;
            Ok(changed(state, schema, written))
        }
        (&Method::PUT, None) => {
            let id = Uuid::new_v4();
            let written = parent
                .upsert_referenced(state, &Located::Id(id), call.input(schema))
                .await?;
            let link = Record::from_iter([(relation.field.to_owned(), reference(id))]);
            let linked = child.update(state, &located, link).await?;
            let written = Written {
                record: written.record,
                version: linked.version,
            };
            Ok(changed(state, schema, written))
        }
        (_, None) => Err(Error::NotFound),
        (&Method::PATCH, Some(id)) => {
            let located = Located::Id(id);
            let written = update(call, parent.as_ref(), &located, call.body.clone()).await?;
            Ok(changed(state, schema, written))
        }
        (&Method::DELETE, Some(_)) => Err(Error::MethodNotAllowed),
        (_, Some(id)) => {
            let record = parent.show_referenced(state, &Located::Id(id)).await?;
            Ok(shown(state, schema, record))
        }
    }
}

/// Changes the fields that are given.
async fn update(
    call: &Call<'_>,
    entity: &dyn Resource,
    located: &Located,
    mut input: Record,
) -> Result<Written, Error> {
    let state = call.state;
    entity.complete(state, located, &mut input).await?;
    entity
        .update(state, located, call.typed(entity.schema(), input))
        .await
}

/// The id of the record that the first parameter names.
async fn find_parent(call: &Call<'_>, relation: &Relation) -> Result<Uuid, Error> {
    let state = call.state;
    let parent = &relation.parent;
    let located = parent
        .locate(state, call.parameter(0), &call.method)
        .await?;
    let stored = parent
        .select(state, &located)
        .await?
        .ok_or(Error::NotFound)?;
    id_of(&stored).ok_or(Error::NotFound)
}

fn reference(id: Uuid) -> Value {
    json!({ "id": id.to_string() })
}

/// The records of a page as answers show them.
fn presented(state: &State, entity: &dyn Resource, mut page: store::Page) -> store::Page {
    let records = std::mem::take(&mut page.records).into_iter();
    page.records = records
        .map(|record| state.present(entity.schema(), record))
        .collect();
    page
}

/// A page as it is sent.
pub fn shown_page(paging: &Paging, path: &str, page: store::Page) -> Response {
    let data = page.records.into_iter().map(Value::Object).collect();
    answer::json_body(StatusCode::OK, &paging.body(path, data, page.offset))
}

/// A record as it is sent.
pub fn shown(state: &State, schema: &Schema, record: Record) -> Response {
    let record = state.present(schema, record);
    answer::json_body(StatusCode::OK, &Value::Object(record))
}

/// A record that was changed.
pub fn changed(state: &State, schema: &Schema, written: Written) -> Response {
    made(written.version, shown(state, schema, written.record))
}

/// The answer to a deletion.
pub fn deleted(version: Version) -> Response {
    made(version, answer::empty(StatusCode::NO_CONTENT))
}

/// A record that was created.
pub fn created(state: &State, schema: &Schema, written: Written) -> Response {
    let body = Value::Object(state.present(schema, written.record));
    made(
        written.version,
        answer::json_body(StatusCode::CREATED, &body),
    )
}

fn made(version: Version, mut response: Response) -> Response {
    response.extensions_mut().insert(ToldVersion(version));
    response
}

#[cfg(test)]
mod tests;
