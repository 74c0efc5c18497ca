//! The node's working folder: its parts, its identity, and the lock that says who runs here.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use config::Settings;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use uuid::Uuid;

use crate::Error;

/// Names under the prefix.
const PID_FILE: &str = "pids/nginx.pid";
const RECORD: &str = ".kong_env";
const IDENTITY: &str = "kong.id";

/// The folder of one node.
#[derive(Debug, Clone)]
pub struct Prefix(PathBuf);

/// Holds the folder for as long as it lives; the pid file goes with it.
#[derive(Debug)]
pub struct Claim {
    path: PathBuf,
    locked: File,
}

impl Prefix {
    /// The folder at a path, whether it exists or not.
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Whether there is such a folder.
    pub fn exists(&self) -> bool {
        self.0.is_dir()
    }

    /// Makes the folder and the parts that it lacks; only the owner can look into those with secrets.
    pub fn prepare(&self) -> Result<(), Error> {
        for (part, mode) in [
            ("", 0o755),
            ("pids", 0o755),
            ("logs", 0o755),
            ("ssl", 0o700),
            ("sockets", 0o755),
        ] {
            let path = self.0.join(part);
            let made = fs::DirBuilder::new()
                .recursive(true)
                .mode(mode)
                .create(&path);
            made.map_err(|source| Error::file("make the folder", &path, source))?;
        }
        Ok(())
    }

    /// The node's id: the setting, or the one in the folder, or a new one that the folder keeps if there is room for it.
    pub fn node_id(&self, settings: &Settings) -> Result<Uuid, Error> {
        let path = self.0.join(IDENTITY);
        let stored = fs::read_to_string(&path)
            .ok()
            .and_then(|text| Uuid::try_parse(text.trim()).ok());
        let id = settings.node_id.or(stored).unwrap_or_else(Uuid::new_v4);
        if stored != Some(id) {
            unless_full(write_private(&path, &id.to_string()))?;
        }
        Ok(id)
    }

    /// Takes the folder for this process; [`Claim::write_pid`] tells others which one that is.
    pub fn claim(&self) -> Result<Claim, Error> {
        let path = self.0.join(PID_FILE);
        let failed = |source| Error::file("write", &path, source);
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            let file = options.open(&path).map_err(failed)?;
            match fcntl(&file, FcntlArg::F_OFD_SETLK(&lock_on(HELD))) {
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::EACCES) => {
                    return Err(Error::AlreadyRunning(self.0.clone()));
                }
                Err(errno) => return Err(failed(errno.into())),
            }
            if !is_at(&file, &path) {
                // The node before removed the file between the opening and the locking.
                continue;
            }
            // It is free, for who has the first lock takes this one as well.
            fcntl(&file, FcntlArg::F_SETLK(&lock_on(HOLDER)))
                .map_err(|errno| failed(errno.into()))?;
            return Ok(Claim { path, locked: file });
        }
    }

    /// The process that runs here, if any. A pid file that nobody holds is left from a crash and does not count.
    pub fn running(&self) -> Option<i32> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.0.join(PID_FILE))
            .ok()?;
        let mut lock = lock_on(HELD);
        // This asks whether the lock could be had and never takes it, so that it disturbs no node that starts.
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)).ok()?;
        if i32::from(lock.l_type) == libc::F_UNLCK {
            return None;
        }
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let is_pid = |pid: &i32| *pid > 0;
        let written = text.trim().parse().ok().filter(is_pid);
        written.or_else(|| {
            // There was no room for it.
            let mut lock = lock_on(HOLDER);
            fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
            let is_held = i32::from(lock.l_type) != libc::F_UNLCK;
            Some(lock.l_pid).filter(|pid| is_held && is_pid(pid))
        })
    }

    /// Writes down what the node was told, for commands that look at a running node, if there is room for it. Without
    /// secrets.
    pub fn write_record(&self, settings: &Settings) -> Result<(), Error> {
        let text = format!(
            "# What the node in this folder was told; written at every start and reload, without secrets.\n{}",
            settings.record()
        );
        unless_full(write_private(&self.0.join(RECORD), &text))
    }

    /// The file of [`Self::write_record`], if it was written.
    pub fn record(&self) -> Option<PathBuf> {
        Some(self.0.join(RECORD)).filter(|path| path.exists())
    }
}

impl Claim {
    /// Writes the pid file. Commands find the node without it, too.
    pub fn write_pid(&self) -> Result<(), Error> {
        let mut file = &self.locked;
        let text = format!("{}\n", std::process::id());
        let written = file
            .rewind()
            .and_then(|()| file.write_all(text.as_bytes()))
            .and_then(|()| file.set_len(text.len() as u64))
            .and_then(|()| file.sync_data());
        written.map_err(|source| {
            // What a node before has left there would be wrong.
            let _ = file.set_len(0);
            Error::file("write", &self.path, source)
        })
    }
}

/// A byte of the pid file that is locked by the open file of the node that runs, and so until it ends, however it ends.
const HELD: i64 = 0;

/// A byte that is locked by its process, so that everybody can see which one that is.
const HOLDER: i64 = 1;

/// A lock on one byte of a file, for its writer alone.
fn lock_on(byte: i64) -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    }
}

/// Lets a file be missing for which the disk has no room, and says so: a node whose configuration is safe serves.
pub(crate) fn unless_full(written: Result<(), Error>) -> Result<(), Error> {
    match written {
        Err(Error::File { path, source, .. }) if is_full(&source) => {
            let path = path.display();
            tracing::warn!("{path} cannot be written, and the node goes on without it: {source}");
            Ok(())
        }
        written => written,
    }
}

/// Whether a file may not grow: the disk is full, or a quota or a limit is reached.
fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
    )
}

/// Whether a path leads to this open file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => identity(open) == identity(there),
        _ => false,
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // The lock is what counts; a pid file that stays is recognised as stale.
        let _ = fs::remove_file(&self.path);
    }
}

/// Replaces a file by one that only the owner can read, at once and as a whole.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::file("write", path, source);
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let written = write_new(&temporary, text).and_then(|()| fs::rename(&temporary, path));
    written.map_err(|source| {
        // What is left of it helps nobody, least of all on a full disk.
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests;
