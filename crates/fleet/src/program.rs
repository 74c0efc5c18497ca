//! Finding programs, and starting them without this process's own settings.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Result};

/// Where a program is: on the path, or where only root's path leads.
pub fn find_program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let others = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(others)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| Error::Missing(name.to_owned()))
}

/// The folder with the programs of the newest PostgreSQL server, which Debian puts on nobody's path.
pub(crate) fn find_postgres() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let newest = versions
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(|folder| folder.join("initdb").is_file())
        .max_by_key(|folder| {
            let version = folder.parent().and_then(Path::file_name);
            version.and_then(|name| name.to_str()?.parse::<u32>().ok())
        });
    if let Some(folder) = newest {
        return Ok(folder);
    }
    let initdb = find_program("initdb")?;
    Ok(initdb.parent().unwrap_or(Path::new("/")).to_owned())
}

/// Takes away the settings of nodes that this process was given, so that a node has only those it is started with.
pub fn without_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let shown = name.to_string_lossy();
        if shown.starts_with("KONG_") || shown.starts_with("SILVERBACK_") {
            command.env_remove(&name);
        }
    }
    command
}
