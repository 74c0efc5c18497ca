//! The newest valid configuration on disk, from which a node can start when its source is gone.
//!
//! The file has a checksum in its first line and is replaced in one step, so it is always whole or refused.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use schema::Record;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::Catalog;

use crate::Config;

const MAGIC: &str = "silverback-configuration 1 sha256:";

/// Why the last good configuration could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the file is damaged: {0}")]
    Damaged(&'static str),
    #[error("the file holds the entity {0}, which this program does not know")]
    UnknownEntity(String),
}

/// Replaces the file by `config` and returns once it is on the disk; the file is readable by its owner only.
///
/// # Errors
/// Only those of the file system; then the old file is untouched.
pub fn save(path: &Path, config: &Config) -> Result<(), Error> {
    let records: Vec<_> = config
        .records
        .iter()
        .map(|(entity, record)| json!([entity, record]))
        .collect();
    let body = json!({ "hash": config.hash, "records": records }).to_string();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{MAGIC}{}", checksum(body.as_bytes()))?;
    file.write_all(body.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name is on the disk once the folder is.
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Reads the file back, `None` if there is none.
///
/// # Errors
/// A file that cannot be read, is damaged, or comes from a program with other entities.
pub fn load(path: &Path, catalog: &Catalog) -> Result<Option<Config>, Error> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'\n');
    let head = parts.next().and_then(|head| std::str::from_utf8(head).ok());
    let sum = head
        .and_then(|head| head.strip_prefix(MAGIC))
        .ok_or(Error::Damaged("no header"))?;
    let body = parts.next().ok_or(Error::Damaged("no content"))?;
    if checksum(body) != sum {
        return Err(Error::Damaged("the checksum differs"));
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| Error::Damaged("no JSON"))?;
    let hash = body["hash"].as_str().ok_or(Error::Damaged("no hash"))?;
    let rows = body["records"]
        .as_array()
        .ok_or(Error::Damaged("no records"))?;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        records.push(read_row(row, catalog)?);
    }
    Ok(Some(Config {
        records,
        hash: hash.to_owned(),
        warnings: Vec::new(),
    }))
}

fn read_row(row: &Value, catalog: &Catalog) -> Result<(&'static str, Record), Error> {
    let (Some(entity), Some(record)) = (row[0].as_str(), row[1].as_object()) else {
        return Err(Error::Damaged("no record"));
    };
    let schema = catalog
        .get(entity)
        .ok_or_else(|| Error::UnknownEntity(entity.to_owned()))?;
    Ok((schema.name, record.clone()))
}

fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
