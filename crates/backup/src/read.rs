//! A file that is known to be whole, line by line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use schema::{Record, Schema};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use stdx::Moment;
use store::{Catalog, catalog};

use crate::format::{FORMAT, Footer, Header, LONGEST_LINE, LONGEST_SEAL, Line, Seal};
use crate::{Error, entities};

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 16;

/// A file whose checksum is right.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    file: File,
    header: Header,
    footer: Footer,
}

impl Backup {
    /// Reads the file through, and takes it if it is a whole and undamaged backup.
    ///
    /// # Errors
    /// `Foreign`, `Newer`, `CutShort` or `Damaged`, each in words for operators.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let opened = File::open(path);
        let mut file = opened.map_err(|error| Error::file("read", path, error))?;
        check_seal(&mut file, path)?;
        let (header, footer) = read_ends(&file, path)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            header,
            footer,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Who wrote it, and when.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What is in it.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// When the content was read.
    pub fn taken_at(&self) -> Moment {
        Moment {
            seconds: self.header.taken_at,
        }
    }

    /// The records, in the order in which they were written.
    pub(crate) fn records(&self, catalog: &Catalog) -> Result<Records, Error> {
        let file = self.file.try_clone();
        let file = file.map_err(|error| Error::file("read", &self.path, error))?;
        let mut lines = Lines::begin(file, &self.path)?;
        lines.next()?;
        let known = entities(catalog)
            .into_iter()
            .map(|schema| (schema, fields_of(schema)))
            .collect();
        Ok(Records { lines, known })
    }
}

/// Compares the first line with what follows it.
fn check_seal(file: &mut File, path: &Path) -> Result<(), Error> {
    let failed = |error| Error::file("read", path, error);
    let mut reader = BufReader::with_capacity(BUFFER, file);
    let mut line = Vec::new();
    let mut first = reader.by_ref().take(LONGEST_SEAL);
    first.read_until(b'\n', &mut line).map_err(failed)?;
    let foreign = || Error::Foreign(path.to_owned());
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = std::str::from_utf8(line).map_err(|_| foreign())?;
    let seal = Seal::of_line(line).ok_or_else(foreign)?;
    if seal.format > FORMAT {
        return Err(Error::Newer {
            path: path.to_owned(),
            found: seal.format,
            known: FORMAT,
        });
    }
    let mut digest = Sha256::new();
    let mut found = 0;
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer).map_err(failed)? {
            0 => break,
            length => {
                found += length as u64;
                digest.update(&buffer[..length]);
            }
        }
    }
    if found < seal.length {
        return Err(Error::CutShort {
            path: path.to_owned(),
            found,
            expected: seal.length,
        });
    }
    let sum: [u8; 32] = digest.finalize().into();
    if found > seal.length || sum != seal.sum {
        return Err(Error::damaged(
            path,
            "its checksum is not that of its content",
        ));
    }
    Ok(())
}

/// The first and the last line.
fn read_ends(file: &File, path: &Path) -> Result<(Header, Footer), Error> {
    let file = file.try_clone();
    let file = file.map_err(|error| Error::file("read", path, error))?;
    let mut lines = Lines::begin(file, path)?;
    let header = lines.next()?.to_vec();
    let header = lines.parse(&header)?;
    let mut last = Vec::new();
    loop {
        let line = lines.next()?;
        if line.is_empty() {
            break;
        }
        // Only the last one is of interest, and it is the only one that is an object.
        if line.starts_with(b"{") {
            last = line.to_vec();
        }
    }
    Ok((header, lines.parse(&last)?))
}

/// The lines inside.
struct Lines {
    path: PathBuf,
    reader: BufReader<GzDecoder<BufReader<File>>>,
    line: Vec<u8>,
}

impl Lines {
    fn begin(mut file: File, path: &Path) -> Result<Self, Error> {
        let failed = |error| Error::file("read", path, error);
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut reader = BufReader::with_capacity(BUFFER, file);
        let mut seal = Vec::new();
        let mut first = reader.by_ref().take(LONGEST_SEAL);
        first.read_until(b'\n', &mut seal).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(BUFFER, GzDecoder::new(reader)),
            line: Vec::new(),
        })
    }

    /// The next line without its end; empty after the last one.
    fn next(&mut self) -> Result<&[u8], Error> {
        self.line.clear();
        let mut bounded = self.reader.by_ref().take(LONGEST_LINE);
        let read = bounded.read_until(b'\n', &mut self.line);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::UnexpectedEof => {
                Error::damaged(&self.path, format!("it cannot be uncompressed: {error}"))
            }
            _ => Error::file("read", &self.path, error),
        })?;
        match self.line.strip_suffix(b"\n") {
            Some(line) => Ok(line),
            None if self.line.is_empty() => Ok(&[]),
            None => Err(Error::damaged(&self.path, "a line has no end")),
        }
    }

    fn parse<T: DeserializeOwned>(&self, line: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(line)
            .map_err(|error| Error::damaged(&self.path, format!("a line says nothing: {error}")))
    }
}

/// A record and what the program knows about it.
pub(crate) struct Entry {
    pub(crate) schema: &'static Schema,
    /// Without a time to live.
    pub(crate) record: Record,
    /// When it expires, in Unix seconds.
    pub(crate) expires: Option<i64>,
    /// Bytes of its line.
    pub(crate) size: usize,
}

/// The records of a backup.
pub(crate) struct Records {
    lines: Lines,
    /// The entities that may occur, with their fields.
    known: Vec<(&'static Schema, Vec<&'static str>)>,
}

impl Records {
    /// The next record; `None` after the last one.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let line = self.lines.next()?;
        if !line.starts_with(b"[") {
            return Ok(None);
        }
        let size = line.len();
        let parsed = serde_json::from_slice(line);
        let path = || self.lines.path.clone();
        let (entity, record, expires): Line<Record> = parsed
            .map_err(|error| Error::damaged(&path(), format!("a line is no record: {error}")))?;
        let known = self.known.iter().find(|(schema, _)| schema.name == entity);
        let Some((schema, fields)) = known else {
            return Err(Error::UnknownEntity {
                path: path(),
                entity,
            });
        };
        let unknown = |field: &&String| !fields.contains(&field.as_str());
        if let Some(field) = record.keys().find(unknown) {
            return Err(Error::UnknownField {
                path: path(),
                field: field.clone(),
                entity,
            });
        }
        Ok(Some(Entry {
            schema,
            record,
            expires,
            size,
        }))
    }
}

fn fields_of(schema: &'static Schema) -> Vec<&'static str> {
    catalog::stored_fields(schema)
        .map(|(field, _)| field)
        .collect()
}
