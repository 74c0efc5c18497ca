//! The request body: read whole before the upstream is chosen, or handed through as it arrives.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http1::Framing;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::client::Client;
use crate::deadline::Slot;
use crate::error::Error;
use crate::held::Share;

/// A request body on its way to the upstream.
#[derive(Debug)]
pub(crate) enum RequestBody {
    /// No body follows; the framing says whether a length of zero is announced.
    Empty(Framing),
    /// All of it, in memory.
    Memory { pieces: Vec<Bytes>, length: u64 },
    /// All of it, in a file that has no name.
    File { file: Arc<File>, length: u64 },
    /// To be read from the client while it is sent, but for what has arrived.
    Streamed {
        arrived: Vec<Bytes>,
        framing: Framing,
    },
}

/// How a body is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    /// Read it whole first.
    pub buffered: bool,
    /// The most that is kept in memory.
    pub in_memory: usize,
    /// What it takes of the memory for bodies that plugins look at, if one does.
    pub share: Option<&'a Share>,
    /// Between two pieces.
    pub timeout: Duration,
    /// The deadline to use.
    pub slot: &'a Slot,
}

impl RequestBody {
    /// Reads the body of a request as `how` says.
    pub async fn read(
        client: &mut Client<'_>,
        framing: Framing,
        how: &Reading<'_>,
    ) -> Result<Self, Error> {
        if matches!(framing, Framing::None | Framing::Length(0)) {
            return Ok(Self::Empty(framing));
        }
        let mut gathered = Gathered::default();
        while let Some(piece) = client.arrived_body()? {
            match piece {
                Some(piece) => gathered.add(piece),
                None => return Ok(Self::in_memory(gathered.finish())),
            }
        }
        Box::pin(client.send_continue()).await?;
        if !how.buffered {
            return Ok(Self::Streamed {
                arrived: gathered.finish(),
                framing,
            });
        }
        while let Some(piece) = client.next_body(how.slot, how.timeout).await? {
            gathered.add(piece);
            if gathered.length > how.in_memory as u64 {
                return Box::pin(spill(client, gathered, how)).await;
            }
            if let Some(share) = how.share {
                share.cover(gathered.length)?;
            }
        }
        Ok(Self::in_memory(gathered.finish()))
    }

    fn in_memory(pieces: Vec<Bytes>) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self::Memory { pieces, length }
    }

    /// All of the body, put together to one piece; `None` if there is none, or if it was too long to be held in memory.
    pub fn held(&mut self) -> Option<Bytes> {
        match self {
            Self::Memory { pieces, .. } => {
                if pieces.len() != 1 {
                    *pieces = vec![pieces.concat().into()];
                }
                pieces.first().cloned()
            }
            Self::Empty(_) | Self::File { .. } | Self::Streamed { .. } => None,
        }
    }

    /// How long the body is, as far as it was read.
    pub fn length(&self) -> u64 {
        match self {
            Self::Empty(_) => 0,
            Self::Memory { length, .. } | Self::File { length, .. } => *length,
            Self::Streamed { arrived, .. } => arrived.iter().map(|piece| piece.len() as u64).sum(),
        }
    }

    /// A body that somebody made.
    pub fn made(body: Bytes) -> Self {
        let length = body.len() as u64;
        Self::Memory {
            pieces: vec![body],
            length,
        }
    }

    /// How the upstream is told where the body ends.
    pub fn framing(&self) -> Framing {
        match self {
            Self::Empty(framing) | Self::Streamed { framing, .. } => *framing,
            Self::Memory { length, .. } | Self::File { length, .. } => Framing::Length(*length),
        }
    }
}

/// Pieces of a body; small ones are put together, so that a client cannot make us keep a thousand tiny ones.
#[derive(Debug, Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    tail: BytesMut,
    length: u64,
}

impl Gathered {
    const SMALL: usize = 2 << 10;

    fn add(&mut self, piece: Bytes) {
        self.length += piece.len() as u64;
        if piece.len() < Self::SMALL && !(self.pieces.is_empty() && self.tail.is_empty()) {
            return self.tail.extend_from_slice(&piece);
        }
        self.close();
        self.pieces.push(piece);
    }

    fn close(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push(self.tail.split().freeze());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.pieces
    }
}

/// Moves a body that has become too long for memory to a temporary file, and reads the rest of it into the file.
async fn spill(
    client: &mut Client<'_>,
    gathered: Gathered,
    how: &Reading<'_>,
) -> Result<RequestBody, Error> {
    let mut length = gathered.length;
    let mut batch = gathered.finish();
    let mut file = tempfile::tempfile().map_err(Error::Spill)?;
    loop {
        file = append(file, batch).await.map_err(Error::Spill)?;
        let mut next = Gathered::default();
        while next.length < http1::BODY_BUFFER as u64 {
            match client.next_body(how.slot, how.timeout).await? {
                Some(piece) => next.add(piece),
                None => {
                    length += next.length;
                    let file = append(file, next.finish()).await.map_err(Error::Spill)?;
                    return Ok(RequestBody::File {
                        file: Arc::new(file),
                        length,
                    });
                }
            }
        }
        length += next.length;
        batch = next.finish();
    }
}

/// Writes off the worker: a disk may be slow.
async fn append(mut file: File, batch: Vec<Bytes>) -> io::Result<File> {
    let written = spawn_blocking(move || {
        for piece in batch {
            file.write_all(&piece)?;
        }
        Ok(file)
    });
    written.await.map_err(io::Error::other)?
}

/// Reads a spilled body again, piece by piece.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: Arc<File>,
    at: u64,
    length: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileReader {
    /// Reads from the start.
    pub fn new(file: Arc<File>, length: u64) -> Self {
        Self {
            file,
            at: 0,
            length,
            reading: None,
        }
    }

    /// The next piece; `None` at the end.
    pub fn poll_piece(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<Option<Bytes>>> {
        use std::task::Poll;
        if self.at == self.length {
            return Poll::Ready(Ok(None));
        }
        let (file, at) = (self.file.clone(), self.at);
        let want = usize::try_from(self.length - self.at)
            .unwrap_or(usize::MAX)
            .min(4 * http1::BODY_BUFFER);
        let reading = self.reading.get_or_insert_with(|| {
            spawn_blocking(move || {
                let mut piece = vec![0; want];
                file.read_exact_at(&mut piece, at)?;
                Ok(Bytes::from(piece))
            })
        });
        let read = std::task::ready!(std::pin::Pin::new(reading).poll(cx));
        self.reading = None;
        Poll::Ready(
            read.map_err(io::Error::other)
                .and_then(|piece| piece)
                .map(|piece| {
                    self.at += piece.len() as u64;
                    Some(piece)
                }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_pieces_are_put_together_in_order() {
        let mut gathered = Gathered::default();
        for piece in ["a", "b", "c"] {
            gathered.add(Bytes::from(piece));
        }
        gathered.add(Bytes::from(vec![b'x'; Gathered::SMALL]));
        gathered.add(Bytes::from("d"));
        assert_eq!(gathered.length, 4 + Gathered::SMALL as u64);
        let pieces = gathered.finish();
        assert_eq!(
            pieces.iter().map(Bytes::len).collect::<Vec<_>>(),
            [1, 2, Gathered::SMALL, 1]
        );
        assert_eq!(
            (&pieces[0][..], &pieces[1][..], &pieces[3][..]),
            (&b"a"[..], &b"bc"[..], &b"d"[..])
        );
    }
}
