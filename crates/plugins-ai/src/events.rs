//! Takes streamed answers of providers apart, however they come: as server-sent events, as JSON line by line, as one JSON
//! array, or as messages of Amazon's event stream.

use bytes::{Buf as _, Bytes, BytesMut};

/// The data of the event behind which nothing comes.
pub const DONE: &str = "[DONE]";

/// The longest event that is held.
const MOST: usize = 1 << 20;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    pub name: Option<String>,
    pub data: String,
}

impl Event {
    fn unnamed(data: impl Into<String>) -> Self {
        let data = data.into();
        Self { name: None, data }
    }
}

/// A stream cannot be taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("an event is too long")]
    TooLong,
    #[error("a message of the event stream is damaged")]
    Damaged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The first byte will tell.
    Unknown,
    ServerSent,
    Lines,
    Array,
    Amazon,
}

/// The events of a stream, as its pieces come.
#[derive(Debug)]
pub struct Events {
    form: Form,
    pending: BytesMut,
    /// How much of `pending` was looked at in vain.
    searched: usize,
    /// The event whose lines are coming.
    current: Option<Event>,
    nesting: Nesting,
}

/// Where in a JSON array a reader is.
#[derive(Debug, Default)]
struct Nesting {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Events {
    /// Of an answer of this content type; `None` if such an answer is no stream.
    pub fn of(content_type: Option<&[u8]>) -> Option<Self> {
        let kind = content_type.map(|kind| {
            let end = kind.iter().position(|byte| *byte == b';');
            kind[..end.unwrap_or(kind.len())].trim_ascii()
        });
        let form = match kind.map(<[u8]>::to_ascii_lowercase).as_deref() {
            None
            | Some(
                b"text/event-stream"
                | b"application/json"
                | b"application/stream+json"
                | b"application/x-ndjson",
            ) => Form::Unknown,
            Some(b"application/vnd.amazon.eventstream") => Form::Amazon,
            Some(_) => return None,
        };
        Some(Self {
            form,
            pending: BytesMut::new(),
            searched: 0,
            current: None,
            nesting: Nesting::default(),
        })
    }

    /// The events that are whole with this piece.
    ///
    /// # Errors
    /// When an event is too long to be held, or a message is damaged. Nothing can be read after that.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, Error> {
        self.pending.extend_from_slice(piece);
        if self.form == Form::Unknown {
            let first = self.pending.iter().find(|byte| !byte.is_ascii_whitespace());
            self.form = match first {
                None => return self.bounded(Vec::new()),
                Some(b'{') => Form::Lines,
                Some(b'[') => Form::Array,
                Some(_) => Form::ServerSent,
            };
        }
        let mut events = Vec::new();
        match self.form {
            Form::Array => self.elements(&mut events),
            Form::Amazon => self.messages(&mut events)?,
            Form::Lines | Form::ServerSent | Form::Unknown => {
                while let Some(line) = self.line() {
                    self.take_line(&line, &mut events);
                }
            }
        }
        self.bounded(events)
    }

    /// What is left at the end of the stream.
    pub fn finish(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        if matches!(self.form, Form::Lines | Form::ServerSent) {
            let rest = self.pending.split().freeze();
            self.take_line(&rest, &mut events);
        }
        events.extend(self.current.take().filter(|event| !event.data.is_empty()));
        events
    }

    fn bounded(&self, events: Vec<Event>) -> Result<Vec<Event>, Error> {
        let current = self.current.as_ref().map_or(0, |event| event.data.len());
        match self.pending.len() + current > MOST {
            true => Err(Error::TooLong),
            false => Ok(events),
        }
    }

    /// The next whole line, without its end.
    fn line(&mut self) -> Option<Bytes> {
        let new = self.pending.get(self.searched..)?;
        let Some(at) = new.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.pending.len();
            return None;
        };
        let line = self.pending.split_to(self.searched + at).freeze();
        self.pending.advance(1);
        self.searched = 0;
        Some(line)
    }

    fn take_line(&mut self, line: &[u8], events: &mut Vec<Event>) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = String::from_utf8_lossy(line);
        if self.form == Form::Lines {
            if !line.trim().is_empty() {
                events.push(Event::unnamed(line.trim()));
            }
            return;
        }
        if line.is_empty() {
            events.extend(self.current.take().filter(|event| !event.data.is_empty()));
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.trim_start();
        let event = self.current.get_or_insert_default();
        match field {
            "event" => event.name = Some(value.to_owned()),
            "data" => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            // Comments, ids and times to wait concern nobody here.
            _ => {}
        }
    }

    /// The whole elements of an array, and its end.
    fn elements(&mut self, events: &mut Vec<Event>) {
        while let Some(byte) = self.pending.get(self.searched).copied() {
            let nesting = &mut self.nesting;
            let at = self.searched;
            self.searched += 1;
            if nesting.in_text {
                match byte {
                    _ if nesting.escaped => nesting.escaped = false,
                    b'\\' => nesting.escaped = true,
                    b'"' => nesting.in_text = false,
                    _ => {}
                }
                continue;
            }
            let ends = match byte {
                b'"' => {
                    nesting.in_text = true;
                    false
                }
                b'[' | b'{' => {
                    nesting.depth += 1;
                    // The bracket of the array itself belongs to no element.
                    nesting.depth == 1
                }
                b']' | b'}' => {
                    nesting.depth = nesting.depth.saturating_sub(1);
                    nesting.depth == 0
                }
                b',' => nesting.depth == 1,
                _ => false,
            };
            if !ends {
                continue;
            }
            let element = self.pending.split_to(at);
            self.pending.advance(1);
            self.searched = 0;
            let element = String::from_utf8_lossy(&element);
            if !element.trim().is_empty() {
                events.push(Event::unnamed(element.trim()));
            }
            if byte == b']' {
                events.push(Event::unnamed(DONE));
            }
        }
    }

    /// The whole messages of Amazon's event stream: two lengths and a checksum of them, headers, the payload, a checksum
    /// of all.
    fn messages(&mut self, events: &mut Vec<Event>) -> Result<(), Error> {
        const PRELUDE: usize = 12;
        const CHECKSUM: usize = 4;
        while self.pending.len() >= PRELUDE {
            let number = |at: usize| (&self.pending[at..at + 4]).get_u32();
            let (length, headers) = (number(0) as usize, number(4) as usize);
            if length > MOST {
                return Err(Error::TooLong);
            }
            if length < PRELUDE + headers + CHECKSUM {
                return Err(Error::Damaged);
            }
            if self.pending.len() < length {
                return Ok(());
            }
            let message = self.pending.split_to(length);
            let (content, mut checksum) = message.split_at(length - CHECKSUM);
            let mut crc = flate2::Crc::new();
            crc.update(content);
            if crc.sum() != checksum.get_u32() {
                return Err(Error::Damaged);
            }
            let (headers, payload) = content[PRELUDE..].split_at(headers);
            events.push(Event {
                name: event_type(headers),
                data: String::from_utf8_lossy(payload).into_owned(),
            });
        }
        Ok(())
    }
}

/// The value of the header `:event-type`.
fn event_type(mut headers: &[u8]) -> Option<String> {
    while !headers.is_empty() {
        let length = usize::from(headers.try_get_u8().ok()?);
        let (name, rest) = headers.split_at_checked(length)?;
        headers = rest;
        let length = match headers.try_get_u8().ok()? {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | 7 => usize::from(headers.try_get_u16().ok()?),
            9 => 16,
            _ => return None,
        };
        let (value, rest) = headers.split_at_checked(length)?;
        headers = rest;
        if name == b":event-type" {
            return Some(String::from_utf8_lossy(value).into_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests;
