//! Connections to other servers: names are looked up as the proxy does it, TLS is the proxy's.

mod http;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use net::Stream;
use net::connect::{Connector, Target, TargetTls};
use net::dns::{Records, Resolver};
use net::tls::{ClientTlsCache, ClientTlsSettings, TrustStore};
use plugin_api::{
    BoxFuture, Connection, Destination, HttpProxy, HttpRequest, HttpResponse, Network,
    NetworkError, TlsOptions,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use self::http::Pool;

/// Opens connections for plugins. Cloning shares the ones that are kept.
#[derive(Clone)]
pub struct Connections(Arc<Inner>);

struct Inner {
    runtime: Handle,
    resolver: Resolver,
    tls: ClientTlsCache,
    /// Who may have signed a certificate; `None` trusts nobody.
    trust: Option<TrustStore>,
    pool: Pool,
    datagrams: Datagrams,
}

/// The sockets that all datagrams leave by.
#[derive(Default)]
struct Datagrams {
    v4: OnceCell<UdpSocket>,
    v6: OnceCell<UdpSocket>,
}

impl Datagrams {
    async fn send(&self, to: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let (socket, local): (_, SocketAddr) = match to {
            SocketAddr::V4(_) => (&self.v4, (Ipv4Addr::UNSPECIFIED, 0).into()),
            SocketAddr::V6(_) => (&self.v6, (Ipv6Addr::UNSPECIFIED, 0).into()),
        };
        let socket = socket.get_or_try_init(|| UdpSocket::bind(local)).await?;
        socket.send_to(bytes, to).await.map(drop)
    }
}

impl Connections {
    /// Connections that are opened on `runtime`. Certificates are checked against `trust`.
    pub fn on(runtime: Handle, resolver: Resolver, trust: Option<TrustStore>) -> Self {
        Self(Arc::new(Inner {
            runtime,
            resolver,
            tls: ClientTlsCache::default(),
            trust,
            pool: Pool::default(),
            datagrams: Datagrams::default(),
        }))
    }

    /// Where sockets live.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Opens a connection; called where sockets live.
    pub(crate) async fn open(
        &self,
        to: &Destination,
        tls: Option<&TlsOptions>,
        timeout: Duration,
    ) -> Result<Stream, NetworkError> {
        self.0.open(to, tls, timeout).await
    }

    fn exchange(
        &self,
        request: HttpRequest,
        proxy: Option<HttpProxy>,
    ) -> BoxFuture<Result<HttpResponse, NetworkError>> {
        let inner = self.0.clone();
        self.run(async move {
            let limit = request.timeout;
            let exchange = http::exchange(&inner, request, proxy);
            let done = tokio::time::timeout(limit, exchange).await;
            done.unwrap_or(Err(NetworkError::Timeout))
        })
    }

    /// Runs the future where sockets live, and gives back a future that any thread may wait for.
    fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, NetworkError>> + Send + 'static,
    ) -> BoxFuture<Result<T, NetworkError>> {
        let task = self.0.runtime.spawn(future);
        Box::pin(async move {
            let done = task.await;
            done.unwrap_or_else(|error| Err(NetworkError::Failed(error.to_string())))
        })
    }
}

impl Inner {
    async fn open(
        &self,
        to: &Destination,
        tls: Option<&TlsOptions>,
        timeout: Duration,
    ) -> Result<Stream, NetworkError> {
        let address = self.resolver.resolve_address(&to.host, to.port).await;
        let address = address.map_err(|error| NetworkError::Failed(error.to_string()))?;
        let tls = tls
            .map(|options| self.target_tls(to, options))
            .transpose()?;
        let target = Target { address, tls };
        Connector.connect(&target, timeout).await.map_err(|error| {
            if error.kind == net::ConnectFailure::TimedOut {
                NetworkError::Timeout
            } else {
                NetworkError::Failed(error.to_string())
            }
        })
    }

    /// TLS over a connection that leads to `to` already; the caller bounds the time.
    async fn secure(
        &self,
        stream: Stream,
        to: &Destination,
        options: &TlsOptions,
    ) -> Result<Stream, NetworkError> {
        let tls = self.target_tls(to, options)?;
        let peer = stream.peer_addr().ip();
        let peer = peer.map_or(IpAddr::from(Ipv4Addr::UNSPECIFIED), |address| address.ip());
        let secured = tls.config.connect(stream, &tls.server_name, peer).await;
        secured.map_err(|error| NetworkError::Failed(error.to_string()))
    }

    fn target_tls(
        &self,
        to: &Destination,
        options: &TlsOptions,
    ) -> Result<TargetTls, NetworkError> {
        let trust = match (options.verify, &self.trust) {
            (false, _) => None,
            (true, Some(trust)) => Some(trust.clone()),
            (true, None) => {
                let reason = "certificates are to be verified, and no CA is configured";
                return Err(NetworkError::Failed(reason.to_owned()));
            }
        };
        let config = self.tls.get(ClientTlsSettings {
            trust,
            ..ClientTlsSettings::default()
        });
        Ok(TargetTls {
            config: config.map_err(|error| NetworkError::Failed(error.to_string()))?,
            server_name: options.server_name.as_deref().unwrap_or(&to.host).into(),
        })
    }
}

impl Network for Connections {
    fn http(&self, request: HttpRequest) -> BoxFuture<Result<HttpResponse, NetworkError>> {
        self.exchange(request, None)
    }

    fn http_through(
        &self,
        proxy: HttpProxy,
        request: HttpRequest,
    ) -> BoxFuture<Result<HttpResponse, NetworkError>> {
        self.exchange(request, Some(proxy))
    }

    fn datagram(&self, to: Destination, bytes: Bytes) -> BoxFuture<Result<(), NetworkError>> {
        let inner = self.0.clone();
        self.run(async move {
            let address = inner.resolver.resolve_address(&to.host, to.port).await;
            let address = address.map_err(|error| NetworkError::Failed(error.to_string()))?;
            let sent = inner.datagrams.send(address, &bytes).await;
            sent.map_err(|error| NetworkError::Failed(error.to_string()))
        })
    }

    fn connect(
        &self,
        to: Destination,
        tls: Option<TlsOptions>,
        timeout: Duration,
    ) -> BoxFuture<Result<Box<dyn Connection>, NetworkError>> {
        let inner = self.0.clone();
        self.run(async move {
            let stream = inner.open(&to, tls.as_ref(), timeout).await?;
            Ok(Box::new(Open {
                stream: Some(stream),
                connections: inner,
                to,
                timeout,
            }) as Box<dyn Connection>)
        })
    }

    fn resolve(&self, host: &str, port: u16) -> BoxFuture<Result<Vec<SocketAddr>, NetworkError>> {
        let (inner, host) = (self.0.clone(), host.to_owned());
        self.run(async move {
            let answer = inner.resolver.resolve(&host).await;
            let answer = answer.map_err(|error| NetworkError::Failed(error.to_string()))?;
            if let Records::Addresses(addresses) = &*answer.records {
                let with_port = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
                return Ok(with_port.collect());
            }
            let one = inner.resolver.resolve_address(&host, port).await;
            one.map(|address| vec![address])
                .map_err(|error| NetworkError::Failed(error.to_string()))
        })
    }
}

/// A connection that was opened.
struct Open {
    /// Gone once it could not be turned to TLS.
    stream: Option<Stream>,
    connections: Arc<Inner>,
    to: Destination,
    timeout: Duration,
}

impl Open {
    fn stream(&mut self) -> io::Result<&mut Stream> {
        let ended = io::ErrorKind::NotConnected;
        self.stream.as_mut().ok_or_else(|| ended.into())
    }
}

type Io<'a, T> = Pin<Box<dyn Future<Output = Result<T, NetworkError>> + Send + 'a>>;

impl Connection for Open {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Io<'a, ()> {
        Box::pin(async move {
            let timeout = self.timeout;
            let written = async {
                let stream = self.stream()?;
                stream.write_all(bytes).await?;
                stream.flush().await
            };
            within(timeout, written).await
        })
    }

    fn read<'a>(&'a mut self, limit: usize) -> Io<'a, Bytes> {
        Box::pin(async move {
            let timeout = self.timeout;
            let mut bytes = BytesMut::zeroed(limit);
            let read = async { self.stream()?.read(&mut bytes).await };
            let read = within(timeout, read).await?;
            bytes.truncate(read);
            Ok(bytes.freeze())
        })
    }

    fn start_tls<'a>(&'a mut self, tls: &'a TlsOptions) -> Io<'a, ()> {
        Box::pin(async move {
            let plain = self.stream.take();
            let plain = plain.ok_or_else(|| NetworkError::Failed("not connected".to_owned()))?;
            let handshake = self.connections.secure(plain, &self.to, tls);
            let secured = tokio::time::timeout(self.timeout, handshake).await;
            self.stream = Some(secured.map_err(|_| NetworkError::Timeout)??);
            Ok(())
        })
    }
}

async fn within<T>(
    timeout: Duration,
    io: impl Future<Output = io::Result<T>>,
) -> Result<T, NetworkError> {
    match tokio::time::timeout(timeout, io).await {
        Ok(done) => done.map_err(|error| NetworkError::Failed(error.to_string())),
        Err(_) => Err(NetworkError::Timeout),
    }
}

#[cfg(test)]
mod tests;
