//! Phase *accept*: from a new connection to one that speaks HTTP.

use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use net::listen::ListenSpec;
use net::proxy_protocol::{self, Header};
use net::{Alpn, HandshakeError, Stream};

use crate::local::Local;
use crate::peer::Peer;
use crate::{handshake, http1_client, http2_client};

/// How long a client may take for the PROXY protocol header and for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// What of a listener concerns its connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flags {
    tls: bool,
    http2: bool,
    proxy_protocol: bool,
}

impl Flags {
    pub fn of(spec: &ListenSpec) -> Self {
        Self {
            tls: spec.ssl,
            http2: spec.http2,
            proxy_protocol: spec.proxy_protocol,
        }
    }
}

/// Serves a connection to its end.
///
/// Perf: a future has room for what it is given and again for what it moves it into, so that an `async fn` around
/// another one would hold the socket several times; an idle connection should not (bench: "10,000 idle keep-alive
/// clients").
pub(crate) fn serve(
    local: Rc<Local>,
    stream: Stream,
    flags: Flags,
) -> Pin<Box<dyn Future<Output = ()>>> {
    if flags.tls || flags.proxy_protocol {
        return Box::pin(greet(local, stream, flags));
    }
    let peer = Rc::new(Peer::of(&stream, None, &local.published().settings));
    Box::pin(http1_client::serve(local, stream, peer, flags.http2))
}

/// As [`serve`], for a connection that has something to say before HTTP.
async fn greet(local: Rc<Local>, mut stream: Stream, flags: Flags) {
    let mut preface = None;
    if flags.proxy_protocol {
        match Box::pin(proxy_protocol::read(&mut stream, HANDSHAKE)).await {
            Ok(Header::Proxied { source, .. }) => preface = Some(source),
            Ok(Header::Local) => {}
            Err(error) => {
                return tracing::debug!(%error, "a connection without a PROXY protocol header");
            }
        }
    }
    if flags.tls {
        stream = match Box::pin(shake_hands(&local, stream, preface, flags.http2)).await {
            Ok(stream) => stream,
            Err(HandshakeError::NotTls(stream)) => {
                let peer = Peer::of(&stream, preface, &local.published().settings);
                return Box::pin(http1_client::turn_away(local, *stream, &peer)).await;
            }
            Err(error) => return tracing::debug!(%error, "TLS handshake failed"),
        };
    }
    let peer = Rc::new(Peer::of(&stream, preface, &local.published().settings));
    match stream.tls().and_then(|tls| tls.alpn) {
        Some(Alpn::Http2) => Box::pin(http2_client::serve(local, stream, peer)).await,
        _ => {
            let sniff = flags.http2 && !flags.tls;
            Box::pin(http1_client::serve(local, stream, peer, sniff)).await
        }
    }
}

async fn shake_hands(
    local: &Local,
    stream: Stream,
    preface: Option<SocketAddr>,
    http2: bool,
) -> Result<Stream, HandshakeError> {
    let failed = |reason: &str| HandshakeError::Failed(std::io::Error::other(reason.to_owned()));
    let tls = local
        .shared
        .server_tls
        .load_full()
        .ok_or_else(|| failed("TLS is not configured"))?;
    let lookup = handshake::lookup(local.shared.published.load_full(), &stream, preface);
    let handshake = tls.accept(stream, http2, lookup, HANDSHAKE);
    match &local.shared.handshakes {
        Some(elsewhere) => elsewhere
            .spawn(handshake)
            .await
            .map_err(|_| failed("the handshake was given up"))?,
        None => handshake.await,
    }
}
