//! A folder of backups: how they are named, and which of them stay.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use stdx::Moment;

use crate::Error;

/// How the name of a backup begins and ends.
const NAMED: (&str, &str) = ("silverback-", ".backup");

/// How the name of a file begins and ends that is still being written.
pub(crate) const PARTIAL: (&str, &str) = (".silverback-", ".partial");

/// The name of the backup of a moment; of several in one second, each has a number.
pub(crate) fn name(taken: Moment, number: u32) -> String {
    let number = match number {
        0 | 1 => String::new(),
        more => format!("-{more}"),
    };
    let moment = taken.to_string().replace(['-', ':'], "");
    format!("{}{moment}{number}{}", NAMED.0, NAMED.1)
}

/// The moment and the number in a name, in a form that sorts as they do; `None` for any other name.
fn parse_name(name: &str) -> Option<(&str, u32)> {
    let inner = name.strip_prefix(NAMED.0)?.strip_suffix(NAMED.1)?;
    let (moment, number) = match inner.split_once('-') {
        Some((moment, number)) => (moment, number.parse().ok()?),
        None => (inner, 1),
    };
    let pattern = "00000000T000000Z";
    let fits = |(byte, place): (u8, u8)| match place {
        b'0' => byte.is_ascii_digit(),
        fixed => byte == fixed,
    };
    let good = moment.len() == pattern.len() && moment.bytes().zip(pattern.bytes()).all(fits);
    good.then_some((moment, number))
}

/// The folder of a file.
pub(crate) fn of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The backups in a folder, oldest first, by what their names say.
///
/// # Errors
/// A folder that cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |error| Error::file("read", folder, error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if let (Ok(name), true) = (entry.file_name().into_string(), is_file)
            && let Some((moment, number)) = parse_name(&name)
        {
            found.push(((moment.to_owned(), number), entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Removes all backups from a folder but the newest, and answers with those that it removed; other files stay.
///
/// # Errors
/// A folder that cannot be read, or a file that cannot be removed.
pub fn keep_newest(folder: &Path, keep: NonZeroUsize) -> Result<Vec<PathBuf>, Error> {
    let mut backups = list(folder)?;
    backups.truncate(backups.len().saturating_sub(keep.get()));
    for path in &backups {
        fs::remove_file(path).map_err(|error| Error::file("remove", path, error))?;
    }
    Ok(backups)
}

/// Removes what backups left behind that were ended while they wrote; those that are still at it hold a lock.
pub(crate) fn remove_abandoned(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let partial = name.starts_with(PARTIAL.0) && name.ends_with(PARTIAL.1);
        if partial
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // Somebody else may have removed it; it is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests;
