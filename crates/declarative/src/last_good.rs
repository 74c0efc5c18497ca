//! The newest valid configuration on disk, from which a node can start when its source is gone.
//!
//! The file has a checksum in its first line and is replaced in one step, so it is always whole or refused.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use schema::Record;
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
    let body = serialize(config).map_err(io::Error::from)?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{MAGIC}{}", checksum(&body))?;
    file.write_all(&body)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name is on the disk once the folder is.
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// A line with the hash, then all pairs of entity and record as JSON.
fn serialize(config: &Config) -> Result<Vec<u8>, serde_json::Error> {
    let mut body = format!("{}\n", config.hash).into_bytes();
    serde_json::to_writer(&mut body, &config.records)?;
    Ok(body)
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
    let (head, body) = split_line(&text).ok_or(Error::Damaged("no header"))?;
    let sum = head
        .strip_prefix(MAGIC)
        .ok_or(Error::Damaged("no header"))?;
    if checksum(body) != sum {
        return Err(Error::Damaged("the checksum differs"));
    }
    let (hash, records) = split_line(body).ok_or(Error::Damaged("no hash"))?;
    let records: Vec<(String, Record)> =
        serde_json::from_slice(records).map_err(|_| Error::Damaged("no records"))?;
    let known = |(entity, record): (String, Record)| match catalog.get(&entity) {
        Some(schema) => Ok((schema.name, record)),
        None => Err(Error::UnknownEntity(entity)),
    };
    Ok(Some(Config {
        records: records.into_iter().map(known).collect::<Result<_, _>>()?,
        hash: hash.to_owned(),
        warnings: Vec::new(),
    }))
}

/// The first line as text, and what follows it.
fn split_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    Some((line, &bytes[end + 1..]))
}

fn checksum(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
