//! HTTP requests over connections that are kept for the next one.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ::http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use plugin_api::{Destination, HttpRequest, HttpResponse, NetworkError, TlsOptions};

use super::Inner;

/// The most connections that are kept for one place.
const MOST_KEPT: usize = 32;

/// Where a connection goes, and how.
type Place = (Destination, Option<(bool, Option<String>)>);

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
    let place: Place = (to, options.map(|tls| (tls.verify, tls.server_name.clone())));
    let head = compile(&request, &uri)?;
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
    let mut sender = open(inner, &place.0, options, request.timeout).await?;
    let response = sender.send_request(head).await.map_err(failed)?;
    finish(inner, place, sender, response, &request).await
}

fn compile(request: &HttpRequest, uri: &Uri) -> Result<Request<Full<Bytes>>, NetworkError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let method = Method::from_bytes(request.method.as_bytes()).map_err(failed)?;
    let mut head = Request::builder().method(method).uri(path);
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
    }
    head.body(Full::new(request.body.clone())).map_err(failed)
}

async fn open(
    inner: &Inner,
    to: &Destination,
    tls: Option<&TlsOptions>,
    timeout: Duration,
) -> Result<SendRequest<Full<Bytes>>, NetworkError> {
    let stream = inner.open(to, tls, timeout).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
    inner.runtime.spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection of a plugin ended");
        }
    });
    Ok(sender)
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
