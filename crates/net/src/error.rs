//! What can go wrong on the network, in kinds that a caller can act on.

use std::io;

/// The result of this crate's set-up operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate.
///
/// The operations of the data path return the narrower [`ConnectError`], [`HandshakeError`] and [`ResolveError`], which
/// convert into this.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A listener could not be opened.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address as a person would write it.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// A certificate chain in PEM could not be used.
    #[error("invalid certificate: {0}")]
    Certificate(String),
    /// A private key in PEM could not be used.
    #[error("invalid private key: {0}")]
    PrivateKey(String),
    /// The private key is protected by a pass phrase.
    #[error("the private key is encrypted; provide it without a pass phrase")]
    EncryptedKey,
    /// The private key does not belong to the certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// A TLS setting cannot be honoured.
    #[error("{0}")]
    TlsSetting(String),
    /// The DNS configuration cannot be used.
    #[error("{0}")]
    DnsSetting(String),
    /// A connection to an upstream could not be opened.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A TLS handshake with a client failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A name could not be resolved.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// A PROXY protocol header was missing or malformed.
    #[error(transparent)]
    ProxyProtocol(#[from] crate::proxy_protocol::ReadError),
    /// An HTTP/2 connection or stream failed.
    #[error(transparent)]
    Http2(#[from] crate::h2::Error),
    /// The operating system refused something.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why a connection to an upstream could not be opened; nothing of a request has been sent when this happens.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {source}")]
pub struct ConnectError {
    /// The kind, for decisions.
    pub kind: ConnectFailure,
    /// The cause, for logs.
    pub source: io::Error,
}

/// The kinds of [`ConnectError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// Nobody listens on the port.
    #[error("connection refused")]
    Refused,
    /// The connect timeout passed before the connection, TLS handshake included, was ready.
    #[error("connection timed out")]
    TimedOut,
    /// There is no way to the host.
    #[error("host unreachable")]
    Unreachable,
    /// The TLS handshake failed for another reason than the certificate.
    #[error("TLS handshake failed")]
    Tls,
    /// The upstream's certificate was refused.
    #[error("certificate verify failed")]
    Certificate,
    /// The gateway itself ran out of something (descriptors, ports, memory).
    #[error("no local resources")]
    Local,
    /// Anything else: reset during connect and the like.
    #[error("connection failed")]
    Other,
}

/// Why a TLS handshake with a client failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The client did not finish in time.
    #[error("the client did not finish the TLS handshake in time")]
    TimedOut,
    /// There is no certificate for the name that the client asked for, and no default one.
    #[error("no certificate for server name {0:?}")]
    NoCertificate(String),
    /// The first bytes are not TLS; a plain HTTP request looks like this. The connection comes back with every byte
    /// unread, so that the client can be told.
    #[error("the client did not send a TLS ClientHello")]
    NotTls(Box<crate::Stream>),
    /// The client closed the connection without a word: health checks of load balancers do this all the time.
    #[error("the client closed the connection before the TLS handshake")]
    Closed,
    /// The handshake failed.
    #[error("TLS handshake failed: {0}")]
    Failed(io::Error),
}

/// Why a name could not be resolved. The texts are the ones that Kong logs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A name server answered with an error code: 3 is an unknown name.
    #[error("dns server error: {code} {text}")]
    Server {
        /// The DNS response code.
        code: u16,
        /// Its name, such as `name error`.
        text: &'static str,
    },
    /// The name exists and has no record of the wanted types.
    #[error("dns client error: 101 empty record received")]
    Empty,
    /// The name cannot be a host name.
    #[error("invalid name")]
    InvalidName,
    /// No name server answered.
    #[error("failed to query the dns server: {0}")]
    Network(String),
    /// SRV or CNAME records lead back to themselves, or too deep.
    #[error("recursion detected")]
    Recursion,
}
