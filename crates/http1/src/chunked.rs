//! The chunked transfer coding, read byte by byte but for the payload (RFC 9112 section 7.1).

use bytes::Bytes;

use crate::connection::PROTECTED;
use crate::error::Error;
use crate::headers::{Headers, Index};
use crate::known::Known;
use crate::lines::{Cursor, Limits};
use crate::token::TOKEN;

/// The fields that are not taken from a trailer section, because they frame, route or authenticate the message.
const NOT_IN_TRAILERS: u64 = PROTECTED
    | Known::Authorization.bit()
    | Known::ContentEncoding.bit()
    | Known::ContentType.bit()
    | Known::Cookie.bit()
    | Known::Expect.bit()
    | Known::SetCookie.bit();

/// The state of a chunked body.
#[derive(Debug)]
pub(crate) struct Chunked {
    state: State,
    /// The bytes that extensions may still have.
    extensions_left: usize,
    trailer_limit: usize,
    header_limit: usize,
    /// The lines of the trailer section that have been read.
    trailer: Vec<u8>,
    trailers: Option<Box<Headers>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the size; nothing is known of it before its first digit.
    Size {
        digits: u8,
        size: u64,
    },
    /// Blanks after the size.
    Blank {
        size: u64,
    },
    /// In an extension.
    Extension {
        size: u64,
    },
    /// Before the line feed after a size.
    SizeEnd {
        size: u64,
    },
    /// In the payload of a chunk.
    Data {
        left: u64,
    },
    /// Before the carriage return after the payload.
    DataReturn,
    /// Before the line feed after the payload.
    DataFeed,
    /// In a line of the trailer section of which this many bytes have been read.
    Trailer {
        line: usize,
        returned: bool,
    },
    Done,
}

/// What follows the framing that was skipped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Data(usize),
    More,
    End,
}

impl Chunked {
    pub fn new(limits: &Limits) -> Chunked {
        Chunked {
            state: State::Size { digits: 0, size: 0 },
            extensions_left: limits.chunk_extensions,
            trailer_limit: limits.trailer,
            header_limit: limits.headers,
            trailer: Vec::new(),
            trailers: None,
        }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Skips framing up to the next payload, the end of the input or the end of the body.
    pub fn step(&mut self, input: &[u8]) -> Result<(usize, Step), Error> {
        let mut at = 0;
        loop {
            if self.state == State::Done {
                return Ok((at, Step::End));
            }
            let Some(&byte) = input.get(at) else {
                return Ok((at, Step::More));
            };
            if let State::Data { left } = &mut self.state {
                let len = (*left).min((input.len() - at) as u64);
                *left -= len;
                if *left == 0 {
                    self.state = State::DataReturn;
                }
                return Ok((at, Step::Data(len as usize)));
            }
            self.state = self.next(byte)?;
            at += 1;
        }
    }

    fn next(&mut self, byte: u8) -> Result<State, Error> {
        let state = match (self.state, byte) {
            (State::Size { digits: 0, .. }, b'\r') => return Err(Error::Chunk),
            (State::Size { size, .. }, b'\r') => State::SizeEnd { size },
            (State::Size { digits, size }, b' ' | b'\t' | b';') if digits > 0 => {
                self.extension(size, byte)?
            }
            (State::Size { digits, size }, _) => {
                let digit = char::from(byte).to_digit(16).ok_or(Error::Chunk)?;
                if digits == 16 || size >> 59 != 0 {
                    return Err(Error::Chunk);
                }
                State::Size {
                    digits: digits + 1,
                    size: size << 4 | u64::from(digit),
                }
            }
            (State::Blank { size } | State::Extension { size }, b'\r') => State::SizeEnd { size },
            (State::Blank { size }, b' ' | b'\t' | b';') => self.extension(size, byte)?,
            (State::Blank { .. }, _) => return Err(Error::Chunk),
            (State::Extension { .. }, byte) if byte == 0x7f || byte < b' ' && byte != b'\t' => {
                return Err(Error::Chunk);
            }
            (State::Extension { size }, _) => self.extension(size, b';')?,
            (State::SizeEnd { size: 0 }, b'\n') => State::Trailer {
                line: 0,
                returned: false,
            },
            (State::SizeEnd { size }, b'\n') => State::Data { left: size },
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => State::Size { digits: 0, size: 0 },
            (State::Trailer { line, returned }, byte) => self.trailer_byte(line, returned, byte)?,
            _ => return Err(Error::Chunk),
        };
        Ok(state)
    }

    /// Counts a byte that is no part of the size; `byte` tells whether an extension has begun.
    fn extension(&mut self, size: u64, byte: u8) -> Result<State, Error> {
        self.extensions_left = self.extensions_left.checked_sub(1).ok_or(Error::Chunk)?;
        Ok(if byte == b';' {
            State::Extension { size }
        } else {
            State::Blank { size }
        })
    }

    fn trailer_byte(&mut self, line: usize, returned: bool, byte: u8) -> Result<State, Error> {
        match (line, returned, byte) {
            (_, false, b'\r') => Ok(State::Trailer {
                line,
                returned: true,
            }),
            (0, true, b'\n') => {
                self.parse_trailer()?;
                Ok(State::Done)
            }
            (_, true, b'\n') => {
                self.trailer.extend_from_slice(b"\r\n");
                Ok(State::Trailer {
                    line: 0,
                    returned: false,
                })
            }
            (_, true, _) | (_, _, b'\n') => Err(Error::Trailer),
            _ => {
                if self.trailer.len() >= self.trailer_limit {
                    return Err(Error::Trailer);
                }
                self.trailer.push(byte);
                Ok(State::Trailer {
                    line: line + 1,
                    returned,
                })
            }
        }
    }

    fn parse_trailer(&mut self) -> Result<(), Error> {
        if self.trailer.is_empty() {
            return Ok(());
        }
        self.trailer.extend_from_slice(b"\r\n");
        let block = Bytes::from(std::mem::take(&mut self.trailer));
        let limits = Limits {
            line: usize::MAX,
            head: usize::MAX,
            headers: self.header_limit,
            ..Limits::default()
        };
        let mut cursor = Cursor::default();
        let mut index = Box::new(Index::default());
        match cursor.read_headers(&block, &TOKEN, &limits, &mut index, |_, _, _| Ok(())) {
            Ok(true) => {}
            Ok(false) | Err(_) => return Err(Error::Trailer),
        }
        let mut trailers = Headers::from_parts(block, index);
        trailers.retain(|field| {
            field.known == Known::Other || NOT_IN_TRAILERS & field.known.bit() == 0
        });
        if !trailers.is_empty() {
            self.trailers = Some(Box::new(trailers));
        }
        Ok(())
    }

    /// The trailer fields, once, and only if there are any.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        self.trailers.take().map(|trailers| *trailers)
    }
}
