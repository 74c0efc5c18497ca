//! Header lines that the gateway adds to a head while it is written.

use std::borrow::Cow;

use crate::error::Error;
use crate::headers::{Headers, MAX_EDITS};
use crate::known::{Known, LINE_START};
use crate::token::{is_value, write_decimal};

/// Lines that go into a head beside its own, in place of those with the same names.
///
/// Perf: lines that many heads share are prepared once ([`OwnLines::add_all`]), and nothing is looked for: a line costs a
/// third of what [`Headers::set`] does (benches/heads.rs). What others may still want to change belongs into [`Headers`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct OwnLines {
    bytes: Vec<u8>,
    /// The name of each line, and where the line begins, if that is noted.
    starts: Vec<(Known, u32)>,
    /// Whether the lines are only for writing.
    only_written: bool,
    /// The names of which the head's own lines are left out.
    names: u64,
}

impl OwnLines {
    /// No lines.
    pub const fn new() -> OwnLines {
        OwnLines {
            bytes: Vec::new(),
            starts: Vec::new(),
            only_written: false,
            names: 0,
        }
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.starts.clear();
        self.only_written = false;
        self.names = 0;
    }

    /// As [`OwnLines::clear`], for lines that will hardly be [applied](OwnLines::apply).
    ///
    /// Perf: where they begin is not noted (bench case "GET, 1 KiB answer").
    pub fn clear_for_writing(&mut self) {
        self.clear();
        self.only_written = true;
    }

    /// Gives back memory that is not needed: for lines that are kept.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
        self.starts.shrink_to_fit();
    }

    /// Adds a line, and has the head's own lines with this name left out.
    ///
    /// Errors when the value could end the line, and for [`Known::Other`], which is no name.
    pub fn add(&mut self, name: Known, value: &[u8]) -> Result<(), Error> {
        if !is_value(value) {
            return Err(Error::InvalidValue);
        }
        self.begin(name, value.len())?;
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// As [`OwnLines::add`], for a number.
    pub fn add_number(&mut self, name: Known, number: u64) -> Result<(), Error> {
        const MOST_DIGITS: usize = 20;
        self.begin(name, MOST_DIGITS)?;
        match u8::try_from(number) {
            // Perf: times in milliseconds mostly have one digit.
            Ok(digit @ 0..10) => self.bytes.push(b'0' + digit),
            _ => write_decimal(number, &mut self.bytes),
        }
        self.bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// As [`OwnLines::add`], for a value that is in pieces.
    pub fn add_joined(&mut self, name: Known, value: &[&[u8]]) -> Result<(), Error> {
        if !value.iter().all(|piece| is_value(piece)) {
            return Err(Error::InvalidValue);
        }
        self.begin(name, value.iter().map(|piece| piece.len()).sum())?;
        for piece in value {
            self.bytes.extend_from_slice(piece);
        }
        self.bytes.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Writes the name, before a value of this length and the end of the line, for which there is room then.
    #[inline(always)]
    fn begin(&mut self, name: Known, length: usize) -> Result<(), Error> {
        let (prefix, len) = name.line_start().ok_or(Error::InvalidName)?;
        let room = self.bytes.capacity() - self.bytes.len();
        if room < length.saturating_add(prefix.len() + 2) {
            self.make_room(length)?;
        }
        if !self.only_written {
            self.starts.push((name, self.bytes.len() as u32));
        }
        // Perf: a copy of fixed length needs no call (benches/heads.rs).
        let end = self.bytes.len() + len;
        self.bytes.extend_from_slice(prefix);
        self.bytes.truncate(end);
        self.names |= name.bit();
        Ok(())
    }

    /// Makes room for a line with a value of this length.
    #[cold]
    fn make_room(&mut self, length: usize) -> Result<(), Error> {
        if self.bytes.len().saturating_add(length) > MAX_EDITS {
            return Err(Error::HeadTooLarge);
        }
        self.bytes.reserve(length + LINE_START + 2);
        Ok(())
    }

    /// Adds lines that were prepared before.
    pub fn add_all(&mut self, prepared: &OwnLines) {
        if !self.only_written {
            let before = self.bytes.len() as u32;
            let starts = prepared.starts();
            let starts = starts.iter().map(|(name, start)| (*name, before + start));
            self.starts.extend(starts);
        }
        self.bytes.extend_from_slice(&prepared.bytes);
        self.names |= prepared.names;
    }

    /// Has the head's own lines with this name left out.
    pub fn leave_out(&mut self, name: Known) {
        if name != Known::Other {
            self.names |= name.bit();
        }
    }

    /// Whether there is a line with this name, or one is left out.
    pub fn concerns(&self, name: Known) -> bool {
        name != Known::Other && self.names & name.bit() != 0
    }

    /// Edits `headers` as writing them together with these lines would: for heads that are looked at later, and for those
    /// that do not go out over HTTP/1.
    ///
    /// Errors when there is no room for the lines; then those with their names are gone all the same.
    pub fn apply(&self, headers: &mut Headers) -> Result<(), Error> {
        headers.remove_known(self.names);
        headers.append_written(&self.bytes, &self.starts())
    }

    /// The name of each line, and where the line begins.
    fn starts(&self) -> Cow<'_, [(Known, u32)]> {
        if !self.only_written {
            return Cow::Borrowed(&self.starts);
        }
        let mut starts = Vec::new();
        let mut start = 0;
        for line in self.bytes.split_inclusive(|byte| *byte == b'\n') {
            let name = line.split(|byte| *byte == b':').next();
            starts.push((name.map_or(Known::Other, Known::of), start));
            start += line.len() as u32;
        }
        Cow::Owned(starts)
    }

    /// The lines, each with its end.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The names of which a head's own lines are left out.
    pub(crate) fn names(&self) -> u64 {
        self.names
    }
}
