//! HTTP/2 facing upstreams.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, request, response};

use super::gather::Gathered;
use super::heartbeat::Heartbeat;
use super::{Error, RecvBody, SendBody, Settings};
use crate::Stream;

/// Opens an HTTP/2 connection to an upstream. The second value drives it: spawn it; it ends with the connection, which
/// closes when the last [`Client`] and the last stream are gone. The caller bounds the time.
pub async fn connect(
    stream: Stream,
    settings: &Settings,
) -> Result<
    (
        Client,
        impl Future<Output = Result<(), Error>> + Send + use<>,
    ),
    Error,
> {
    let (io, out) = Gathered::new(stream);
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .max_header_list_size(settings.max_header_list_bytes)
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_send_buffer_size(usize::try_from(settings.max_send_buffer).unwrap_or(usize::MAX))
        .max_local_error_reset_streams(Some(settings.max_error_resets));
    let mut handshake = pin!(builder.handshake::<_, Bytes>(io));
    let (sender, mut connection) =
        poll_fn(|cx| out.drive(cx, |cx| handshake.as_mut().poll(cx))).await?;
    let mut heartbeat = settings.keepalive.and_then(|timing| {
        connection
            .ping_pong()
            .map(|ping| Heartbeat::new(timing, ping))
    });
    let driver = async move {
        let mut connection = pin!(connection);
        poll_fn(|cx| {
            if let Some(heartbeat) = &mut heartbeat
                && let Poll::Ready(error) = heartbeat.poll(cx)
            {
                return Poll::Ready(Err(error));
            }
            out.drive(cx, |cx| connection.as_mut().poll(cx))
        })
        .await
    };
    Ok((
        Client {
            sender,
            open: Arc::default(),
        },
        driver,
    ))
}

/// The sending half of a connection to an upstream; clones share the connection.
#[derive(Clone)]
pub struct Client {
    sender: h2::client::SendRequest<Bytes>,
    open: Arc<AtomicUsize>,
}

/// Counts one stream for as long as its response is being waited for or read.
#[derive(Debug)]
pub(super) struct OpenStream(Arc<AtomicUsize>);

impl OpenStream {
    fn new(open: &Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(open))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client {
    /// Whether a request can be sent now: the connection is open and the upstream accepts another stream.
    pub fn is_ready(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(self.sender.poll_ready(&mut context), Poll::Ready(Ok(())))
            && self.open.load(Ordering::Relaxed) < self.sender.current_max_send_streams()
    }

    /// Waits until a request can be sent; an error means that the connection is finished.
    pub async fn ready(&mut self) -> Result<(), Error> {
        Ok(poll_fn(|cx| self.sender.poll_ready(cx)).await?)
    }

    /// Sends a request head; `end` says that no body follows. The URI has to be absolute: its parts become the pseudo
    /// headers. Connection-specific headers are an error.
    pub fn send(
        &mut self,
        mut head: request::Parts,
        end: bool,
    ) -> Result<(SendBody, Pending), Error> {
        head.version = http::Version::HTTP_2;
        let (response, body) = self
            .sender
            .send_request(Request::from_parts(head, ()), end)?;
        Ok((
            SendBody::new(body),
            Pending {
                response,
                stream: Some(OpenStream::new(&self.open)),
            },
        ))
    }
}

/// A response that has not arrived yet. Dropped, it resets the stream.
pub struct Pending {
    response: h2::client::ResponseFuture,
    stream: Option<OpenStream>,
}

impl Pending {
    /// The response head and its body; informational heads are skipped. Cancel safe.
    pub async fn head(&mut self) -> Result<(response::Parts, RecvBody), Error> {
        let response = poll_fn(|cx| Pin::new(&mut self.response).poll(cx)).await?;
        let (head, body) = response.into_parts();
        Ok((head, RecvBody::counted(body, self.stream.take())))
    }
}
