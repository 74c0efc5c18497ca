//! Files that somebody named, read with a bound: a device or a log in the place of a certificate must not fill memory.

use std::fs::File;
use std::io::{Error, ErrorKind, Read as _, Result};
use std::path::Path;

/// What a file of the configuration may hold when nothing larger is sensible: certificates, templates, settings.
pub const SMALL_FILE: u64 = 16 << 20;

/// The bytes of a file.
///
/// # Errors
/// When it cannot be read, or when it holds more than `most` bytes. No more than that is ever in memory.
pub fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
        return Ok(bytes);
    }
    let reason = format!("the file is larger than {} MiB", most >> 20);
    Err(Error::new(ErrorKind::FileTooLarge, reason))
}

/// The text of a small file.
///
/// # Errors
/// When it cannot be read, is larger than [`SMALL_FILE`], or is no UTF-8.
pub fn read_small_text(path: &Path) -> Result<String> {
    let bytes = read_bounded(path, SMALL_FILE)?;
    String::from_utf8(bytes).map_err(|_| Error::new(ErrorKind::InvalidData, "it is no UTF-8 text"))
}

#[cfg(test)]
mod tests;
