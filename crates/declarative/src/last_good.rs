//! The newest valid configuration on disk, from which a node can start when its source is gone.
//!
//! The file has a checksum in its first line and is replaced in one step, so it is always whole or refused.

use std::fmt;
use std::fs;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::path::Path;

use schema::Record;
use serde::Deserializer;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use sha2::{Digest as _, Sha256};
use store::{Catalog, Packed};

use crate::Config;
use crate::config::{Entry, Times};

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
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    // The checksum is known at the end; until then its place is kept.
    writeln!(file, "{MAGIC}{}", hexadecimal(&[0; 32]))?;
    let sum = write_body(file.as_file(), config)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{MAGIC}{}", hexadecimal(&sum))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name is on the disk once the folder is.
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// Writes a line with the hash, then all pairs of entity and record as JSON; answers with the checksum of it all.
fn write_body(file: &fs::File, config: &Config) -> io::Result<Vec<u8>> {
    let mut body = Summed {
        inner: BufWriter::new(file),
        digest: Sha256::new(),
    };
    writeln!(body, "{}", config.hash)?;
    body.write_all(b"[")?;
    let mut separator: &[u8] = b"";
    for record in config.records() {
        let record = record.map_err(io::Error::other)?;
        body.write_all(separator)?;
        serde_json::to_writer(&mut body, &record)?;
        separator = b",";
    }
    body.write_all(b"]")?;
    body.flush()?;
    Ok(body.digest.finalize().to_vec())
}

/// Writes on, and sums up what was written.
struct Summed<W> {
    inner: W,
    digest: Sha256,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Packs records one by one as they are read.
struct Records<'c>(&'c Catalog);

/// The records, or the first entity that is not known.
type Read = Result<Vec<Entry>, String>;

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = Read;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Read, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = Read;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("pairs of entity and record")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Read, A::Error> {
        let mut records = Ok(Vec::new());
        while let Some((entity, record)) = pairs.next_element::<(String, Record)>()? {
            match (&mut records, self.0.get(&entity)) {
                (Ok(records), Some(schema)) => records.push(Entry {
                    schema,
                    packed: Packed::pack(schema, &record),
                    times: Times::GIVEN,
                }),
                (Ok(_), None) => records = Err(entity),
                (Err(_), _) => {}
            }
        }
        Ok(records)
    }
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
    let mut json = serde_json::Deserializer::from_slice(records);
    let records = Records(catalog).deserialize(&mut json);
    let records = records.map_err(|_| Error::Damaged("no records"))?;
    Ok(Some(Config {
        records: records.map_err(Error::UnknownEntity)?,
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
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
