//! Writing bodies.

use bytes::BytesMut;

use crate::body::Framing;
use crate::error::Error;
use crate::headers::Headers;

/// Writes a body with the framing that its head announced.
#[derive(Debug)]
pub struct BodyEncoder {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    Chunked,
    UntilClose,
    Done,
}

/// What goes before and behind a piece of payload, for a vectored write that does not copy the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    before: [u8; 18],
    start: u8,
    after: &'static [u8],
}

impl Frame {
    const BARE: Frame = Frame {
        before: [0; 18],
        start: 18,
        after: b"",
    };

    fn chunk(len: usize) -> Frame {
        let mut before = [0; 18];
        before[16] = b'\r';
        before[17] = b'\n';
        let mut start = 16;
        let mut rest = len;
        loop {
            start -= 1;
            before[start] = b"0123456789abcdef"[rest % 16];
            rest /= 16;
            if rest == 0 {
                break;
            }
        }
        Frame {
            before,
            start: start as u8,
            after: b"\r\n",
        }
    }

    /// The bytes before the payload.
    pub fn before(&self) -> &[u8] {
        self.before.get(self.start as usize..).unwrap_or_default()
    }

    /// The bytes behind the payload.
    pub fn after(&self) -> &'static [u8] {
        self.after
    }
}

impl BodyEncoder {
    /// An encoder for a body of this framing.
    pub fn new(framing: Framing) -> BodyEncoder {
        let state = match framing {
            Framing::None => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Chunked,
            Framing::UntilClose => State::UntilClose,
        };
        BodyEncoder { state }
    }

    /// Announces the next `len` bytes of payload, at least one, and gives what has to be written around them.
    ///
    /// Errors when that would be more than the head announced, so that a message never runs into the next one.
    pub fn frame(&mut self, len: usize) -> Result<Frame, Error> {
        match &mut self.state {
            State::Length(left) => {
                *left = left.checked_sub(len as u64).ok_or(Error::LengthMismatch)?;
                Ok(Frame::BARE)
            }
            State::UntilClose => Ok(Frame::BARE),
            State::Chunked if len > 0 => Ok(Frame::chunk(len)),
            State::Chunked => Ok(Frame::BARE),
            State::Done if len == 0 => Ok(Frame::BARE),
            State::Done => Err(Error::LengthMismatch),
        }
    }

    /// Appends a piece of payload to `out`; a copying [`BodyEncoder::frame`].
    pub fn encode(&mut self, payload: &[u8], out: &mut BytesMut) -> Result<(), Error> {
        let frame = self.frame(payload.len())?;
        out.reserve(payload.len() + 20);
        out.extend_from_slice(frame.before());
        out.extend_from_slice(payload);
        out.extend_from_slice(frame.after());
        Ok(())
    }

    /// Ends the body: the last chunk and the trailers, of a chunked one; nothing else has room for trailers.
    ///
    /// Errors when the head announced more than was written: the connection has to be closed then.
    pub fn finish(&mut self, trailers: Option<&Headers>, out: &mut BytesMut) -> Result<(), Error> {
        let state = std::mem::replace(&mut self.state, State::Done);
        match state {
            State::Length(left) if left > 0 => return Err(Error::LengthMismatch),
            State::Chunked => {
                out.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    trailers.write(0, out);
                }
                out.extend_from_slice(b"\r\n");
            }
            State::Length(_) | State::UntilClose | State::Done => {}
        }
        Ok(())
    }
}
