//! The header lines of a head: one received block, an index into it, and edits beside it.
//!
//! Lines that nobody edits are never touched: they are written as they came, in runs, with their order, case and
//! duplicates.
//! An edit writes its whole line into a second buffer and lets the index point there, so that writing a head costs one
//! copy a run whatever happened to it.

mod single;

use bytes::{Bytes, BytesMut};

use crate::error::Error;
use crate::known::{Known, Name};
use crate::token::{is_token, is_value};

const NONE: u16 = u16::MAX;

/// The bytes of edits that a head may gather before it refuses more, far below what the offsets can hold.
pub(crate) const MAX_EDITS: usize = 64 * 1024 * 1024;

/// The largest number of lines that an index can hold.
pub(crate) const MAX_LINES: usize = NONE as usize - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Received,
    Edited,
    Removed,
}

/// One line: where it is, and where its parts are. Offsets count from the start of the buffer that `place` names.
#[derive(Debug, Clone, Copy)]
struct Line {
    start: u32,
    end: u32,
    value_start: u32,
    value_end: u32,
    name_len: u16,
    known: Known,
    place: Place,
}

/// The index and the edits of a head; it is reused from one head to the next.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    lines: Vec<Line>,
    edits: Vec<u8>,
    /// For each known name its first line.
    first: [u16; Known::COUNT],
    /// The known names that have more than one line.
    repeated: u64,
    /// The names that have a line, or had one.
    names: u64,
}

impl Default for Index {
    fn default() -> Index {
        Index {
            lines: Vec::with_capacity(24),
            edits: Vec::with_capacity(512),
            first: [NONE; Known::COUNT],
            repeated: 0,
            names: 0,
        }
    }
}

impl Index {
    pub(crate) fn clear(&mut self) {
        self.lines.clear();
        self.edits.clear();
        self.first = [NONE; Known::COUNT];
        self.repeated = 0;
        self.names = 0;
    }

    /// Whether the index is small enough to be kept for another head.
    pub(crate) fn is_modest(&self) -> bool {
        self.lines.capacity() <= 256 && self.edits.capacity() <= 16 * 1024
    }

    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Adds a received line, all offsets counted from the start of the block.
    #[inline(always)]
    pub(crate) fn push_received(
        &mut self,
        line: (usize, usize),
        name_len: usize,
        value: (usize, usize),
        known: Known,
    ) {
        self.push(Line {
            start: line.0 as u32,
            end: line.1 as u32,
            value_start: value.0 as u32,
            value_end: value.1 as u32,
            name_len: name_len as u16,
            known,
            place: Place::Received,
        });
    }

    /// Adds a line whose name and value have been checked.
    pub(crate) fn push_edited(&mut self, known: Known, name: &[u8], value: &[u8]) {
        let line = self.write_edit(known, name, false, value);
        self.push(line);
    }

    #[inline(always)]
    fn push(&mut self, line: Line) {
        let position = self.lines.len() as u16;
        self.names |= line.known.bit();
        if line.known != Known::Other {
            let first = &mut self.first[line.known as usize];
            if *first == NONE {
                *first = position;
            } else {
                self.repeated |= line.known.bit();
            }
        }
        self.lines.push(line);
    }

    /// Notes that the line of a known name at `position` is gone.
    fn forget(&mut self, known: Known, position: usize) {
        if known == Known::Other || self.first[known as usize] as usize != position {
            return;
        }
        let later = self.lines.iter().skip(position + 1);
        let next = later
            .take_while(|_| self.repeated & known.bit() != 0)
            .position(|line| line.known == known && line.place != Place::Removed);
        self.first[known as usize] = next.map_or(NONE, |offset| (position + 1 + offset) as u16);
    }

    /// The value of the first line of a known name, before the block is cut off its input.
    pub(crate) fn peek<'a>(&'a self, input: &'a [u8], known: Known) -> Option<&'a [u8]> {
        let line = self.lines.get(*self.first.get(known as usize)? as usize)?;
        let buffer = if line.place == Place::Received {
            input
        } else {
            &self.edits
        };
        buffer.get(line.value_start as usize..line.value_end as usize)
    }

    /// Checks a line and writes it into the edits.
    #[inline(always)]
    fn edit(
        &mut self,
        known: Known,
        name: &[u8],
        canonical: bool,
        value: &[u8],
    ) -> Result<Line, Error> {
        // A known name is a token.
        if known == Known::Other && (!is_token(name) || name.len() > u16::MAX as usize) {
            return Err(Error::InvalidName);
        }
        if !is_value(value) || value.len() > MAX_EDITS {
            return Err(Error::InvalidValue);
        }
        if self.edits.len() >= MAX_EDITS {
            return Err(Error::HeadTooLarge);
        }
        Ok(self.write_edit(known, name, canonical, value))
    }

    /// Writes a line into the edits; `canonical` tells that `name` is the usual way to write a known name.
    #[inline(always)]
    fn write_edit(&mut self, known: Known, name: &[u8], canonical: bool, value: &[u8]) -> Line {
        let start = self.edits.len();
        match known.line_start() {
            Some((prefix, len)) if canonical => {
                // Perf: a copy of fixed length needs no call (benches/heads.rs).
                self.edits.extend_from_slice(prefix);
                self.edits.truncate(start + len);
            }
            _ => {
                self.edits.extend_from_slice(name);
                self.edits.extend_from_slice(b": ");
            }
        }
        let value_start = self.edits.len();
        self.edits.extend_from_slice(value);
        let value_end = self.edits.len();
        self.edits.extend_from_slice(b"\r\n");
        Line {
            start: start as u32,
            end: self.edits.len() as u32,
            value_start: value_start as u32,
            value_end: value_end as u32,
            name_len: name.len() as u16,
            known,
            place: Place::Edited,
        }
    }
}

/// One header line as it will be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The number of the name.
    pub known: Known,
    /// The name in the case in which it came.
    pub name: &'a [u8],
    /// The value without blanks around it. It holds no control characters but tabs; it need not be UTF-8.
    pub value: &'a [u8],
}

/// The header lines of a head, with edits.
pub struct Headers {
    block: Bytes,
    index: Box<Index>,
}

impl Headers {
    /// Header lines to be filled with [`Headers::append`].
    pub fn new() -> Headers {
        Headers {
            block: Bytes::new(),
            index: Box::default(),
        }
    }

    pub(crate) fn from_parts(block: Bytes, index: Box<Index>) -> Headers {
        Headers { block, index }
    }

    pub(crate) fn into_index(self) -> Box<Index> {
        self.index
    }

    pub(crate) fn block(&self) -> &Bytes {
        &self.block
    }

    pub(crate) fn detach(&mut self) {
        self.block = Bytes::copy_from_slice(&self.block);
    }

    fn buffer(&self, place: Place) -> &[u8] {
        match place {
            Place::Received => &self.block,
            Place::Edited => &self.index.edits,
            Place::Removed => &[],
        }
    }

    fn name_of(&self, line: &Line) -> &[u8] {
        let start = line.start as usize;
        self.buffer(line.place)
            .get(start..start + line.name_len as usize)
            .unwrap_or_default()
    }

    fn value_of(&self, line: &Line) -> &[u8] {
        self.buffer(line.place)
            .get(line.value_start as usize..line.value_end as usize)
            .unwrap_or_default()
    }

    fn is_named(&self, line: &Line, known: Known, text: &[u8]) -> bool {
        line.place != Place::Removed
            && line.known == known
            && (known != Known::Other
                || line.name_len as usize == text.len()
                    && self.name_of(line).eq_ignore_ascii_case(text))
    }

    /// The positions of the lines with this name, in order.
    fn positions<'a>(&'a self, known: Known, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let start = match known {
            Known::Other => 0,
            known => self.index.first[known as usize] as usize,
        };
        let end = if known == Known::Other || self.index.repeated & known.bit() != 0 {
            self.index.lines.len()
        } else {
            self.index.lines.len().min(start + 1)
        };
        (start..end)
            .filter(move |&position| self.is_named(&self.index.lines[position], known, text))
    }

    /// The value of the first line with this name.
    pub fn get(&self, name: impl Name) -> Option<&[u8]> {
        let position = self.first(name.known(), name.text())?;
        Some(self.value_of(&self.index.lines[position]))
    }

    /// The value of the first line with this name, if it is UTF-8.
    pub fn get_str(&self, name: impl Name) -> Option<&str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The values of all lines with this name, in order.
    pub fn get_all<'a, N: Name + ?Sized>(&'a self, name: &'a N) -> impl Iterator<Item = &'a [u8]> {
        self.positions(name.known(), name.text())
            .map(|position| self.value_of(&self.index.lines[position]))
    }

    /// Whether there is a line with this name.
    pub fn contains(&self, name: impl Name) -> bool {
        self.first(name.known(), name.text()).is_some()
    }

    /// Whether there may be a line with one of these names, of which [`Known::Other`] stands for all without a number; if
    /// not, there is none.
    ///
    /// Perf: many names take one look, and none at the lines (bench case "GET, 1 KiB answer").
    #[inline(always)]
    pub fn may_contain(&self, names: &[Known]) -> bool {
        let wanted = names.iter().fold(0, |set, name| set | name.bit());
        self.index.names & wanted != 0
    }

    /// Refuses a second line of a header that a request may have once: `Authorization`, `Expect` and the conditions.
    pub fn check_single(&self) -> Result<(), Error> {
        self.index.check_single(self.block())
    }

    /// Whether there may be several lines with this name; if not, there are not.
    pub fn is_repeated(&self, known: Known) -> bool {
        known == Known::Other || self.index.repeated & known.bit() != 0
    }

    /// All lines in order, framing lines among them.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        let present = self
            .index
            .lines
            .iter()
            .filter(|line| line.place != Place::Removed);
        present.map(|line| Field {
            known: line.known,
            name: self.name_of(line),
            value: self.value_of(line),
        })
    }

    /// The number of lines.
    pub fn len(&self) -> usize {
        self.index
            .lines
            .iter()
            .filter(|line| line.place != Place::Removed)
            .count()
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a line at the end.
    ///
    /// Errors when the name is no token, when the value could end the line, or when there are 65 thousand lines.
    pub fn append(&mut self, name: impl Name, value: impl AsRef<[u8]>) -> Result<(), Error> {
        self.append_line(
            name.known(),
            name.text(),
            name.is_canonical(),
            value.as_ref(),
        )
    }

    fn append_line(
        &mut self,
        known: Known,
        text: &[u8],
        canonical: bool,
        value: &[u8],
    ) -> Result<(), Error> {
        if self.index.lines.len() >= MAX_LINES {
            return Err(Error::TooManyHeaders);
        }
        let line = self.index.edit(known, text, canonical, value)?;
        self.index.push(line);
        Ok(())
    }

    /// Replaces the first line with this name, where it stands, and removes the others; adds a line when there was none.
    ///
    /// Errors as [`Headers::append`].
    pub fn set(&mut self, name: impl Name, value: impl AsRef<[u8]>) -> Result<(), Error> {
        let (known, text, canonical) = (name.known(), name.text(), name.is_canonical());
        match self.first(known, text) {
            None => self.append_line(known, text, canonical, value.as_ref()),
            Some(first) => self.replace_line(first, known, text, canonical, value.as_ref()),
        }
    }

    fn replace_line(
        &mut self,
        first: usize,
        known: Known,
        text: &[u8],
        canonical: bool,
        value: &[u8],
    ) -> Result<(), Error> {
        let line = self.index.edit(known, text, canonical, value)?;
        if known == Known::Other || self.index.repeated & known.bit() != 0 {
            self.remove_from(first + 1, known, text);
        }
        self.index.lines[first] = line;
        Ok(())
    }

    /// The position of the first line with this name.
    fn first(&self, known: Known, text: &[u8]) -> Option<usize> {
        match known {
            Known::Other if self.index.names & known.bit() == 0 => None,
            Known::Other => self.positions(known, text).next(),
            known => match self.index.first[known as usize] {
                NONE => None,
                first => Some(first as usize),
            },
        }
    }

    /// Removes all lines with this name.
    pub fn remove(&mut self, name: impl Name) {
        let (known, text) = (name.known(), name.text());
        if let Some(first) = self.first(known, text) {
            self.remove_from(first, known, text);
        }
        if known != Known::Other {
            self.index.first[known as usize] = NONE;
            self.index.repeated &= !known.bit();
            self.index.names &= !known.bit();
        }
    }

    /// Removes the lines for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(Field<'_>) -> bool) {
        for position in 0..self.index.lines.len() {
            let line = self.index.lines[position];
            let field = Field {
                known: line.known,
                name: self.name_of(&line),
                value: self.value_of(&line),
            };
            if line.place == Place::Removed || keep(field) {
                continue;
            }
            self.index.lines[position].place = Place::Removed;
            self.index.forget(line.known, position);
        }
    }

    fn remove_from(&mut self, start: usize, known: Known, text: &[u8]) {
        for position in start..self.index.lines.len() {
            if self.is_named(&self.index.lines[position], known, text) {
                self.index.lines[position].place = Place::Removed;
            }
        }
    }

    /// Removes all lines whose known name is in `names`.
    pub(crate) fn remove_known(&mut self, names: u64) {
        let names = names & !Known::Other.bit();
        let mut found = names & self.index.names;
        if found == 0 {
            return;
        }
        for line in &mut self.index.lines {
            if names & line.known.bit() != 0 {
                line.place = Place::Removed;
            }
        }
        self.index.names &= !names;
        self.index.repeated &= !names;
        while found != 0 {
            self.index.first[found.trailing_zeros() as usize] = NONE;
            found &= found - 1;
        }
    }

    /// Adds lines that were checked and written before, each a known name, a colon with a blank, a value and a line end;
    /// `starts` has their names and where they begin.
    ///
    /// Errors when there is no room for them.
    pub(crate) fn append_written(
        &mut self,
        lines: &[u8],
        starts: &[(Known, u32)],
    ) -> Result<(), Error> {
        let index = &mut *self.index;
        let before = index.edits.len();
        if before.saturating_add(lines.len()) > MAX_EDITS {
            return Err(Error::HeadTooLarge);
        }
        if index.lines.len() + starts.len() > MAX_LINES {
            return Err(Error::TooManyHeaders);
        }
        index.edits.extend_from_slice(lines);
        let ends = starts.iter().skip(1).map(|(_, start)| *start);
        for (&(known, start), end) in starts.iter().zip(ends.chain([lines.len() as u32])) {
            let (start, end) = (before as u32 + start, before as u32 + end);
            let name_len = known.name().len() as u16;
            index.push(Line {
                start,
                end,
                value_start: start + u32::from(name_len) + 2,
                value_end: end - 2,
                name_len,
                known,
                place: Place::Edited,
            });
        }
        Ok(())
    }

    /// Writes all lines but those whose known name is in `skip`, one copy for each run of lines that lie together.
    pub(crate) fn write(&self, skip: u64, out: &mut BytesMut) {
        let mut run = (Place::Removed, 0, 0);
        for line in &self.index.lines {
            let skipped = line.known != Known::Other && skip & line.known.bit() != 0;
            if skipped || line.place == Place::Removed {
                continue;
            }
            if line.place == run.0 && line.start == run.2 {
                run.2 = line.end;
                continue;
            }
            self.write_run(run, out);
            run = (line.place, line.start, line.end);
        }
        self.write_run(run, out);
    }

    fn write_run(&self, (place, start, end): (Place, u32, u32), out: &mut BytesMut) {
        if let Some(bytes) = self.buffer(place).get(start as usize..end as usize) {
            out.extend_from_slice(bytes);
        }
    }

    /// An upper bound of what [`Headers::write`] writes.
    pub(crate) fn written_len(&self) -> usize {
        self.block.len() + self.index.edits.len()
    }
}

impl Default for Headers {
    fn default() -> Headers {
        Headers::new()
    }
}

impl std::fmt::Debug for Headers {
    /// Names alone: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(
                self.iter()
                    .map(|field| String::from_utf8_lossy(field.name).into_owned()),
            )
            .finish()
    }
}
