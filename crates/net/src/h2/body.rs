//! Bodies in both directions.

use std::future::poll_fn;

use bytes::Bytes;
use http::HeaderMap;

use super::client::OpenStream;
use super::{Error, Reason};

/// An incoming body.
///
/// Flow control: the peer gets credit for a chunk when the one after it is asked for, so that a slow consumer slows the
/// sender and nothing piles up here.
pub struct RecvBody {
    stream: h2::RecvStream,
    uncredited: usize,
    /// Counts the stream on the side of a client.
    _open: Option<OpenStream>,
}

impl RecvBody {
    pub(super) fn new(stream: h2::RecvStream) -> Self {
        Self::counted(stream, None)
    }

    pub(super) fn counted(stream: h2::RecvStream, open: Option<OpenStream>) -> Self {
        Self {
            stream,
            uncredited: 0,
            _open: open,
        }
    }

    /// Whether the message is over: no more data and no trailers.
    pub fn is_end(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// The next chunk; `None` at the end. A body that does not have its declared length is an error. Cancel safe.
    pub async fn data(&mut self) -> Option<Result<Bytes, Error>> {
        self.credit();
        match poll_fn(|cx| self.stream.poll_data(cx)).await? {
            Ok(chunk) => {
                self.uncredited = chunk.len();
                Some(Ok(chunk))
            }
            Err(error) => Some(Err(error.into())),
        }
    }

    /// The trailers, after the last chunk. Cancel safe.
    pub async fn trailers(&mut self) -> Result<Option<HeaderMap>, Error> {
        self.credit();
        Ok(poll_fn(|cx| self.stream.poll_trailers(cx)).await?)
    }

    fn credit(&mut self) {
        let chunk = std::mem::take(&mut self.uncredited);
        if chunk > 0 && self.stream.flow_control().release_capacity(chunk).is_err() {
            tracing::debug!("a stream that has ended needs no credit");
        }
    }
}

/// An outgoing body. Dropped before its end, it resets the stream.
pub struct SendBody {
    stream: h2::SendStream<Bytes>,
}

impl SendBody {
    pub(super) fn new(stream: h2::SendStream<Bytes>) -> Self {
        Self { stream }
    }

    /// Sends a chunk as the peer's window allows, waiting for it; `end` marks the last one. Not cancel safe: a cancelled
    /// call may have sent a part, and the stream should be reset.
    pub async fn data(&mut self, mut chunk: Bytes, end: bool) -> Result<(), Error> {
        while !chunk.is_empty() {
            self.stream.reserve_capacity(chunk.len());
            let room = self.room().await?;
            let part = chunk.split_to(room.min(chunk.len()));
            let last = end && chunk.is_empty();
            self.stream.send_data(part, last)?;
            if last {
                return Ok(());
            }
        }
        if end {
            self.stream.send_data(Bytes::new(), true)?;
        }
        Ok(())
    }

    /// Waits until the window is open.
    async fn room(&mut self) -> Result<usize, Error> {
        loop {
            let room = self.stream.capacity();
            if room > 0 {
                return Ok(room);
            }
            match poll_fn(|cx| self.stream.poll_capacity(cx)).await {
                Some(granted) => granted?,
                None => return Err(self.reset_reason().await),
            };
        }
    }

    /// Why the stream does not take data any more.
    async fn reset_reason(&mut self) -> Error {
        match poll_fn(|cx| self.stream.poll_reset(cx)).await {
            Ok(reason) => h2::Error::from(reason).into(),
            Err(error) => error.into(),
        }
    }

    /// Sends trailers, which end the message.
    pub fn trailers(&mut self, trailers: HeaderMap) -> Result<(), Error> {
        Ok(self.stream.send_trailers(trailers)?)
    }

    /// Resets the stream.
    pub fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason.into());
    }

    /// Waits until the peer resets the stream or goes away. Cancel safe.
    pub async fn closed(&mut self) -> Error {
        self.reset_reason().await
    }
}
