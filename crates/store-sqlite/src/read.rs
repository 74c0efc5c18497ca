//! Queries: single records, pages, tags and the change log.

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};
use schema::Record;
use serde_json::Value;
use store::{Changes, Error, Event, EventKind, Page, TagFilter, TagRow, Version, offset};
use uuid::Uuid;

use crate::database_error;
use crate::table::{Table, quoted};
use crate::writer::{newest, version_of};

/// A [`store::Key`] that a thread can own.
pub(crate) enum Key {
    Id(Uuid),
    Field(String, String),
    Within {
        foreign: (String, Uuid),
        field: (String, String),
    },
}

impl From<store::Key<'_>> for Key {
    fn from(key: store::Key<'_>) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        match key {
            store::Key::Id(id) => Self::Id(id),
            store::Key::Unique(field, value) => Self::Field(field.to_owned(), value.to_owned()),
            store::Key::Within { foreign, field } => Self::Within {
                foreign: (foreign.0.to_owned(), foreign.1),
                field: owned(field),
            },
        }
    }
}

/// A [`store::PageRequest`] that a thread can own.
pub(crate) struct Request {
    pub(crate) size: usize,
    pub(crate) offset: Option<String>,
    pub(crate) foreign: Option<(String, Uuid)>,
    pub(crate) tags: Option<TagFilter>,
}

impl From<&store::PageRequest<'_>> for Request {
    fn from(request: &store::PageRequest<'_>) -> Self {
        Self {
            size: request.bounded_size(),
            offset: request.offset.clone(),
            foreign: request.foreign.map(|(field, id)| (field.to_owned(), id)),
            tags: request.tags.clone(),
        }
    }
}

/// Conditions joined by AND, with the values of their placeholders.
#[derive(Default)]
pub(crate) struct Conditions {
    sql: Vec<String>,
    pub(crate) values: Vec<Cell>,
}

impl Conditions {
    /// Adds a condition; `?` in it stands for the value.
    pub(crate) fn add(&mut self, sql: &str, value: impl Into<Cell>) {
        self.values.push(value.into());
        self.sql
            .push(sql.replace('?', &format!("?{}", self.values.len())));
    }

    /// Adds a condition with one placeholder for each value where `sql` says `?`.
    pub(crate) fn add_list(&mut self, sql: &str, values: &[String]) {
        let mut places = Vec::with_capacity(values.len());
        for value in values {
            self.values.push(Cell::Text(value.clone()));
            places.push(format!("?{}", self.values.len()));
        }
        self.sql.push(sql.replace('?', &places.join(", ")));
    }

    /// Adds what a filter says of tags. `having` makes of a condition on one tag, which it calls `tag`, one on a record.
    pub(crate) fn add_tags(
        &mut self,
        filter: Option<&TagFilter>,
        tag: &str,
        having: impl Fn(&str) -> String,
    ) {
        match filter {
            Some(TagFilter::Any(tags)) if !tags.is_empty() => {
                self.add_list(&having(&format!("{tag} IN (?)")), tags);
            }
            Some(TagFilter::All(tags)) => {
                for value in tags {
                    self.add(&having(&format!("{tag} = ?")), value.clone());
                }
            }
            _ => {}
        }
    }

    pub(crate) fn where_clause(&self) -> String {
        match self.sql.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", self.sql.join(" AND ")),
        }
    }
}

/// The record that a key names.
pub(crate) fn get(
    connection: &Connection,
    table: &Table,
    key: &Key,
    now: i64,
) -> Result<Option<Record>, Error> {
    let mut conditions = Conditions::default();
    match key {
        Key::Id(id) => conditions.add("\"id\" = ?", id.to_string()),
        Key::Field(field, value) => add_field(&mut conditions, table, field, value)?,
        Key::Within { foreign, field } => {
            add_foreign(&mut conditions, table, &foreign.0, foreign.1)?;
            add_field(&mut conditions, table, &field.0, &field.1)?;
        }
    }
    let mut records = select(connection, table, conditions, 1, now)?;
    Ok(records.pop())
}

fn add_field(
    conditions: &mut Conditions,
    table: &Table,
    field: &str,
    value: &str,
) -> Result<(), Error> {
    let cell = table.encode_field(field, &Value::String(value.to_owned()))?;
    let column = table.column_of(field).unwrap_or(field);
    conditions.add(&format!("{} = ?", quoted(column)), cell);
    Ok(())
}

fn add_foreign(
    conditions: &mut Conditions,
    table: &Table,
    field: &str,
    id: Uuid,
) -> Result<(), Error> {
    let column = table
        .column_of(field)
        .ok_or_else(|| Error::Database(format!("{} has no field {field}", table.schema.name)))?;
    conditions.add(&format!("{} = ?", quoted(column)), id.to_string());
    Ok(())
}

/// One page of an entity, ordered by id.
pub(crate) fn page(
    connection: &Connection,
    table: &Table,
    request: &Request,
    now: i64,
) -> Result<Page, Error> {
    let mut conditions = Conditions::default();
    if let Some(token) = &request.offset {
        let id = offset::parse_after(token)?;
        conditions.add("\"id\" > ?", id.to_string());
    }
    if let Some((field, id)) = &request.foreign {
        add_foreign(&mut conditions, table, field, *id)?;
    }
    let entity = table.schema.name;
    conditions.add_tags(request.tags.as_ref(), "tag", |matches| {
        format!(
            "\"id\" IN (SELECT entity_id FROM tags WHERE entity_name = '{entity}' AND {matches})"
        )
    });
    let records = select(connection, table, conditions, request.size + 1, now)?;
    Ok(page_of(records, request.size))
}

/// A page of records of which one more was read than it may have, if there are so many.
pub(crate) fn page_of(mut records: Vec<Record>, size: usize) -> Page {
    let more = records.len() > size;
    records.truncate(size);
    let last = records.last().filter(|_| more);
    let offset = last
        .and_then(|record| record.get("id")?.as_str())
        .map(|id| offset::encode(&[id]));
    Page { records, offset }
}

fn select(
    connection: &Connection,
    table: &Table,
    mut conditions: Conditions,
    limit: usize,
    now: i64,
) -> Result<Vec<Record>, Error> {
    if table.schema.ttl {
        conditions.add("(\"ttl\" IS NULL OR \"ttl\" > ?)", now);
    }
    let sql = format!(
        "SELECT {} FROM {}{} ORDER BY \"id\" LIMIT {limit}",
        table.column_list,
        table.name(),
        conditions.where_clause()
    );
    let mut statement = connection.prepare_cached(&sql).map_err(database_error)?;
    let mut rows = statement
        .query(params_from_iter(conditions.values))
        .map_err(database_error)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(database_error)? {
        records.push(table.decode(row, now)?);
    }
    Ok(records)
}

/// One page of the tags of all entities, ordered by entity id.
pub(crate) fn tags(
    connection: &Connection,
    tag: Option<&str>,
    request: &Request,
) -> Result<(Vec<TagRow>, Option<String>), Error> {
    let mut conditions = Conditions::default();
    if let Some(tag) = tag {
        conditions.add("tag = ?", tag.to_owned());
    }
    if let Some(token) = &request.offset {
        let place = offset::decode(token, 3)?;
        conditions.add_list("(entity_id, entity_name, position) > (?)", &place);
        // The position is a number, which a text never equals.
        if let Some(Cell::Text(position)) = conditions.values.last() {
            let number = position.parse().unwrap_or(0);
            conditions.values.pop();
            conditions.values.push(Cell::Integer(number));
        }
    }
    let sql = format!(
        "SELECT entity_id, entity_name, position, tag FROM tags{} \
         ORDER BY entity_id, entity_name, position LIMIT {}",
        conditions.where_clause(),
        request.size + 1
    );
    tag_rows(connection, &sql, conditions.values, request.size)
}

/// The rows of a query for tags, and the token of the next page if there are more than `size`.
pub(crate) fn tag_rows(
    connection: &Connection,
    sql: &str,
    values: Vec<Cell>,
    size: usize,
) -> Result<(Vec<TagRow>, Option<String>), Error> {
    let mut statement = connection.prepare_cached(sql).map_err(database_error)?;
    let found = statement
        .query_map(params_from_iter(values), |row| {
            let place: (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((place, row.get::<_, String>(3)?))
        })
        .map_err(database_error)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(database_error)?;
    let more = found.len() > size;
    let mut rows = Vec::with_capacity(found.len());
    let mut last = None;
    for ((entity_id, entity_name, position), tag) in found.into_iter().take(size) {
        last = Some(offset::encode(&[
            &entity_id,
            &entity_name,
            &position.to_string(),
        ]));
        rows.push(TagRow {
            entity_id: parse_id(&entity_id)?,
            entity_name,
            tag,
        });
    }
    Ok((rows, last.filter(|_| more)))
}

/// Events after `since`.
pub(crate) fn changes(connection: &Connection, since: Version) -> Result<Changes, Error> {
    // One read transaction, so that the bounds and the events belong together.
    let transaction = connection.unchecked_transaction().map_err(database_error)?;
    let until = newest(&transaction)?;
    if since == until {
        return Ok(Changes::Events {
            until,
            events: Vec::new(),
        });
    }
    let oldest: Option<i64> = transaction
        .query_row("SELECT min(version) FROM changes", [], |row| row.get(0))
        .map_err(database_error)?;
    let reaches_back =
        oldest.is_some_and(|oldest| Version(since.0.saturating_add(1)) >= version_of(oldest));
    if since > until || !reaches_back {
        return Ok(Changes::Reload { from: until });
    }
    let sql = "SELECT version, entity, entity_id, operation FROM changes WHERE version > ?1 ORDER BY version";
    let mut statement = transaction.prepare_cached(sql).map_err(database_error)?;
    let mut rows = statement
        .query([i64::try_from(since.0).unwrap_or(i64::MAX)])
        .map_err(database_error)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(database_error)? {
        events.push(event(row)?);
    }
    Ok(Changes::Events { until, events })
}

fn event(row: &rusqlite::Row<'_>) -> Result<Event, Error> {
    let text = |index: usize| row.get::<_, String>(index).map_err(database_error);
    let operation = match text(3)?.as_str() {
        "create" => EventKind::Create,
        "update" => EventKind::Update,
        "delete" => EventKind::Delete,
        other => return Err(Error::Database(format!("the change log says {other}"))),
    };
    Ok(Event {
        version: version_of(row.get(0).map_err(database_error)?),
        entity: text(1)?,
        id: parse_id(&text(2)?)?,
        operation,
    })
}

pub(crate) fn parse_id(text: &str) -> Result<Uuid, Error> {
    Uuid::parse_str(text).map_err(|_| Error::Database(format!("{text} is no id")))
}
