//! The tables of a replica, and a record as a row of one.

use rusqlite::Connection;
use schema::{Record, Schema};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use store::catalog::{foreign, stored_fields, unique_keys};
use store::replica::Place;
use store::{Catalog, Digest, Digests, Error, Version, digest};
use uuid::Uuid;

use crate::database_error;
use crate::table::quoted;

/// The layout of the file; one with another number is rebuilt.
pub(super) const LAYOUT: i64 = 1;

/// What the file's header says it is: `SBRP`.
pub(super) const APPLICATION: i32 = 0x5342_5250;

/// The field that counts down by itself; its row holds the moment instead.
const TTL: &str = "ttl";

/// Tables of the replica itself: where it stands, and what each collection adds up to.
pub(super) const OWN_TABLES: &str = "
CREATE TABLE IF NOT EXISTS \"replica\" (
    layout INTEGER NOT NULL,
    origin TEXT NOT NULL,
    version INTEGER NOT NULL,
    mark INTEGER,
    seal INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS \"replica_collections\" (
    entity TEXT NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL,
    sum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// All collections, parents first.
pub(super) struct Collections {
    pub(super) all: Vec<Collection>,
}

/// The table of an entity.
pub(super) struct Collection {
    pub(super) schema: &'static Schema,
    /// Its name as an SQL identifier.
    pub(super) table: String,
    pub(super) upsert: String,
}

/// A record as it is stored.
pub(super) struct Row {
    pub(super) id: Uuid,
    /// JSON, without fields that are null and without the time to live.
    pub(super) body: String,
    /// When it expires, in Unix seconds.
    pub(super) expires: Option<i64>,
    pub(super) checksum: u64,
}

impl Collections {
    pub(super) fn new(catalog: &Catalog) -> Self {
        Self {
            all: catalog.parents_first().map(Collection::new).collect(),
        }
    }

    pub(super) fn position(&self, entity: &str) -> Result<usize, Error> {
        let mut schemas = self.all.iter().map(|collection| collection.schema.name);
        schemas
            .position(|name| name == entity)
            .ok_or_else(|| Error::Database(format!("there is no table for {entity}")))
    }
}

impl Collection {
    fn new(schema: &'static Schema) -> Self {
        let table = quoted(schema.name);
        Self {
            schema,
            upsert: format!(
                "INSERT INTO {table} (id, body, expires, checksum, seal) VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT (id) DO UPDATE SET body = excluded.body, expires = excluded.expires, \
                 checksum = excluded.checksum, seal = excluded.seal"
            ),
            table,
        }
    }

    pub(super) fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id TEXT NOT NULL PRIMARY KEY, body TEXT NOT NULL, \
             expires INTEGER, checksum INTEGER NOT NULL, seal INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            self.table
        )
    }

    /// The value of a field as SQL: its text, or the id that it points at.
    pub(super) fn value(&self, field: &str) -> String {
        let member = match foreign(self.schema, field) {
            Some(_) => ".id",
            None => "",
        };
        // Names of fields are ours, and hold no quotes.
        format!("(body ->> '$.{field}{member}')")
    }

    /// Names and definitions of the indexes: what records are looked up and listed by.
    pub(super) fn indexes(&self) -> Vec<(String, String)> {
        let references = self.schema.foreign_fields().map(|(field, _)| field);
        let keys = unique_keys(self.schema).into_iter();
        let unique = keys.filter(|key| key.fields.len() == 1);
        let mut fields: Vec<_> = unique
            .flat_map(|key| key.fields)
            .chain(references)
            .collect();
        fields.sort_unstable();
        fields.dedup();
        let index = |field: &str| {
            let name = quoted(&format!("{}_{field}", self.schema.name));
            let (table, value) = (&self.table, self.value(field));
            let sql = format!("CREATE INDEX IF NOT EXISTS {name} ON {table} ({value})");
            (name, sql)
        };
        fields.into_iter().map(index).collect()
    }

    /// A record as a row; `now` is in Unix seconds.
    pub(super) fn encode(&self, record: &Record, now: i64) -> Result<Row, Error> {
        let id = record.get("id").and_then(Value::as_str);
        let id = id.and_then(|id| Uuid::parse_str(id).ok()).ok_or_else(|| {
            Error::Database(format!("a record of {} has no id", self.schema.name))
        })?;
        let ttl = record.get(TTL).filter(|_| self.schema.ttl);
        let expires = ttl.and_then(Value::as_i64);
        let is_kept =
            |name: &str, value: &Value| !value.is_null() && (expires.is_none() || name != TTL);
        let kept: serde_json::Map<_, _> = record
            .iter()
            .filter(|(name, value)| is_kept(name, value))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(Row {
            id,
            body: Value::Object(kept).to_string(),
            expires: expires.map(|left| now.saturating_add(left)),
            checksum: digest::checksum(record),
        })
    }

    /// A row as a record, with every declared field.
    pub(super) fn decode(
        &self,
        body: &str,
        expires: Option<i64>,
        now: i64,
    ) -> Result<Record, Error> {
        let parsed: Result<Record, _> = serde_json::from_str(body);
        let mut record = parsed.map_err(|error| {
            Error::Database(format!("a row of {} is damaged: {error}", self.schema.name))
        })?;
        for (field, _) in stored_fields(self.schema) {
            if !record.contains_key(field) {
                record.insert(field.to_owned(), Value::Null);
            }
        }
        if let Some(expires) = expires {
            record.insert(TTL.to_owned(), expires.saturating_sub(now).into());
        }
        Ok(record)
    }
}

impl Row {
    /// What shows that a row of this entity is as it was written.
    pub(super) fn seal(&self, entity: &str) -> i64 {
        let mut hasher = Sha256::new();
        for part in [entity.as_bytes(), self.id.as_bytes(), self.body.as_bytes()] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.update(self.expires.unwrap_or(i64::MIN).to_be_bytes());
        hasher.update(self.checksum.to_be_bytes());
        short(hasher)
    }
}

/// What shows that the place and the sums are as they were written.
pub(super) fn seal_of(origin: &str, place: Place, sums: &Digests) -> i64 {
    let mut hasher = Sha256::new();
    hasher.update(LAYOUT.to_be_bytes());
    hasher.update((origin.len() as u64).to_be_bytes());
    hasher.update(origin);
    hasher.update(place.version.0.to_be_bytes());
    hasher.update([u8::from(place.mark.is_some())]);
    hasher.update(place.mark.unwrap_or(0).to_be_bytes());
    for (entity, digest) in sums {
        hasher.update((entity.len() as u64).to_be_bytes());
        hasher.update(entity);
        hasher.update(digest.count.to_be_bytes());
        hasher.update(digest.sum.to_be_bytes());
    }
    short(hasher)
}

fn short(hasher: Sha256) -> i64 {
    let bytes: [u8; 32] = hasher.finalize().into();
    i64::from_be_bytes(std::array::from_fn(|at| bytes[at]))
}

/// The sums of all collections.
pub(super) fn read_sums(connection: &Connection) -> Result<Digests, Error> {
    let mut statement = connection
        .prepare_cached("SELECT entity, count, sum FROM \"replica_collections\"")
        .map_err(database_error)?;
    let rows = statement
        .query_map([], |row| {
            let (count, sum): (i64, i64) = (row.get(1)?, row.get(2)?);
            let digest = Digest {
                count: count.cast_unsigned(),
                sum: sum.cast_unsigned(),
            };
            Ok((row.get(0)?, digest))
        })
        .map_err(database_error)?;
    rows.collect::<Result<_, _>>().map_err(database_error)
}

/// Where the content stands, with the name of the database and the seal.
pub(super) fn read_place(connection: &Connection) -> Result<Option<(String, Place, i64)>, Error> {
    let mut statement = connection
        .prepare_cached("SELECT origin, version, mark, seal FROM \"replica\"")
        .map_err(database_error)?;
    let mut rows = statement.query([]).map_err(database_error)?;
    let Some(row) = rows.next().map_err(database_error)? else {
        return Ok(None);
    };
    let version: i64 = row.get(1).map_err(database_error)?;
    let place = Place {
        version: Version(version.cast_unsigned()),
        mark: row.get(2).map_err(database_error)?,
    };
    let origin = row.get(0).map_err(database_error)?;
    Ok(Some((origin, place, row.get(3).map_err(database_error)?)))
}
