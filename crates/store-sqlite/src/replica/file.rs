//! The file: making it, checking it, and putting one aside that cannot be trusted.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use store::replica::Place;
use store::{Digest, Error};
use uuid::Uuid;

use crate::replica::layout::{
    APPLICATION, Collection, Collections, LAYOUT, OWN_TABLES, Row, read_place, read_sums, seal_of,
};
use crate::{Check, check_structure, database_error, make_private, prepare};

/// What is appended to the name of a file that cannot be trusted.
const ASIDE: &str = "damaged";

/// Files that SQLite keeps beside its own.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// A file that can be used.
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) place: Option<Place>,
    /// The database that the content was copied from.
    pub(super) origin: Option<String>,
    /// Whether every declared entity has a collection in the content.
    pub(super) is_whole: bool,
}

/// Opens a file and checks all of it; one that cannot be trusted is put aside, and an empty one takes its place.
pub(super) fn open(path: &Path, collections: &Collections) -> Result<Opened, Error> {
    match open_checked(path, collections) {
        Err(Error::Database(reason)) => {
            let aside = put_aside(path)?;
            tracing::error!(
                "the replica {} is put aside as {} and will be rebuilt: {reason}",
                path.display(),
                aside.display()
            );
            open_checked(path, collections)
        }
        opened => opened,
    }
}

fn open_checked(path: &Path, collections: &Collections) -> Result<Opened, Error> {
    make_private(path)?;
    let connection = Connection::open(path).map_err(database_error)?;
    prepare(&connection).map_err(database_error)?;
    let application: i32 = connection
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .map_err(database_error)?;
    let is_new: bool = connection
        .query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| {
            row.get(0)
        })
        .map_err(database_error)?;
    if !is_new && application != APPLICATION {
        return Err(Error::Database(
            "it is no replica of this program".to_owned(),
        ));
    }
    connection
        .execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION}; PRAGMA journal_mode = WAL; \
             PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216; \
             PRAGMA cache_size = -16384;"
        ))
        .map_err(database_error)?;
    let layout = layout(&connection, is_new)?;
    if layout.is_some_and(|layout| layout != LAYOUT) {
        return Err(Error::Database(
            "it has another program's layout".to_owned(),
        ));
    }
    create(&connection, collections)?;
    let held = read_place(&connection)?;
    check_structure(&connection, Check::PagesAndIndexes)?;
    let is_whole = match &held {
        Some((origin, place, seal)) => check(&connection, collections, origin, *place, *seal)?,
        None => false,
    };
    let (origin, place) = held.map(|(origin, place, _)| (origin, place)).unzip();
    Ok(Opened {
        connection,
        place,
        origin,
        is_whole,
    })
}

fn layout(connection: &Connection, is_new: bool) -> Result<Option<i64>, Error> {
    if is_new {
        return Ok(None);
    }
    let sql = "SELECT max(layout) FROM \"replica\"";
    connection
        .query_row(sql, [], |row| row.get(0))
        .map_err(database_error)
}

/// Adds what is declared and not there.
fn create(connection: &Connection, collections: &Collections) -> Result<(), Error> {
    let mut sql = format!("BEGIN IMMEDIATE; {OWN_TABLES}");
    for collection in &collections.all {
        sql.push_str(&collection.create());
        sql.push(';');
        for (_, index) in collection.indexes() {
            sql.push_str(&index);
            sql.push(';');
        }
    }
    sql.push_str("COMMIT;");
    connection.execute_batch(&sql).map_err(database_error)
}

/// Reads every row and compares it with its seal, and every collection with its sum; tells whether all declared
/// collections were copied.
fn check(
    connection: &Connection,
    collections: &Collections,
    origin: &str,
    place: Place,
    seal: i64,
) -> Result<bool, Error> {
    let sums = read_sums(connection)?;
    if seal != seal_of(origin, place, &sums) {
        return Err(Error::Database(
            "its place does not match its seal".to_owned(),
        ));
    }
    let mut is_whole = true;
    for collection in &collections.all {
        let name = collection.schema.name;
        let expected = sums.get(name);
        is_whole &= expected.is_some();
        if check_collection(connection, collection)? != expected.copied().unwrap_or_default() {
            return Err(Error::Database(format!(
                "{name} lacks records or has too many"
            )));
        }
    }
    Ok(is_whole)
}

fn check_collection(connection: &Connection, collection: &Collection) -> Result<Digest, Error> {
    let name = collection.schema.name;
    let damaged = || Error::Database(format!("a record of {name} does not match its seal"));
    let sql = format!(
        "SELECT id, body, expires, checksum, seal FROM {}",
        collection.table
    );
    let mut statement = connection.prepare(&sql).map_err(database_error)?;
    let mut rows = statement.query([]).map_err(database_error)?;
    let mut digest = Digest::default();
    while let Some(row) = rows.next().map_err(database_error)? {
        let id: String = row.get(0).map_err(database_error)?;
        let checksum: i64 = row.get(3).map_err(database_error)?;
        let seal: i64 = row.get(4).map_err(database_error)?;
        let row = Row {
            id: Uuid::parse_str(&id).map_err(|_| damaged())?,
            body: row.get(1).map_err(database_error)?,
            expires: row.get(2).map_err(database_error)?,
            checksum: checksum.cast_unsigned(),
        };
        if row.seal(name) != seal {
            return Err(damaged());
        }
        digest.count = digest.count.wrapping_add(1);
        digest.sum = digest.sum.wrapping_add(row.checksum);
    }
    Ok(digest)
}

/// Gives a file another name, so that somebody may look at it; an older one of that name goes.
fn put_aside(path: &Path) -> Result<PathBuf, Error> {
    let named = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = named(path, &format!(".{ASIDE}"));
    let fails = |error: std::io::Error| {
        let path = path.display();
        Error::Unavailable(format!("{path} cannot be put aside: {error}"))
    };
    std::fs::rename(path, &aside).map_err(fails)?;
    for companion in COMPANIONS {
        let moved = std::fs::rename(named(path, companion), named(&aside, companion));
        match moved {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fails(error)),
            _ => {}
        }
    }
    Ok(aside)
}
