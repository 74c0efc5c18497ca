//! A store's content into a file.

use std::fs::File;
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use schema::{Record, Schema};
use sha2::{Digest as _, Sha256};
use stdx::{Clock, Moment};
use store::bulk::Sink;
use store::{Catalog, Store};
use tempfile::NamedTempFile;

use crate::folder::{self, PARTIAL};
use crate::format::{FORMAT, Footer, Header, Seal};
use crate::{Error, entities};

/// The field that counts down; a backup says when it ends instead.
const TTL: &str = "ttl";

/// Perf: level 3 takes half the time of the default and files of about the same size.
const COMPRESSION: Compression = Compression::new(3);

/// How often a store that cannot read one state in spite of writers is tried.
const ATTEMPTS: u32 = 5;

/// Where a backup goes.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A new file in a folder, named after the moment.
    Folder(&'a Path),
    /// This file.
    File {
        path: &'a Path,
        /// Whether a file that is there is replaced.
        replace: bool,
    },
}

/// A backup that is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub path: PathBuf,
    /// The file's size in bytes.
    pub size: u64,
    pub header: Header,
    pub footer: Footer,
}

/// Writes a backup of everything that the store holds at one version; others may write to the store meanwhile.
///
/// The file can be read by its owner only. It has its name once it is whole and on disk; whatever ends the program
/// before leaves other files as they are, and at most a partial file that the next backup removes.
///
/// # Errors
/// Those of the store and of the file system.
pub async fn write(
    store: &dyn Store,
    catalog: &Catalog,
    clock: &dyn Clock,
    program: &str,
    target: Target<'_>,
) -> Result<Written, Error> {
    let directory = match target {
        Target::Folder(folder) => folder,
        Target::File {
            path,
            replace: false,
        } if path.exists() => return Err(Error::Exists(path.to_owned())),
        Target::File { path, .. } => folder::of(path),
    };
    folder::remove_abandoned(directory);
    let mut attempt = 1;
    let sealed = loop {
        let header = Header {
            taken_at: clock.unix_seconds(),
            program: program.to_owned(),
            store: store.kind().to_owned(),
        };
        let mut file = Writer::begin(directory, header)?;
        match store.read_all(&entities(catalog), &mut file).await {
            Ok(version) => break file.end(version.0)?,
            Err(store::Error::Conflict) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(file.failed.unwrap_or(Error::Store(error))),
        }
    };
    let taken = Moment {
        seconds: sealed.header.taken_at,
    };
    let (file, path) = match target {
        Target::Folder(folder) => persist_in(sealed.file, folder, taken)?,
        Target::File { path, replace } => {
            let persisted = match replace {
                true => sealed.file.persist(path),
                false => sealed.file.persist_noclobber(path),
            };
            let persisted = persisted.map_err(|failed| refused(path, failed.error));
            (persisted?, path.to_owned())
        }
    };
    sync_folder(directory)?;
    let size = file.metadata().map(|metadata| metadata.len());
    Ok(Written {
        size: size.map_err(|error| Error::file("read", &path, error))?,
        path,
        header: sealed.header,
        footer: sealed.footer,
    })
}

/// Why a file does not get a name.
fn refused(path: &Path, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Error::Exists(path.to_owned()),
        _ => Error::file("write", path, error),
    }
}

/// Gives a file the first free name of its moment.
fn persist_in(
    mut file: NamedTempFile,
    folder: &Path,
    taken: Moment,
) -> Result<(File, PathBuf), Error> {
    const NAMES: u32 = 1000;
    let mut number = 1;
    loop {
        let path = folder.join(folder::name(taken, number));
        file = match file.persist_noclobber(&path) {
            Ok(persisted) => return Ok((persisted, path)),
            Err(failed)
                if failed.error.kind() == io::ErrorKind::AlreadyExists && number < NAMES =>
            {
                failed.file
            }
            Err(failed) => return Err(refused(&path, failed.error)),
        };
        number += 1;
    }
}

/// A new name is on disk once its folder is.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::file("write", folder, error))
}

/// A backup that is being written, without a name that anybody would take for a backup.
struct Writer {
    path: PathBuf,
    gzip: GzEncoder<Summed>,
    header: Header,
    footer: Footer,
    /// Why a batch could not be written.
    failed: Option<Error>,
}

/// A file that is complete but for its name.
struct Sealed {
    file: NamedTempFile,
    header: Header,
    footer: Footer,
}

impl Writer {
    fn begin(directory: &Path, header: Header) -> Result<Self, Error> {
        let made = tempfile::Builder::new()
            .prefix(PARTIAL.0)
            .suffix(PARTIAL.1)
            .tempfile_in(directory);
        let file = made.map_err(|error| Error::file("make a file in", directory, error))?;
        let path = file.path().to_owned();
        let begun = Self::seal_later(file).and_then(|summed| {
            let mut gzip = GzEncoder::new(summed, COMPRESSION);
            write_line(&mut gzip, &header)?;
            Ok(gzip)
        });
        Ok(Self {
            gzip: begun.map_err(|error| Error::file("write", &path, error))?,
            path,
            header,
            footer: Footer::default(),
            failed: None,
        })
    }

    /// Keeps the place of the first line, whose content is known at the end.
    fn seal_later(mut file: NamedTempFile) -> io::Result<Summed> {
        // Whoever finds the file knows by the lock that somebody still writes it.
        file.as_file().lock()?;
        let placeholder = Seal {
            format: FORMAT,
            length: 0,
            sum: [0; 32],
        };
        file.write_all(placeholder.to_line().as_bytes())?;
        Ok(Summed {
            file: BufWriter::new(file),
            digest: Sha256::new(),
            length: 0,
        })
    }

    fn add(&mut self, schema: &Schema, mut record: Record) -> io::Result<()> {
        let left = record.remove(TTL).filter(|_| schema.ttl);
        let left = left.and_then(|left| left.as_i64());
        // What expires within this second is not what lives for ever, which some stores write as zero.
        let expires = left.map(|left| self.header.taken_at.saturating_add(left.max(1)));
        self.footer.add(schema.name, &record);
        write_line(&mut self.gzip, &(schema.name, record, expires))
    }

    fn end(self, version: u64) -> Result<Sealed, Error> {
        let Self {
            path,
            mut gzip,
            header,
            mut footer,
            ..
        } = self;
        footer.version = version;
        let end = || {
            write_line(&mut gzip, &footer)?;
            let summed = gzip.finish()?;
            let mut file = summed
                .file
                .into_inner()
                .map_err(|error| error.into_error())?;
            let seal = Seal {
                format: FORMAT,
                length: summed.length,
                sum: summed.digest.finalize().into(),
            };
            file.seek(SeekFrom::Start(0))?;
            file.write_all(seal.to_line().as_bytes())?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        let ended = end();
        Ok(Sealed {
            file: ended.map_err(|error| Error::file("write", &path, error))?,
            header,
            footer,
        })
    }
}

fn write_line(to: &mut impl io::Write, line: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

#[async_trait::async_trait]
impl Sink for Writer {
    async fn take(
        &mut self,
        schema: &'static Schema,
        records: Vec<Record>,
    ) -> Result<(), store::Error> {
        for record in records {
            if let Err(error) = self.add(schema, record) {
                self.failed = Some(Error::file("write", &self.path, error));
                return Err(store::Error::Database(
                    "the backup cannot be written".to_owned(),
                ));
            }
        }
        Ok(())
    }
}

/// Writes on, and sums up what was written.
struct Summed {
    file: BufWriter<NamedTempFile>,
    digest: Sha256,
    length: u64,
}

impl io::Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
