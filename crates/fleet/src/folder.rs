//! A temporary folder for a server that refuses to run as root, or had better not.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use tempfile::TempDir;

use crate::{Error, Result};

/// A temporary folder, removed when dropped. It belongs to whom the server in it runs as.
#[derive(Debug)]
pub struct Folder {
    path: TempDir,
    owner: Option<User>,
}

impl Folder {
    /// An empty folder that belongs to this process's user.
    pub fn new() -> Result<Self> {
        let path = tempfile::Builder::new().prefix("fleet-").tempdir();
        Ok(Self {
            path: path.map_err(Error::io("a temporary folder"))?,
            owner: None,
        })
    }

    /// An empty folder that belongs to a user without privileges; without root's privileges as [`Folder::new`].
    pub fn unprivileged() -> Result<Self> {
        let mut folder = Self::new()?;
        folder.owner = unprivileged()?;
        folder.give_away(folder.path())?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.path.path()
    }

    /// Whom its contents belong to, if not to this process's user.
    pub fn owner(&self) -> Option<&User> {
        self.owner.as_ref()
    }

    /// Writes a file that only the owner may read, and returns where it is; folders on the way are made.
    pub fn write(&self, name: impl AsRef<Path>, text: &str) -> Result<PathBuf> {
        let path = self.path().join(name);
        let shown = path.display().to_string();
        for folder in path.parent().into_iter().filter(|folder| !folder.exists()) {
            fs::create_dir_all(folder).map_err(Error::io(&shown))?;
            self.give_away(folder)?;
        }
        fs::write(&path, text).map_err(Error::io(&shown))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(Error::io(&shown))?;
        self.give_away(&path)?;
        Ok(path)
    }

    fn give_away(&self, path: &Path) -> Result<()> {
        let Some(owner) = &self.owner else {
            return Ok(());
        };
        chown(path, Some(owner.uid.into()), Some(owner.gid.into()))
            .map_err(Error::io(path.display().to_string()))
    }
}

/// Whom servers run as when this process is root.
fn unprivileged() -> Result<Option<User>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        let user = User::from_name(name).map_err(|error| Error::io(name)(error.into()))?;
        if user.is_some() {
            return Ok(user);
        }
    }
    Err(Error::Missing("a user named postgres or nobody".to_owned()))
}
