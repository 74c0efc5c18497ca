//! Connections to upstreams.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::tls::ClientTls;
use crate::{ConnectError, Stream};

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
    /// The host name or IP address that is sent as SNI (host names only) and that the certificate has to match.
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
pub struct Connector(());

impl Connector {
    /// Opens a connection with TCP_NODELAY and, if the target says so, TLS. The timeout covers both.
    pub async fn connect(
        &self,
        target: &Target,
        timeout: Duration,
    ) -> Result<Stream, ConnectError> {
        let _ = (target, timeout);
        unimplemented!()
    }
}
