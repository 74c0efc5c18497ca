//! Answers: single records, pages, tags and sums.

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};
use schema::Record;
use store::replica::Counts;
use store::{Digest, Digests, Error, Page, TagRow, Version, offset};
use uuid::Uuid;

use crate::database_error;
use crate::read::{Conditions, Key, Request, page_of, parse_id};
use crate::replica::layout::{Collection, Collections, read_place, read_sums};

/// The record that a key names.
pub(super) fn get(
    connection: &Connection,
    collection: &Collection,
    key: &Key,
    now: i64,
) -> Result<Option<Record>, Error> {
    let mut conditions = Conditions::default();
    let mut add = |field: &str, value: &str| {
        let value = value.to_owned();
        conditions.add(&format!("{} = ?", collection.value(field)), value);
    };
    match key {
        Key::Id(id) => conditions.add("id = ?", id.to_string()),
        Key::Field(field, value) => add(field, value),
        Key::Within { foreign, field } => {
            add(&foreign.0, &foreign.1.to_string());
            add(&field.0, &field.1);
        }
    }
    let mut records = select(connection, collection, conditions, 1, now)?;
    Ok(records.pop())
}

/// One page of a collection, ordered by id.
pub(super) fn page(
    connection: &Connection,
    collection: &Collection,
    request: &Request,
    now: i64,
) -> Result<Page, Error> {
    let mut conditions = Conditions::default();
    if let Some(token) = &request.offset {
        let id = offset::parse_after(token)?;
        conditions.add("id > ?", id.to_string());
    }
    if let Some((field, id)) = &request.foreign {
        let value = collection.value(field);
        conditions.add(&format!("{value} = ?"), id.to_string());
    }
    // Without an index: replicas are asked for tags in an outage, and by people.
    conditions.add_tags(request.tags.as_ref(), "value", |matches| {
        format!("EXISTS (SELECT 1 FROM json_each(body, '$.tags') WHERE {matches})")
    });
    let records = select(connection, collection, conditions, request.size + 1, now)?;
    Ok(page_of(records, request.size))
}

fn select(
    connection: &Connection,
    collection: &Collection,
    mut conditions: Conditions,
    limit: usize,
    now: i64,
) -> Result<Vec<Record>, Error> {
    add_visible(&mut conditions, collection, now);
    let sql = format!(
        "SELECT body, expires FROM {}{} ORDER BY id LIMIT {limit}",
        collection.table,
        conditions.where_clause()
    );
    let mut statement = connection.prepare_cached(&sql).map_err(database_error)?;
    let mut rows = statement
        .query(params_from_iter(conditions.values))
        .map_err(database_error)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(database_error)? {
        let body = row.get_ref(0).map_err(database_error)?;
        let body = body
            .as_str()
            .map_err(|error| Error::Database(error.to_string()))?;
        let expires = row.get(1).map_err(database_error)?;
        records.push(collection.decode(body, expires, now)?);
    }
    Ok(records)
}

fn add_visible(conditions: &mut Conditions, collection: &Collection, now: i64) {
    if collection.schema.ttl {
        conditions.add("(expires IS NULL OR expires > ?)", now);
    }
}

/// One page of the tags of all collections, ordered by id.
pub(super) fn tags(
    connection: &Connection,
    collections: &Collections,
    tag: Option<&str>,
    request: &Request,
    now: i64,
) -> Result<(Vec<TagRow>, Option<String>), Error> {
    let tagged = |collection: &&Collection| collection.schema.field("tags").is_some();
    let each = |collection: &Collection| {
        let (table, name) = (&collection.table, collection.schema.name);
        format!(
            "SELECT {table}.id AS entity_id, '{name}' AS entity_name, tag.key AS position, tag.value AS tag \
             FROM {table}, json_each({table}.body, '$.tags') AS tag \
             WHERE expires IS NULL OR expires > {now}"
        )
    };
    let all: Vec<_> = collections.all.iter().filter(tagged).map(each).collect();
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
        "SELECT entity_id, entity_name, position, tag FROM ({}){} \
         ORDER BY entity_id, entity_name, position LIMIT {}",
        all.join(" UNION ALL "),
        conditions.where_clause(),
        request.size + 1
    );
    crate::read::tag_rows(connection, &sql, conditions.values, request.size)
}

/// What some collections add up to, and the version of that.
pub(super) fn digests(
    connection: &Connection,
    collections: &Collections,
    positions: &[usize],
    now: i64,
) -> Result<(Version, Digests), Error> {
    // One read transaction, so that the sums and the place belong together.
    let transaction = connection.unchecked_transaction().map_err(database_error)?;
    let (_, place, _) = read_place(&transaction)?
        .ok_or_else(|| Error::Unavailable("the replica is empty".to_owned()))?;
    let sums = read_sums(&transaction)?;
    let mut digests = Digests::new();
    for position in positions {
        let collection = &collections.all[*position];
        let name = collection.schema.name;
        // Records that may expire are added up anew: those that have expired do not count.
        let digest = match collection.schema.ttl {
            true => add_up(&transaction, collection, now)?,
            false => sums.get(name).copied().unwrap_or_default(),
        };
        digests.insert(name.to_owned(), digest);
    }
    Ok((place.version, digests))
}

fn add_up(connection: &Connection, collection: &Collection, now: i64) -> Result<Digest, Error> {
    let mut digest = Digest::default();
    let sum = |(_, checksum): (Uuid, u64)| {
        digest.count = digest.count.wrapping_add(1);
        digest.sum = digest.sum.wrapping_add(checksum);
    };
    let all = checksums(connection, collection, None, usize::MAX, now)?;
    all.into_iter().for_each(sum);
    Ok(digest)
}

/// The checksums of some records in the order of their ids.
pub(super) fn checksums(
    connection: &Connection,
    collection: &Collection,
    after: Option<Uuid>,
    limit: usize,
    now: i64,
) -> Result<Vec<(Uuid, u64)>, Error> {
    let mut conditions = Conditions::default();
    if let Some(id) = after {
        conditions.add("id > ?", id.to_string());
    }
    add_visible(&mut conditions, collection, now);
    let sql = format!(
        "SELECT id, checksum FROM {}{} ORDER BY id LIMIT {}",
        collection.table,
        conditions.where_clause(),
        i64::try_from(limit).unwrap_or(i64::MAX)
    );
    let mut statement = connection.prepare_cached(&sql).map_err(database_error)?;
    let mut rows = statement
        .query(params_from_iter(conditions.values))
        .map_err(database_error)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(database_error)? {
        let id: String = row.get(0).map_err(database_error)?;
        let checksum: i64 = row.get(1).map_err(database_error)?;
        found.push((parse_id(&id)?, checksum.cast_unsigned()));
    }
    Ok(found)
}

/// How many records each collection has.
pub(super) fn counts(connection: &Connection) -> Result<Counts, Error> {
    let sums = read_sums(connection)?;
    let count = |(name, digest): (String, Digest)| (name, digest.count);
    Ok(sums.into_iter().map(count).collect())
}

/// Whether the file can be read.
pub(super) fn ping(connection: &Connection) -> Result<(), Error> {
    read_place(connection).map(drop)
}
