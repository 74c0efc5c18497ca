//! Sending a request to an HTTP/1 upstream, as a state machine that makes progress whenever it is polled.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http1::BodyEncoder;
use net::Stream;

use crate::client::Client;
use crate::error::Error;
use crate::request_body::{FileReader, RequestBody};
use crate::wire::Outgoing;

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Upload {
    out: Outgoing,
    source: Source,
    consumed: bool,
}

#[derive(Debug)]
enum Source {
    /// Everything is in the queue.
    Empty,
    File(FileReader),
    Client(BodyEncoder),
}

/// Whom a stalled upload waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    Client,
    Upstream,
}

impl Upload {
    /// A head and the body that follows it; `copied` says that the head has a body in memory behind it already.
    pub fn new(head: BytesMut, body: &RequestBody, copied: bool) -> Result<Self, Error> {
        let mut out = Outgoing::default();
        out.begin(head);
        let source = match body {
            RequestBody::Empty(_) => Source::Empty,
            RequestBody::Memory { .. } if copied => Source::Empty,
            RequestBody::Memory { pieces, .. } => {
                for piece in pieces {
                    out.push(piece.clone());
                }
                Source::Empty
            }
            RequestBody::File { file, length } => {
                Source::File(FileReader::new(file.clone(), *length))
            }
            RequestBody::Streamed { arrived, framing } => {
                let mut encoder = BodyEncoder::new(*framing);
                for piece in arrived {
                    queue(&mut encoder, piece.clone(), &mut out)?;
                }
                Source::Client(encoder)
            }
        };
        Ok(Self {
            out,
            source,
            consumed: false,
        })
    }

    /// The buffer of the head again, once everything is written.
    pub fn take_buffer(&mut self) -> BytesMut {
        self.out.take_buffer()
    }

    /// Whether more of the body was taken from the client, so that the request cannot be sent again.
    pub fn consumed(&self) -> bool {
        self.consumed
    }

    /// Whether the upstream can have seen anything of the request.
    pub fn nothing_was_sent(&self) -> bool {
        self.out.written == 0
    }

    /// How far it has come; it changes whenever something was written, or whom the upload waits for.
    pub fn position(&self) -> (u64, WaitsFor) {
        (self.out.written, self.waits_for())
    }

    /// Whom the upload waits for while it is pending.
    pub fn waits_for(&self) -> WaitsFor {
        if self.out.is_empty() && matches!(self.source, Source::Client(_)) {
            WaitsFor::Client
        } else {
            WaitsFor::Upstream
        }
    }

    /// Writes what the upstream takes; ready when all is written.
    pub fn poll(
        &mut self,
        stream: &mut Stream,
        client: &mut Client<'_>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            ready!(self.out.poll_write(stream, cx)).map_err(Error::UpstreamClosed)?;
            match &mut self.source {
                Source::Empty => return Poll::Ready(Ok(())),
                Source::File(reader) => {
                    match ready!(reader.poll_piece(cx)).map_err(Error::Spill)? {
                        Some(piece) => self.out.push(piece),
                        None => self.source = Source::Empty,
                    }
                }
                Source::Client(encoder) => {
                    let piece = ready!(client.poll_body(cx))?;
                    self.consumed = true;
                    match piece {
                        Some(piece) => queue(encoder, piece, &mut self.out)?,
                        None => {
                            let mut end = BytesMut::new();
                            encoder
                                .finish(client.take_trailers().as_ref(), &mut end)
                                .map_err(Error::Request)?;
                            self.out.push(end.freeze());
                            self.source = Source::Empty;
                        }
                    }
                }
            }
        }
    }
}

/// Queues a piece of the client's body in the framing for the upstream.
fn queue(encoder: &mut BodyEncoder, piece: Bytes, out: &mut Outgoing) -> Result<(), Error> {
    let frame = encoder.frame(piece.len()).map_err(Error::Request)?;
    out.push(Bytes::copy_from_slice(frame.before()));
    out.push(piece);
    out.push(Bytes::from_static(frame.after()));
    Ok(())
}

/// What the system says when the other end closed a connection in the middle.
pub(crate) fn closed() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
