//! Connections to upstreams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::tls::ClientTls;
use crate::{ConnectError, ConnectFailure, Stream};

#[cfg(test)]
mod tests;

/// Whom to connect to, and how: also the key of the keep-alive pools, so that two targets are equal exactly if a
/// connection to one serves requests to the other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The peer's address.
    pub address: SocketAddr,
    /// TLS, with the name to ask for and to verify; `None` is a plain connection.
    pub tls: Option<TargetTls>,
}

/// The TLS half of a [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetTls {
    /// How to speak TLS; compiled once for a service, cheap to clone.
    pub config: ClientTls,
    /// The host name or IP address, without a port, that is sent as SNI (host names only) and that the certificate has
    /// to match.
    pub server_name: Arc<str>,
}

impl Target {
    /// A plain target.
    pub fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }
}

/// Opens connections.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connector;

impl Connector {
    /// Opens a connection with TCP_NODELAY and, if the target says so, TLS. The timeout covers both.
    pub async fn connect(
        &self,
        target: &Target,
        timeout: Duration,
    ) -> Result<Stream, ConnectError> {
        match tokio::time::timeout(timeout, open(target)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError {
                kind: ConnectFailure::TimedOut,
                source: io::ErrorKind::TimedOut.into(),
            }),
        }
    }
}

async fn open(target: &Target) -> Result<Stream, ConnectError> {
    let tcp = tokio::net::TcpStream::connect(target.address)
        .await
        .map_err(classify)?;
    tcp.set_nodelay(true).map_err(classify)?;
    let stream = Stream::accepted_tcp(tcp, target.address, None);
    match &target.tls {
        None => Ok(stream),
        Some(tls) => {
            tls.config
                .connect(stream, &tls.server_name, target.address.ip())
                .await
        }
    }
}

fn classify(source: io::Error) -> ConnectError {
    let kind = match source.kind() {
        io::ErrorKind::ConnectionRefused => ConnectFailure::Refused,
        io::ErrorKind::TimedOut => ConnectFailure::TimedOut,
        io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => ConnectFailure::Unreachable,
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => ConnectFailure::Local,
        _ if matches!(
            source.raw_os_error(),
            Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS)
        ) =>
        {
            ConnectFailure::Local
        }
        _ => ConnectFailure::Other,
    };
    ConnectError { kind, source }
}
