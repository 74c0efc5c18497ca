//! HTTP/1.1 on the wire, as state machines without IO: heads, framing and bodies.
//!
//! This crate does no IO, reads no clock and knows no runtime. Bytes that arrived go in, and what they mean comes out;
//! what is to be said goes in, and bytes to be written come out. Nothing is ever forwarded that two readers could take
//! apart differently: such a message is an [`Error`], which closes the connection.
//!
//! - A head is one received block, an index of its lines, and edits beside it ([`Headers`]). Lines that nobody edits keep
//!   their order, case and duplicates, and are copied in runs. Well-known names ([`Known`]) are recognised once, while the
//!   head is parsed.
//! - Framing headers (`Content-Length`, `Transfer-Encoding`, `Connection`, `Keep-Alive`, `Proxy-Connection`, `Upgrade`) are
//!   read and never forwarded: [`RequestHead::write`] and [`ResponseHead::write`] make new ones out of a [`Framing`] and a
//!   [`Connection`].
//! - A body is followed by a [`BodyDecoder`], which points at the payload in the input and copies nothing, and sent through a
//!   [`BodyEncoder`], which refuses to write more or less than the head announced.
//! - Buffers come from a [`BufferPool`] of the thread and go back while a connection is idle.
//!
//! # In an IO loop
//!
//! One exchange over two connections, with `read` and `write` for whatever moves the bytes:
//!
//! ```
//! use http1::{
//!     BodyEncoder, BufferPool, Connection, Decoded, Error, Framing, Known, Limits, RequestParser, ResponseParser,
//! };
//! # use bytes::{Buf, BytesMut};
//! # fn main() -> Result<(), Error> {
//! # let mut wire = vec![
//! #     &b"POST /orders?x=1 HTTP/1.1\r\nHost: shop.test\r\nX-a: 1\r\nContent-Le"[..],
//! #     b"ngth: 5\r\n\r\nhe", b"llo",
//! # ].into_iter();
//! # let mut read = |input: &mut BytesMut| input.extend_from_slice(wire.next().unwrap_or_default());
//! # let mut answer = vec![&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n"[..]].into_iter();
//! # let mut read_upstream = |input: &mut BytesMut| input.extend_from_slice(answer.next().unwrap_or_default());
//! # let mut to_upstream = BytesMut::new();
//! # let mut to_client = BytesMut::new();
//! let pool = BufferPool::default(); // one a thread
//! let limits = Limits::default();
//!
//! // The request head. A connection that waits gives its buffer back: take it when bytes are there to be read.
//! let mut parser = RequestParser::new(limits); // one a connection
//! let mut input = pool.take_head();
//! let mut request = loop {
//!     read(&mut input); // the end of the connection: parser.is_idle(&input) tells whether a request was cut off
//!     match parser.parse(&mut input, &pool) {
//!         Ok(Some(head)) => break head,
//!         Ok(None) => continue,
//!         Err(error) => return Err(error), // answer error.status() and close
//!     }
//! };
//! request.strip_hop_by_hop()?; // before anything is added
//! if request.expects_continue() { /* write b"HTTP/1.1 100 Continue\r\n\r\n" before reading the body */ }
//! request.headers.set(Known::Host, "orders.internal:8080")?;
//! request.headers.append(Known::XForwardedFor, "203.0.113.7")?;
//! request.write(b"/v1/orders?x=1", request.framing(), Connection::KeepAlive, &mut to_upstream)?;
//!
//! // The request body: `input` holds its beginning already.
//! let mut body = request.body(&limits).with_limit(1 << 20);
//! let mut encoder = BodyEncoder::new(request.framing());
//! loop {
//!     match body.decode(&input)? {
//!         Decoded::Data { skip, len } => {
//!             input.advance(skip);
//!             encoder.encode(&input[..len], &mut to_upstream)?; // or frame(len) and a vectored write
//!             input.advance(len);
//!         }
//!         Decoded::More { skip } => {
//!             input.advance(skip);
//!             read(&mut input); // the end of the connection: body.finish()? tells whether the body was cut off
//!         }
//!         Decoded::End { skip } => {
//!             input.advance(skip); // what is left is the next request
//!             break;
//!         }
//!     }
//! }
//! encoder.finish(body.take_trailers().as_ref(), &mut to_upstream)?;
//!
//! // The response: interim heads first, then the final one; an error here is a 502.
//! let mut responses = ResponseParser::new(Limits::for_upstream());
//! let mut answer = pool.take_head();
//! let response = loop {
//!     match responses.parse(&mut answer, &pool)? {
//!         Some(head) if head.is_interim() => head.write(Framing::None, Connection::Unsaid, &mut to_client)?,
//!         Some(head) => break head, // 101 may be followed only if request.upgrade() asked for it
//!         None => read_upstream(&mut answer),
//!     }
//! };
//! let framing = match response.framing(request.method()) {
//!     Framing::None => response.announced(request.method()), // HEAD, 204, 304: tell the length, send nothing
//!     framing => framing, // Chunked and UntilClose depend on request.version() as well
//! };
//! response.write(framing, Connection::KeepAlive, &mut to_client)?;
//! let mut body = response.body(request.method(), &limits);
//! let mut payload = BytesMut::new();
//! while !body.decode_into(&mut answer, &mut payload)? {
//!     read_upstream(&mut answer);
//! }
//! let mut encoder = BodyEncoder::new(response.framing(request.method()));
//! encoder.encode(&payload, &mut to_client)?;
//! encoder.finish(body.take_trailers().as_ref(), &mut to_client)?;
//!
//! // Both connections go on if both sides say so; the memory goes back to the pool.
//! let _reuse_upstream = response.keep_alive(request.method()) && answer.is_empty();
//! let _next_request = request.keep_alive();
//! response.recycle(&pool);
//! request.recycle(&pool);
//! pool.give(answer);
//! if input.is_empty() {
//!     pool.give(input);
//! }
//! # assert_eq!(to_upstream, &b"POST /v1/orders?x=1 HTTP/1.1\r\nHost: orders.internal:8080\r\nX-a: 1\r\n\
//! #     X-Forwarded-For: 203.0.113.7\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"[..]);
//! # assert_eq!(to_client, &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n\
//! #     3\r\nyes\r\n0\r\n\r\n"[..]);
//! # Ok(())
//! # }
//! ```

mod body;
mod buffer;
mod chunked;
mod connection;
mod encode;
mod error;
mod headers;
mod host;
mod known;
mod lines;
mod method;
mod own;
mod reason;
mod request;
mod response;
mod target;
mod token;
mod version;
mod write;

pub use body::{BodyDecoder, Decoded, Framing};
pub use buffer::{BODY_BUFFER, BufferPool, HEAD_BUFFER};
pub use connection::Connection;
pub use encode::{BodyEncoder, Frame};
pub use error::Error;
pub use headers::{Field, Headers};
pub use host::{host_name, host_port};
pub use known::{Known, Name};
pub use lines::Limits;
pub use method::Method;
pub use own::OwnLines;
pub use reason::standard_reason;
pub use request::{RequestHead, RequestParser};
pub use response::{ResponseHead, ResponseParser};
pub use version::Version;
