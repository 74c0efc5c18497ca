//! Runs bytes through the engine as a proxy would, without a network.
//!
//! The fuzz targets include this file as well.

use bytes::{Buf, BytesMut};
use http1::{
    BodyEncoder, BufferPool, Connection, Decoded, Error, Framing, Known, Limits, Method,
    RequestParser, ResponseParser,
};

/// What an upstream receives for all requests in `bytes`, which arrive in pieces of `piece` bytes; bodies keep their framing.
pub fn forward_requests(bytes: &[u8], piece: usize) -> (Vec<u8>, Result<(), Error>) {
    let mut out = BytesMut::new();
    let result = try_forward_requests(bytes, piece, &mut out);
    (out.to_vec(), result)
}

fn try_forward_requests(bytes: &[u8], piece: usize, out: &mut BytesMut) -> Result<(), Error> {
    let limits = Limits::default();
    let pool = BufferPool::default();
    let mut pieces = bytes.chunks(piece.max(1));
    let mut input = pool.take_head();
    let mut parser = RequestParser::new(limits);
    loop {
        let mut head = loop {
            if let Some(head) = parser.parse(&mut input, &pool)? {
                break head;
            }
            match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None if parser.is_idle(&input) => return Ok(()),
                None => return Err(Error::Truncated),
            }
        };
        head.strip_hop_by_hop()?;
        if head.host().is_none() {
            head.headers.set(Known::Host, "service.test")?;
        }
        let target = [
            head.path(),
            head.query().map(|_| &b"?"[..]).unwrap_or_default(),
            head.query().unwrap_or_default(),
        ]
        .concat();
        let mut written = BytesMut::new();
        head.write(&target, head.framing(), Connection::Unsaid, &mut written)?;
        let mut body = head.body(&limits);
        let mut encoder = BodyEncoder::new(head.framing());
        let mut payload = BytesMut::new();
        while !body.decode_into(&mut input, &mut payload)? {
            match pieces.next() {
                Some(piece) => input.extend_from_slice(piece),
                None => return body.finish(),
            }
        }
        if !payload.is_empty() {
            encoder.encode(&payload, &mut written)?;
        }
        encoder.finish(body.take_trailers().as_ref(), &mut written)?;
        out.extend_from_slice(&written);
        if !head.keep_alive() {
            return Ok(());
        }
        head.recycle(&pool);
    }
}

/// What a client receives for the responses in `bytes`, which arrive in pieces, after a request with `method`.
pub fn forward_response(bytes: &[u8], method: &Method, piece: usize) -> Result<Vec<u8>, Error> {
    let limits = Limits::for_upstream();
    let pool = BufferPool::default();
    let mut out = BytesMut::new();
    let mut pieces = bytes.chunks(piece.max(1));
    let mut input = pool.take_body();
    let mut parser = ResponseParser::new(limits);
    let mut head = loop {
        match parser.parse(&mut input, &pool)? {
            Some(head) if head.is_interim() => {
                head.write(Framing::None, Connection::Unsaid, &mut out)?
            }
            Some(head) => break head,
            None => input.extend_from_slice(pieces.next().ok_or(Error::Truncated)?),
        }
    };
    head.strip_hop_by_hop();
    let framing = match head.framing(method) {
        Framing::None => head.announced(method),
        framing => framing,
    };
    head.write(framing, Connection::Unsaid, &mut out)?;
    let mut body = head.body(method, &limits);
    let mut encoder = BodyEncoder::new(head.framing(method));
    let mut payload = BytesMut::new();
    loop {
        match body.decode(&input)? {
            Decoded::Data { skip, len } => {
                input.advance(skip);
                payload.extend_from_slice(&input[..len]);
                input.advance(len);
            }
            Decoded::More { skip } => {
                input.advance(skip);
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => {
                        body.finish()?;
                        break;
                    }
                }
            }
            Decoded::End { skip } => {
                input.advance(skip);
                break;
            }
        }
    }
    encoder.encode(&payload, &mut out)?;
    encoder.finish(body.take_trailers().as_ref(), &mut out)?;
    Ok(out.to_vec())
}
