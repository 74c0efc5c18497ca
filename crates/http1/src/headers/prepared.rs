//! Header lines that many heads get, checked and written once.

use super::{Headers, Index, Line, MAX_EDITS, MAX_LINES, NONE};
use crate::error::Error;
use crate::known::Known;

/// Lines with known names, ready to be put into heads, and names of which those heads keep no line.
///
/// Perf: putting them into a head is two copies (`cargo xtask bench --only plugins`, key-auth).
#[derive(Debug, Clone, Default)]
pub struct PreparedLines {
    lines: Vec<Line>,
    bytes: Vec<u8>,
    names: Vec<Known>,
}

impl PreparedLines {
    /// Prepares a line for each name that has a value; a name without one is to be absent.
    ///
    /// Errors when a value could end its line, and for [`Known::Other`], which is no name.
    pub fn new<'a>(
        lines: impl IntoIterator<Item = (Known, Option<&'a [u8]>)>,
    ) -> Result<PreparedLines, Error> {
        let mut index = Index::default();
        let mut names = Vec::new();
        for (name, value) in lines {
            if name == Known::Other {
                return Err(Error::InvalidName);
            }
            names.push(name);
            if let Some(value) = value {
                let line = index.edit(name, name.name().as_bytes(), true, value)?;
                index.push(line);
            }
        }
        let (mut lines, mut bytes) = (index.lines, index.edits);
        lines.shrink_to_fit();
        bytes.shrink_to_fit();
        names.shrink_to_fit();
        Ok(PreparedLines {
            lines,
            bytes,
            names,
        })
    }
}

impl Headers {
    /// Removes all lines with the names that were prepared, and adds the prepared lines at the end.
    ///
    /// Errors when there is no room for them; then only the removal has happened.
    pub fn replace_all(&mut self, prepared: &PreparedLines) -> Result<(), Error> {
        for name in &prepared.names {
            if self.index.first[*name as usize] != NONE {
                self.remove(*name);
            }
        }
        let index = &mut *self.index;
        let start = index.edits.len();
        if start.saturating_add(prepared.bytes.len()) > MAX_EDITS {
            return Err(Error::HeadTooLarge);
        }
        if index.lines.len() + prepared.lines.len() > MAX_LINES {
            return Err(Error::TooManyHeaders);
        }
        index.edits.extend_from_slice(&prepared.bytes);
        for line in &prepared.lines {
            index.push(line.moved(start as u32));
        }
        Ok(())
    }
}
