//! Where a body ends: framing, and the decoder that follows it.

use bytes::{Buf, BytesMut};

use crate::chunked::{Chunked, Step};
use crate::error::Error;
use crate::headers::Headers;
use crate::lines::Limits;

/// How a body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// This many bytes, possibly none.
    Length(u64),
    /// Chunks, and perhaps trailers.
    Chunked,
    /// Everything until the connection ends; responses only.
    UntilClose,
}

/// What the next bytes of the input are. The caller throws `skip` bytes of the input away first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decoded {
    /// After `skip` bytes of framing come `len` bytes of payload. The decoder takes it that the caller consumes both.
    Data {
        /// Bytes of framing.
        skip: usize,
        /// Bytes of payload behind them, at least one.
        len: usize,
    },
    /// There is nothing more to be had of this input.
    More {
        /// Bytes of framing.
        skip: usize,
    },
    /// The body is complete. What lies behind `skip` belongs to the next message.
    End {
        /// Bytes of framing.
        skip: usize,
    },
}

/// Follows the framing of a body and says which bytes of the input are payload, without copying them.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    received: u64,
    limit: u64,
}

#[derive(Debug)]
enum State {
    Done,
    Length(u64),
    /// Boxed, because a decoder lives as long as its connection and most have no chunks.
    Chunked(Box<Chunked>),
    UntilClose,
}

impl BodyDecoder {
    /// A decoder for a body of this framing.
    pub fn new(framing: Framing, limits: &Limits) -> BodyDecoder {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked(Box::new(Chunked::new(limits))),
            Framing::UntilClose => State::UntilClose,
        };
        BodyDecoder {
            state,
            received: 0,
            limit: u64::MAX,
        }
    }

    /// Makes a body of more than `limit` bytes of payload an error.
    pub fn with_limit(mut self, limit: u64) -> BodyDecoder {
        self.limit = limit;
        self
    }

    /// Looks at the input, which starts where the last call left off.
    pub fn decode(&mut self, input: &[u8]) -> Result<Decoded, Error> {
        let decoded = match &mut self.state {
            State::Done => Decoded::End { skip: 0 },
            State::Length(left) => {
                let len = (*left).min(input.len() as u64) as usize;
                *left -= len as u64;
                if *left == 0 {
                    self.state = State::Done;
                }
                if len == 0 {
                    Decoded::More { skip: 0 }
                } else {
                    Decoded::Data { skip: 0, len }
                }
            }
            State::UntilClose if input.is_empty() => Decoded::More { skip: 0 },
            State::UntilClose => Decoded::Data {
                skip: 0,
                len: input.len(),
            },
            State::Chunked(chunked) => match chunked.step(input)? {
                (skip, Step::Data(len)) => Decoded::Data { skip, len },
                (skip, Step::More) => Decoded::More { skip },
                (skip, Step::End) => Decoded::End { skip },
            },
        };
        if let Decoded::Data { len, .. } = decoded {
            self.received += len as u64;
            if self.received > self.limit {
                return Err(Error::BodyTooLarge);
            }
        }
        Ok(decoded)
    }

    /// Takes note of `len` bytes of payload that the caller had in another way than from the input: a part of what
    /// [`BodyDecoder::remaining`] says, which must not be zero or unknown.
    pub fn pass(&mut self, len: u64) -> Result<(), Error> {
        let State::Length(left) = &mut self.state else {
            return Err(Error::LengthMismatch);
        };
        *left = left.checked_sub(len).ok_or(Error::LengthMismatch)?;
        if *left == 0 {
            self.state = State::Done;
        }
        self.received += len;
        if self.received > self.limit {
            return Err(Error::BodyTooLarge);
        }
        Ok(())
    }

    /// Moves all payload of `input` to the end of `out`; tells whether the body is complete.
    ///
    /// What belongs to the next message stays in `input`.
    pub fn decode_into(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Error> {
        let mut at = 0;
        let complete = loop {
            match self.decode(&input[at..])? {
                Decoded::Data { skip, len } => {
                    let start = at + skip;
                    at = start + len;
                    out.extend_from_slice(&input[start..at]);
                }
                Decoded::More { skip } => {
                    at += skip;
                    break false;
                }
                Decoded::End { skip } => {
                    at += skip;
                    break true;
                }
            }
        };
        input.advance(at);
        Ok(complete)
    }

    /// Whether the body is complete.
    pub fn is_done(&self) -> bool {
        match &self.state {
            State::Done => true,
            State::Chunked(chunked) => chunked.is_done(),
            State::Length(_) | State::UntilClose => false,
        }
    }

    /// To be called when the connection ended: an error unless the body is complete or ends with the connection.
    pub fn finish(&mut self) -> Result<(), Error> {
        if matches!(self.state, State::UntilClose) {
            self.state = State::Done;
        }
        if self.is_done() {
            Ok(())
        } else {
            Err(Error::Truncated)
        }
    }

    /// The bytes of payload so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The bytes of payload that are still to come, if that is known.
    pub fn remaining(&self) -> Option<u64> {
        match &self.state {
            State::Done => Some(0),
            State::Length(left) => Some(*left),
            State::Chunked(chunked) if chunked.is_done() => Some(0),
            State::Chunked(_) | State::UntilClose => None,
        }
    }

    /// The trailers of a complete chunked body, if it had any; those that could change what the head said are left out.
    pub fn take_trailers(&mut self) -> Option<Headers> {
        match &mut self.state {
            State::Chunked(chunked) => chunked.take_trailers(),
            _ => None,
        }
    }
}
