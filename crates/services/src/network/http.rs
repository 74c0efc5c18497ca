//! HTTP requests over connections that are kept for the next one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ::http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use net::Stream;
use parking_lot::Mutex;
use plugin_api::{Destination, HttpProxy, HttpRequest, HttpResponse, NetworkError, TlsOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::Inner;

/// The most connections that are kept for one place.
const MOST_KEPT: usize = 32;

/// The longest head of a proxy's answer.
const MOST_PROXY_HEAD: usize = 8 << 10;

/// Where a connection goes, and how.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    to: Destination,
    /// Whether the certificate is verified, and for which name.
    tls: Option<(bool, Option<String>)>,
    proxy: Option<HttpProxy>,
}

/// Connections that wait for another request.
#[derive(Default)]
pub(super) struct Pool(Mutex<HashMap<Place, Vec<Kept>>>);

struct Kept {
    sender: SendRequest<Full<Bytes>>,
    until: Instant,
}

impl Pool {
    /// Whether a connection waits that is not known to be closed.
    #[cfg(test)]
    pub(super) fn has_open(&self) -> bool {
        let kept = self.0.lock();
        kept.values().flatten().any(|one| !one.sender.is_closed())
    }

    fn take(&self, place: &Place) -> Option<SendRequest<Full<Bytes>>> {
        let mut kept = self.0.lock();
        let waiting = kept.get_mut(place)?;
        let now = Instant::now();
        while let Some(candidate) = waiting.pop() {
            if candidate.until > now && candidate.sender.is_ready() {
                return Some(candidate.sender);
            }
        }
        kept.remove(place);
        None
    }

    fn put(&self, place: Place, sender: SendRequest<Full<Bytes>>, keep_alive: Duration) {
        let mut kept = self.0.lock();
        let now = Instant::now();
        kept.retain(|_, waiting| {
            waiting.retain(|one| one.until > now && !one.sender.is_closed());
            !waiting.is_empty()
        });
        let waiting = kept.entry(place).or_default();
        if waiting.len() < MOST_KEPT {
            let until = now + keep_alive;
            waiting.push(Kept { sender, until });
        }
    }
}

/// Makes one exchange. A kept connection that turns out to be closed is replaced once, which is safe because nothing of
/// the request was processed then.
pub(super) async fn exchange(
    inner: &Inner,
    request: HttpRequest,
    proxy: Option<HttpProxy>,
) -> Result<HttpResponse, NetworkError> {
    let uri: Uri = request.url.parse().map_err(failed)?;
    let secure = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(failed("the URL is neither http nor https")),
    };
    let host = uri.host().ok_or_else(|| failed("the URL has no host"))?;
    let to = Destination {
        host: host.to_owned(),
        port: uri.port_u16().unwrap_or(if secure { 443 } else { 80 }),
    };
    let options = secure.then_some(&request.tls);
    let place = Place {
        to,
        tls: options.map(|tls| (tls.verify, tls.server_name.clone())),
        proxy,
    };
    let plain_proxy = place.proxy.as_ref().filter(|_| !secure);
    let head = compile(&request, &uri, plain_proxy)?;
    if let Some(mut sender) = inner.pool.take(&place) {
        match sender.try_send_request(head.clone()).await {
            Ok(response) => return finish(inner, place, sender, response, &request).await,
            Err(mut error) => {
                if error.take_message().is_none() {
                    return Err(failed(error.into_error()));
                }
            }
        }
    }
    let mut sender = open(inner, &place, options, request.timeout).await?;
    let response = sender.send_request(head).await.map_err(failed)?;
    finish(inner, place, sender, response, &request).await
}

/// The request as it is written; a proxy that gets it as it is has to know where it goes.
fn compile(
    request: &HttpRequest,
    uri: &Uri,
    proxy: Option<&HttpProxy>,
) -> Result<Request<Full<Bytes>>, NetworkError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let method = Method::from_bytes(request.method.as_bytes()).map_err(failed)?;
    let head = Request::builder().method(method);
    let mut head = match proxy {
        Some(_) => head.uri(uri),
        None => head.uri(path),
    };
    if let Some(headers) = head.headers_mut() {
        for (name, value) in &request.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(failed)?;
            headers.append(name, HeaderValue::from_bytes(value).map_err(failed)?);
        }
        if !headers.contains_key(header::HOST) {
            let authority = uri.authority().map_or("", |authority| authority.as_str());
            let host = authority.rsplit('@').next().unwrap_or_default();
            headers.insert(header::HOST, HeaderValue::from_str(host).map_err(failed)?);
        }
        if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
            let value = HeaderValue::from_str(authorization).map_err(failed)?;
            headers.insert(header::PROXY_AUTHORIZATION, value);
        }
    }
    head.body(Full::new(request.body.clone())).map_err(failed)
}

async fn open(
    inner: &Inner,
    place: &Place,
    tls: Option<&TlsOptions>,
    timeout: Duration,
) -> Result<SendRequest<Full<Bytes>>, NetworkError> {
    let stream = match (&place.proxy, tls) {
        (None, tls) => inner.open(&place.to, tls, timeout).await?,
        (Some(proxy), None) => inner.open(&proxy.at, None, timeout).await?,
        (Some(proxy), Some(tls)) => {
            let tunnel = tunnel(inner, proxy, &place.to, timeout).await?;
            inner.secure(tunnel, &place.to, tls).await?
        }
    };
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
    inner.runtime.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of a plugin ended");
        }
    });
    Ok(sender)
}

/// Has a proxy open a connection (RFC 9110, section 9.3.6).
async fn tunnel(
    inner: &Inner,
    proxy: &HttpProxy,
    to: &Destination,
    timeout: Duration,
) -> Result<Stream, NetworkError> {
    let mut stream = inner.open(&proxy.at, None, timeout).await?;
    let authority = format!("{}:{}", to.host, to.port);
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(authorization) = &proxy.authorization {
        head.push_str(&format!("Proxy-Authorization: {authorization}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.map_err(failed)?;
    stream.flush().await.map_err(failed)?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= MOST_PROXY_HEAD {
            return Err(failed("the answer of the proxy is too long"));
        }
        answer.push(stream.read_u8().await.map_err(failed)?);
    }
    let line = answer
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    match (words.next(), words.next()) {
        (Some(version), Some(status))
            if version.starts_with("HTTP/1.") && status.starts_with('2') =>
        {
            Ok(stream)
        }
        _ => Err(failed(format!("the proxy opens no connection: {line:?}"))),
    }
}

async fn finish(
    inner: &Inner,
    place: Place,
    sender: SendRequest<Full<Bytes>>,
    response: ::http::Response<hyper::body::Incoming>,
    request: &HttpRequest,
) -> Result<HttpResponse, NetworkError> {
    let (parts, mut incoming) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        if let Some(piece) = frame.map_err(failed)?.data_ref() {
            if body.len() + piece.len() > request.max_response {
                return Err(failed("the answer is too long"));
            }
            body.extend_from_slice(piece);
        }
    }
    if !request.keep_alive.is_zero() {
        inner.pool.put(place, sender, request.keep_alive);
    }
    let headers = parts.headers.iter();
    Ok(HttpResponse {
        status: parts.status.as_u16(),
        headers: headers
            .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
            .collect(),
        body: body.freeze(),
    })
}

fn failed(reason: impl ToString) -> NetworkError {
    NetworkError::Failed(reason.to_string())
}
