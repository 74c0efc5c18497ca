//! What stands in a backup.

use std::collections::BTreeMap;

use schema::Record;
use serde::{Deserialize, Serialize};
use store::Digest;

/// The newest format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// How the first line begins; the format number follows.
pub(crate) const MAGIC: &str = "silverback-backup ";

/// The longest first line that is looked at.
pub(crate) const LONGEST_SEAL: u64 = 256;

/// The longest line inside; no record comes close to it.
pub(crate) const LONGEST_LINE: u64 = 256 << 20;

/// The first line: it seals everything after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seal {
    pub(crate) format: u32,
    /// Bytes after the line.
    pub(crate) length: u64,
    /// The SHA-256 of those bytes.
    pub(crate) sum: [u8; 32],
}

impl Seal {
    /// The line, which has the same length for every content.
    pub(crate) fn to_line(&self) -> String {
        let sum: String = self.sum.iter().map(|byte| format!("{byte:02x}")).collect();
        let Self { format, length, .. } = self;
        format!("{MAGIC}{format} {length:020} sha256:{sum}\n")
    }

    /// Reads a line back; `None` if it is no such line. Of a newer format only the number is known.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let rest = line.strip_prefix(MAGIC)?;
        let (format, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let format: u32 = format.parse().ok()?;
        if format > FORMAT {
            return Some(Self {
                format,
                length: 0,
                sum: [0; 32],
            });
        }
        let (length, sum) = rest.split_once(" sha256:")?;
        let seal = Self {
            format,
            length: length.parse().ok()?,
            sum: hexadecimal(sum)?,
        };
        (format > 0 && seal.to_line().trim_end() == line).then_some(seal)
    }
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

/// The first line inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// When the content was read, in Unix seconds.
    pub taken_at: i64,
    /// The version of the program that wrote it.
    pub program: String,
    /// The kind of store that it was read from, such as `postgres`.
    pub store: String,
}

/// The line of one record: its entity, what the store keeps, and when it expires in Unix seconds if it does.
pub(crate) type Line<R> = (String, R, Option<i64>);

/// What came before, in the last line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// The version of the configuration that the store was at.
    pub version: u64,
    /// By entity; those without records are left out.
    pub entities: BTreeMap<String, Content>,
}

/// How many records of one entity there are, and the sum of their checksums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    pub count: u64,
    pub digest: u64,
}

impl Footer {
    /// Adds a record; its time to live does not count.
    pub(crate) fn add(&mut self, entity: &str, record: &Record) {
        let mut digest = Digest::default();
        digest.add(record);
        if !self.entities.contains_key(entity) {
            self.entities.insert(entity.to_owned(), Content::default());
        }
        if let Some(content) = self.entities.get_mut(entity) {
            content.count += digest.count;
            content.digest = content.digest.wrapping_add(digest.sum);
        }
    }

    /// How many records there are altogether.
    pub fn records(&self) -> u64 {
        self.entities.values().map(|content| content.count).sum()
    }
}

#[cfg(test)]
mod tests;
