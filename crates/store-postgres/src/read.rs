//! Queries: single records, pages, tags.

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use schema::Record;
use serde_json::Value;
use store::{Error, Key, Page, PageRequest, TagFilter, TagRow, offset};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::cell::{self, Cell, Micros};
use crate::failure::Failure;
use crate::pool::Query;
use crate::table::{TTL, Table, Tables, WORKSPACE, quoted};

/// A parameter before its type is known.
enum Parameter {
    Value(Value),
    Texts(Vec<String>),
    Ids(Vec<Uuid>),
    Time(Micros),
}

/// Conditions joined by AND, with the values of their placeholders.
#[derive(Default)]
pub(crate) struct Conditions {
    sql: Vec<String>,
    parameters: Vec<Parameter>,
}

impl Conditions {
    /// Adds a condition; `?` in it stands for the value.
    fn add(&mut self, sql: &str, parameter: Parameter) {
        self.parameters.push(parameter);
        let place = format!("${}", self.parameters.len());
        self.sql.push(sql.replace('?', &place));
    }

    fn add_field(&mut self, table: &Table, field: &str, value: Value) -> Result<(), Error> {
        let column = quoted(&table.column_of(field)?.name);
        self.add(&format!("{column} = ?"), Parameter::Value(value));
        Ok(())
    }

    fn add_text(&mut self, table: &Table, field: &str, text: &str) -> Result<(), Error> {
        self.add_field(table, field, Value::String(text.to_owned()))
    }

    fn add_id(&mut self, table: &Table, field: &str, id: Uuid) -> Result<(), Error> {
        self.add_text(table, field, &id.to_string())
    }

    /// Leaves out what belongs to another workspace or has expired.
    pub(crate) fn add_visible(&mut self, table: &Table, now: Micros) {
        if table.schema.workspaceable {
            self.sql.push(format!("\"ws_id\" = {WORKSPACE}"));
        }
        if table.schema.ttl {
            let alive = format!("(\"{TTL}\" IS NULL OR \"{TTL}\" > ?)");
            self.add(&alive, Parameter::Time(now));
        }
    }

    pub(crate) fn where_clause(&self) -> String {
        match self.sql.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", self.sql.join(" AND ")),
        }
    }
}

async fn query(
    client: &ClientWrapper,
    sql: &str,
    parameters: &[Parameter],
) -> Result<Vec<tokio_postgres::Row>, Failure> {
    let statement = client.prepare_cached(sql).await?;
    let cells = parameters
        .iter()
        .zip(statement.params())
        .map(|(parameter, ty)| match parameter {
            Parameter::Value(value) => cell::encode(value, ty),
            Parameter::Texts(texts) => Some(Cell::Texts(texts.iter().cloned().map(Some).collect())),
            Parameter::Ids(ids) => Some(Cell::Ids(ids.clone())),
            Parameter::Time(time) => Some(Cell::Time(*time)),
        })
        .collect::<Option<Vec<_>>>();
    // No row has a value that its column cannot hold.
    let Some(cells) = cells else {
        return Ok(Vec::new());
    };
    let cells: Vec<&(dyn ToSql + Sync)> = cells.iter().map(|cell| cell as _).collect();
    Ok(client.query(&statement, &cells).await?)
}

async fn select(
    client: &ClientWrapper,
    table: &Table,
    mut conditions: Conditions,
    limit: usize,
    now: Micros,
) -> Result<Vec<Record>, Failure> {
    conditions.add_visible(table, now);
    let sql = format!(
        "SELECT {} FROM {}{} ORDER BY \"id\" LIMIT {limit}",
        table.column_list,
        table.name(),
        conditions.where_clause()
    );
    let rows = query(client, &sql, &conditions.parameters).await?;
    let records = rows.iter().map(|row| table.decode(row, now));
    Ok(records.collect::<Result<_, _>>()?)
}

/// No text in the database has this character, and the server refuses to compare with it.
const NUL: char = '\0';

/// Finds the record that a key names.
pub(crate) struct Get<'a> {
    pub(crate) table: &'a Table,
    pub(crate) key: Key<'a>,
    pub(crate) now: Micros,
}

#[async_trait]
impl Query for Get<'_> {
    type Output = Option<Record>;

    async fn run(&self, client: &ClientWrapper) -> Result<Option<Record>, Failure> {
        let table = self.table;
        let mut conditions = Conditions::default();
        match self.key {
            Key::Id(id) => conditions.add_id(table, "id", id)?,
            Key::Unique(_, text)
            | Key::Within {
                field: (_, text), ..
            } if text.contains(NUL) => {
                return Ok(None);
            }
            Key::Unique(field, text) => conditions.add_text(table, field, text)?,
            Key::Within { foreign, field } => {
                conditions.add_id(table, foreign.0, foreign.1)?;
                conditions.add_text(table, field.0, field.1)?;
            }
        }
        let mut records = select(client, table, conditions, 1, self.now).await?;
        Ok(records.pop())
    }
}

/// Finds the records with some of many ids.
pub(crate) struct GetMany<'a> {
    pub(crate) table: &'a Table,
    /// As many as fit into one statement.
    pub(crate) ids: &'a [Uuid],
    pub(crate) now: Micros,
}

#[async_trait]
impl Query for GetMany<'_> {
    type Output = Vec<Record>;

    async fn run(&self, client: &ClientWrapper) -> Result<Vec<Record>, Failure> {
        let mut conditions = Conditions::default();
        conditions.add("\"id\" = ANY (?)", Parameter::Ids(self.ids.to_vec()));
        select(client, self.table, conditions, self.ids.len(), self.now).await
    }
}

/// One page of an entity, ordered by id.
pub(crate) struct ReadPage<'a> {
    pub(crate) table: &'a Table,
    pub(crate) request: &'a PageRequest<'a>,
    pub(crate) now: Micros,
}

#[async_trait]
impl Query for ReadPage<'_> {
    type Output = Page;

    async fn run(&self, client: &ClientWrapper) -> Result<Page, Failure> {
        let (table, request) = (self.table, self.request);
        let size = request.bounded_size();
        let mut conditions = Conditions::default();
        if let Some(token) = &request.offset {
            let id = offset::parse_after(token)?.to_string();
            conditions.add("\"id\" > ?", Parameter::Value(id.into()));
        }
        if let Some((field, id)) = request.foreign {
            conditions.add_id(table, field, id)?;
        }
        match &request.tags {
            Some(TagFilter::Any(tags)) if !tags.is_empty() => {
                conditions.add("\"tags\" && ?", Parameter::Texts(without_nul(tags)));
            }
            Some(TagFilter::All(tags)) if !tags.is_empty() => {
                if tags.iter().any(|tag| tag.contains(NUL)) {
                    return Ok(Page::default());
                }
                conditions.add("\"tags\" @> ?", Parameter::Texts(tags.clone()));
            }
            _ => {}
        }
        let mut records = select(client, table, conditions, size + 1, self.now).await?;
        let more = records.len() > size;
        records.truncate(size);
        let last = records.last().filter(|_| more);
        let offset = last
            .and_then(|record| record.get("id")?.as_str())
            .map(|id| offset::encode(&[id]));
        Ok(Page { records, offset })
    }
}

fn without_nul(tags: &[String]) -> Vec<String> {
    let usable = tags.iter().filter(|tag| !tag.contains(NUL));
    usable.cloned().collect()
}

/// One page of the tags of all entities, ordered by entity id.
///
/// It asks the entities' own tables: Kong's table `tags` keeps one row for an id, whatever the entity.
pub(crate) struct ReadTags<'a> {
    pub(crate) tables: &'a Tables,
    pub(crate) tag: Option<&'a str>,
    pub(crate) request: &'a PageRequest<'a>,
    pub(crate) now: Micros,
}

impl ReadTags<'_> {
    /// The query over all tables, with its parameters.
    fn query(&self, limit: usize) -> Result<(String, Vec<Parameter>), Error> {
        let mut conditions = Conditions::default();
        if let Some(tag) = self.tag {
            let tags = Parameter::Texts(vec![tag.to_owned()]);
            conditions.add("\"tags\" @> ?::text[] AND tag = ANY (?::text[])", tags);
        }
        if let Some(token) = &self.request.offset {
            let place = offset::decode(token, 3)?;
            let invalid = || Error::InvalidOffset {
                offset: token.clone(),
                reason: "bad offset key".to_owned(),
            };
            let [id, entity, position] = <[String; 3]>::try_from(place).map_err(|_| invalid())?;
            let id = Uuid::parse_str(&id).map_err(|_| invalid())?.to_string();
            let position: i64 = position.parse().map_err(|_| invalid())?;
            conditions.add("\"id\" >= ?::uuid", Parameter::Value(id.into()));
            let after = conditions.parameters.len();
            conditions.parameters.push(Parameter::Value(entity.into()));
            conditions
                .parameters
                .push(Parameter::Value(position.into()));
            conditions.sql.push(format!(
                "(\"id\", entity COLLATE \"C\", position) > (${after}, ${}::text, ${}::bigint)",
                after + 1,
                after + 2
            ));
        }
        let shared = conditions.sql.join(" AND ");
        let expiring = self
            .tables
            .tables
            .iter()
            .any(|table| table.schema.ttl && table.tagged);
        if expiring {
            conditions.parameters.push(Parameter::Time(self.now));
        }
        let now = conditions.parameters.len();
        let tagged = self.tables.tables.iter().filter(|table| table.tagged);
        let parts: Vec<_> = tagged
            .map(|table| {
                let mut all = vec!["\"tags\" IS NOT NULL".to_owned()];
                all.extend((!shared.is_empty()).then(|| shared.clone()));
                if table.schema.workspaceable {
                    all.push(format!("\"ws_id\" = {WORKSPACE}"));
                }
                if table.schema.ttl {
                    all.push(format!("(\"{TTL}\" IS NULL OR \"{TTL}\" > ${now})"));
                }
                format!(
                    "(SELECT \"id\", entity, position, tag FROM {} \
                     CROSS JOIN (VALUES ('{}'::text)) AS named (entity) \
                     CROSS JOIN LATERAL unnest(\"tags\") WITH ORDINALITY AS each (tag, position) \
                     WHERE {} ORDER BY \"id\", position LIMIT {limit})",
                    table.name(),
                    table.schema.name,
                    all.join(" AND ")
                )
            })
            .collect();
        let sql = format!(
            "SELECT \"id\", entity, position, tag FROM ({}) AS every \
             ORDER BY \"id\", entity COLLATE \"C\", position LIMIT {limit}",
            parts.join(" UNION ALL ")
        );
        Ok((sql, conditions.parameters))
    }
}

#[async_trait]
impl Query for ReadTags<'_> {
    type Output = (Vec<TagRow>, Option<String>);

    async fn run(&self, client: &ClientWrapper) -> Result<Self::Output, Failure> {
        let size = self.request.bounded_size();
        let (sql, parameters) = self.query(size + 1)?;
        let nothing = self.tables.tables.iter().all(|table| !table.tagged);
        if nothing || self.tag.is_some_and(|tag| tag.contains(NUL)) {
            return Ok((Vec::new(), None));
        }
        let found = query(client, &sql, &parameters).await?;
        let more = found.len() > size;
        let mut rows = Vec::with_capacity(found.len());
        let mut last = None;
        for row in found.iter().take(size) {
            let (entity_id, entity_name): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
            let position: i64 = row.try_get(2)?;
            let Some(tag) = row.try_get(3)? else { continue };
            last = Some(offset::encode(&[
                &entity_id.to_string(),
                &entity_name,
                &position.to_string(),
            ]));
            rows.push(TagRow {
                entity_id,
                entity_name,
                tag,
            });
        }
        Ok((rows, last.filter(|_| more)))
    }
}
