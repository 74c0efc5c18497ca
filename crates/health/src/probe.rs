//! One probe of one address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, TE};
use net::connect::{Connector, Target, TargetTls};
use net::tls::ClientTls;
use net::{ConnectFailure, Stream, h2};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::{Active, Kind, Observation};

/// The longest status line that is read.
const LINE: usize = 4096;

/// Enough for most requests, and for the first line of most answers.
const BUFFER: usize = 256;

/// The method that the health service of gRPC has, and the empty message that asks for the whole server.
const GRPC_CHECK: &str = "/grpc.health.v1.Health/Check";
const GRPC_EMPTY: &[u8] = &[0; 5];

/// The state "unimplemented": a server without the health service, which answers all the same.
const GRPC_UNIMPLEMENTED: &[u8] = b"12";

/// A message of the health service that says "serving": field 1, value 1.
const GRPC_SERVING: &[u8] = &[0, 0, 0, 0, 2, 8, 1];

/// What all probes of an upstream have in common.
#[derive(Debug, Clone)]
pub struct Probe {
    pub active: Active,
    /// The `Host` of targets, if not their names.
    pub host_header: Option<Box<str>>,
    /// How TLS is spoken, where it is.
    pub tls: Option<ClientTls>,
}

impl Probe {
    /// Asks an address. `name` is its target's.
    ///
    /// Perf: most probes are plain; what others need lies in boxes of its own, so that the task of a plain one is small.
    pub async fn ask(&self, address: SocketAddr, name: &str) -> Observation {
        let host = self.host_header.as_deref().unwrap_or(name);
        match self.active.kind {
            Kind::Tcp | Kind::Http => self.ask_plain(address, host).await,
            Kind::Https | Kind::Grpc | Kind::Grpcs => {
                Box::pin(self.ask_stream(address, host)).await
            }
        }
    }

    async fn ask_plain(&self, address: SocketAddr, host: &str) -> Observation {
        let limit = self.active.timeout;
        let mut stream = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() != io::ErrorKind::TimedOut => {
                return Observation::ConnectionFailed;
            }
            Ok(Err(_)) | Err(_) => return Observation::TimedOut,
        };
        if self.active.kind == Kind::Tcp {
            return Observation::Connected;
        }
        timeout(limit, self.ask_http(&mut stream, host))
            .await
            .unwrap_or(Observation::TimedOut)
    }

    async fn ask_stream(&self, address: SocketAddr, host: &str) -> Observation {
        let tls = self.tls.clone().map(|config| TargetTls {
            config,
            server_name: self.server_name(host),
        });
        let target = Target { address, tls };
        let limit = self.active.timeout;
        let mut stream = match Connector.connect(&target, limit).await {
            Ok(stream) => stream,
            Err(error) if error.kind == ConnectFailure::TimedOut => return Observation::TimedOut,
            Err(_) => return Observation::ConnectionFailed,
        };
        let answer = async {
            match self.active.kind {
                Kind::Grpc | Kind::Grpcs => self.ask_grpc(stream, host, limit).await,
                _ => self.ask_http(&mut stream, host).await,
            }
        };
        timeout(limit, answer)
            .await
            .unwrap_or(Observation::TimedOut)
    }

    fn server_name(&self, host: &str) -> Arc<str> {
        let bare = match host.rsplit_once(':') {
            Some((bare, port)) if port.parse::<u16>().is_ok() && !bare.contains(':') => bare,
            _ => host.trim_start_matches('[').trim_end_matches(']'),
        };
        self.active.sni.as_deref().unwrap_or(bare).into()
    }

    async fn ask_http(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        host: &str,
    ) -> Observation {
        let mut buffer = self.request(host);
        let sent = async {
            stream.write_all(&buffer).await?;
            stream.flush().await
        };
        if sent.await.is_err() {
            return Observation::ConnectionFailed;
        }
        buffer.clear();
        while !buffer.contains(&b'\n') && buffer.len() < LINE {
            match stream.read_buf(&mut buffer).await {
                Ok(0) if buffer.is_empty() => return Observation::ConnectionFailed,
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return Observation::ConnectionFailed,
            }
        }
        status_of(&buffer).map_or(Observation::Garbage, Observation::Status)
    }

    /// What is sent, in a buffer that has room for the first line of the answer.
    fn request(&self, host: &str) -> Vec<u8> {
        let mut request = Vec::with_capacity(BUFFER);
        let mut put = |parts: &[&str]| {
            for part in parts {
                request.extend_from_slice(part.as_bytes());
            }
        };
        put(&[
            "GET ",
            &self.active.path,
            " HTTP/1.0\r\nConnection: close\r\n",
        ]);
        for (name, value) in &self.active.headers {
            put(&[name, ": ", value, "\r\n"]);
        }
        put(&["Host: ", host, "\r\n\r\n"]);
        request
    }

    async fn ask_grpc(&self, stream: Stream, host: &str, limit: Duration) -> Observation {
        let Ok((mut client, driver)) = h2::connect(stream, &h2::Settings::default()).await else {
            return Observation::ConnectionFailed;
        };
        // It ends with the connection, and that with the probe.
        tokio::spawn(timeout(limit, driver));
        match self.call_grpc(&mut client, host).await {
            Ok(observation) => observation,
            Err(_) => Observation::ConnectionFailed,
        }
    }

    async fn call_grpc(
        &self,
        client: &mut h2::Client,
        host: &str,
    ) -> Result<Observation, h2::Error> {
        let scheme = if self.active.kind.is_tls() {
            "https"
        } else {
            "http"
        };
        let uri = http::Uri::builder()
            .scheme(scheme)
            .authority(host)
            .path_and_query(GRPC_CHECK)
            .build();
        let (Ok(uri), (mut head, ())) = (uri, http::Request::new(()).into_parts()) else {
            return Ok(Observation::Garbage);
        };
        head.method = http::Method::POST;
        head.uri = uri;
        let grpc = HeaderValue::from_static("application/grpc");
        head.headers.insert(CONTENT_TYPE, grpc);
        head.headers
            .insert(TE, HeaderValue::from_static("trailers"));
        for (name, value) in &self.active.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                head.headers.append(name, value);
            }
        }
        client.ready().await?;
        let (mut send, mut pending) = client.send(head, false)?;
        send.data(Bytes::from_static(GRPC_EMPTY), true).await?;
        let (head, mut body) = pending.head().await?;
        if head.status != http::StatusCode::OK {
            return Ok(Observation::Status(head.status.as_u16()));
        }
        if let Some(observation) = grpc_status(&head.headers) {
            return Ok(observation);
        }
        let mut message = Vec::new();
        while let Some(chunk) = body.data().await {
            message.extend_from_slice(&chunk?);
            if message.len() > LINE {
                return Ok(Observation::Garbage);
            }
        }
        let trailers = body.trailers().await?.unwrap_or_default();
        Ok(match grpc_status(&trailers) {
            Some(Observation::Connected) if message == GRPC_SERVING => Observation::Connected,
            Some(Observation::Connected) => Observation::Garbage,
            Some(other) => other,
            None => Observation::Garbage,
        })
    }
}

/// What the state of a call says about the server; none if it is not there yet.
fn grpc_status(headers: &HeaderMap) -> Option<Observation> {
    let status = headers.get("grpc-status")?.as_bytes();
    Some(match status {
        b"0" => Observation::Connected,
        GRPC_UNIMPLEMENTED => Observation::Connected,
        _ => Observation::Garbage,
    })
}

/// The number in `HTTP/1.1 200 OK`.
pub(crate) fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/")?;
    let mut words = rest.split(|byte| byte.is_ascii_whitespace());
    let version = words.next()?;
    let is_version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    if version.is_empty() || !version.iter().all(is_version) {
        return None;
    }
    let status = words.find(|word| !word.is_empty())?;
    let number: u16 = std::str::from_utf8(status).ok()?.parse().ok()?;
    (100..=999).contains(&number).then_some(number)
}
