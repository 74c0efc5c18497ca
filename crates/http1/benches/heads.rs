//! The cost of one exchange's heads and bodies.
//!
//! `cargo bench -p http1` prints nanoseconds a call.
//! To count instructions, run the binary that it builds under `valgrind --tool=callgrind` with the name of a case and a
//! number of calls, once with a small and once with a large number, and divide the difference.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;

use bytes::BytesMut;
use http1::{
    BodyDecoder, BodyEncoder, BufferPool, Connection, Error, Framing, Known, Limits, Method,
    RequestParser, ResponseParser,
};

const REQUEST: &[u8] = b"GET /api/v1/orders/8812?include=lines HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: application/json, text/plain, */*\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br\r\n\
    Referer: https://shop.example.com/orders\r\n\
    Authorization: Bearer 0123456789abcdef0123456789abcdef\r\n\
    Cookie: session=0123456789abcdef; theme=dark\r\n\
    X-Client-Version: 2.14.0\r\n\
    Connection: keep-alive\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx\r\n\
    Date: Sun, 22 Nov 2026 22:22:22 GMT\r\n\
    Content-Type: application/json; charset=utf-8\r\n\
    Content-Length: 1024\r\n\
    Connection: keep-alive\r\n\
    Cache-Control: no-cache\r\n\
    ETag: \"0123456789abcdef\"\r\n\
    Vary: Accept-Encoding\r\n\r\n";

struct Bench {
    pool: BufferPool,
    request: RequestParser,
    response: ResponseParser,
    out: BytesMut,
    payload: Vec<u8>,
}

impl Bench {
    /// What every case does besides what it measures: put bytes into a buffer and take it from the pool and give it back.
    fn nothing(&mut self) -> Result<(), Error> {
        let mut input = self.pool.take_head();
        input.extend_from_slice(black_box(REQUEST));
        self.pool.give(input);
        Ok(())
    }

    fn request_parse(&mut self) -> Result<(), Error> {
        let mut input = self.pool.take_head();
        input.extend_from_slice(black_box(REQUEST));
        let head = self
            .request
            .parse(&mut input, &self.pool)?
            .ok_or(Error::Truncated)?;
        black_box(&head);
        head.recycle(&self.pool);
        self.pool.give(input);
        Ok(())
    }

    /// The tokenizer of hyper alone, for comparison.
    fn httparse(&mut self) -> Result<(), Error> {
        let mut input = self.pool.take_head();
        input.extend_from_slice(black_box(REQUEST));
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut theirs = httparse::Request::new(&mut headers);
        black_box(theirs.parse(&input).is_ok());
        black_box(&theirs);
        self.pool.give(input);
        Ok(())
    }

    /// Parses, edits and writes as the proxy does: one line set, eight added.
    fn request_forward(&mut self) -> Result<(), Error> {
        let mut input = self.pool.take_head();
        input.extend_from_slice(black_box(REQUEST));
        let mut head = self
            .request
            .parse(&mut input, &self.pool)?
            .ok_or(Error::Truncated)?;
        head.strip_hop_by_hop()?;
        let headers = &mut head.headers;
        headers.set(Known::Host, "10.0.0.17:8080")?;
        headers.set(Known::XForwardedFor, "203.0.113.7")?;
        headers.set(Known::XForwardedProto, "https")?;
        headers.set(Known::XForwardedHost, "shop.example.com")?;
        headers.set(Known::XForwardedPort, "443")?;
        headers.set(Known::XForwardedPath, "/api/v1/orders/8812")?;
        headers.set(Known::XRealIp, "203.0.113.7")?;
        headers.set(Known::Via, "1.1 silverback/0.1.0")?;
        headers.set(Known::XKongRequestId, "0123456789abcdef0123456789abcdef")?;
        self.out.clear();
        head.write(
            b"/v1/orders/8812?include=lines",
            head.framing(),
            Connection::KeepAlive,
            &mut self.out,
        )?;
        head.recycle(&self.pool);
        self.pool.give(input);
        Ok(())
    }

    fn response_forward(&mut self) -> Result<(), Error> {
        let mut input = self.pool.take_head();
        input.extend_from_slice(black_box(RESPONSE));
        let mut head = self
            .response
            .parse(&mut input, &self.pool)?
            .ok_or(Error::Truncated)?;
        head.strip_hop_by_hop();
        let headers = &mut head.headers;
        headers.set(Known::Via, "1.1 silverback/0.1.0")?;
        headers.set(Known::XKongUpstreamLatency, "3")?;
        headers.set(Known::XKongProxyLatency, "0")?;
        headers.set(Known::XKongRequestId, "0123456789abcdef0123456789abcdef")?;
        self.out.clear();
        head.write(
            head.framing(&Method::Get),
            Connection::KeepAlive,
            &mut self.out,
        )?;
        head.recycle(&self.pool);
        self.pool.give(input);
        Ok(())
    }

    /// 64 KiB in chunks of 8 KiB: decoded, and encoded as one chunk.
    fn chunked_64k(&mut self) -> Result<(), Error> {
        let mut wire = self.pool.take_body();
        let mut encoder = BodyEncoder::new(Framing::Chunked);
        for piece in self.payload.chunks(8 * 1024) {
            encoder.encode(piece, &mut wire)?;
        }
        encoder.finish(None, &mut wire)?;
        let mut payload = self.pool.take_body();
        let mut decoder = BodyDecoder::new(Framing::Chunked, &Limits::default());
        black_box(decoder.decode_into(&mut wire, &mut payload)?);
        self.pool.give(payload);
        self.pool.give(wire);
        Ok(())
    }
}

type Case = (&'static str, fn(&mut Bench) -> Result<(), Error>);

const CASES: &[Case] = &[
    ("nothing", Bench::nothing),
    ("httparse", Bench::httparse),
    ("request_parse", Bench::request_parse),
    ("request_forward", Bench::request_forward),
    ("response_forward", Bench::response_forward),
    ("chunked_64k", Bench::chunked_64k),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut bench = Bench {
        pool: BufferPool::default(),
        request: RequestParser::new(Limits::default()),
        response: ResponseParser::new(Limits::for_upstream()),
        out: BytesMut::with_capacity(4096),
        payload: vec![b'x'; 60 * 1024],
    };
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let calls = arguments
        .get(1)
        .and_then(|calls| calls.parse().ok())
        .unwrap_or(200_000);
    for (name, case) in CASES {
        if arguments.first().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let start = Instant::now();
        for _ in 0..calls {
            case(&mut bench)?;
        }
        let nanoseconds = start.elapsed().as_nanos() / calls.max(1) as u128;
        writeln!(std::io::stdout(), "{name}: {nanoseconds} ns")?;
    }
    Ok(())
}
