//! Serving the Admin and Status APIs on the control runtime.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::HttpBody as _;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use cluster::observe_staleness;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use net::listen::{ListenSpec, Listener, ListenerSet, is_shortage};
use net::tls::{ServerChoice, ServerIdentity, ServerTls};
use net::{Address, HandshakeError, Stream, proxy_protocol};
use stdx::Moment;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Error;
use crate::access_log::{AccessLog, Entry};

/// How long a client of the control side has for a PROXY header and a TLS handshake.
const OPENING_TIMEOUT: Duration = Duration::from_secs(30);

/// How long accepting rests when descriptors or memory ran out.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// Connections that one listener of the control side serves at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;

/// In an answer out of the node's copy of the configuration: since when the database may know better.
const STALE: HeaderName = HeaderName::from_static("x-silverback-stale");

/// What one API is served with.
#[derive(Clone)]
pub struct Api {
    pub router: Router,
    pub tls: Arc<ServerTls>,
    /// Shown on `ssl` listeners, which there are only with it.
    pub identity: Option<ServerIdentity>,
    pub access_log: Option<Arc<AccessLog>>,
}

/// Listeners that are being served.
#[derive(Debug)]
pub struct Server {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Serves all sockets of a set.
    pub fn start(listeners: &ListenerSet, api: &Api) -> Result<Self, Error> {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for listener in listeners.for_worker(0)? {
            let listener = listener.into_listener().map_err(|source| Error::System {
                what: "cannot serve a listener",
                source,
            })?;
            tasks.spawn(accept_all(listener, api.clone(), stopped.clone()));
        }
        Ok(Self { stop, tasks })
    }

    /// Takes no new connections, lets requests in flight finish for at most `grace`, then ends.
    pub async fn stop(mut self, grace: Duration) {
        self.stop.send_replace(true);
        let finished = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, finished).await.is_err() {
            self.tasks.abort_all();
        }
    }
}

async fn accept_all(listener: Listener, api: Api, mut stopped: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        let room = connections.len() < MAX_CONNECTIONS;
        tokio::select! {
            _ = wait_for_stop(&mut stopped) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok(stream) => {
                    let spec = Arc::clone(listener.spec());
                    connections.spawn(serve(stream, spec, api.clone(), stopped.clone()));
                }
                Err(error) => {
                    tracing::warn!("accept on the control side: {error}");
                    if is_shortage(&error) {
                        tokio::time::sleep(SHORTAGE_PAUSE).await;
                    }
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: Stream,
    spec: Arc<ListenSpec>,
    api: Api,
    mut stopped: watch::Receiver<bool>,
) {
    let (stream, router) = match open(stream, &spec, &api).await {
        Ok(stream) => {
            let peer = stream.peer_addr().clone();
            let router = Router::new();
            let router = router.fallback(move |request: Request| answer(api, peer, request));
            (stream, router)
        }
        Err(Closed::NotTls(stream)) => (*stream, admin::needs_tls_router()),
        Err(Closed::Other(reason)) => {
            tracing::debug!("a connection to the control side did not open: {reason}");
            return;
        }
    };
    let stop = async move { wait_for_stop(&mut stopped).await };
    let limits = admin::Limits {
        http2: spec.http2,
        ..admin::Limits::default()
    };
    admin::serve_connection(stream, router, limits, stop).await;
}

/// Resolves when the server is told to stop, or is gone.
async fn wait_for_stop(stopped: &mut watch::Receiver<bool>) {
    // An error means that the server was dropped, which stops as well.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Why a connection is not served.
enum Closed {
    /// The client speaks plain HTTP where TLS is spoken, and can be told so.
    NotTls(Box<Stream>),
    Other(String),
}

async fn open(mut stream: Stream, spec: &ListenSpec, api: &Api) -> Result<Stream, Closed> {
    if spec.proxy_protocol {
        let header = proxy_protocol::read(&mut stream, OPENING_TIMEOUT).await;
        header.map_err(|error| Closed::Other(error.to_string()))?;
    }
    if !spec.ssl {
        return Ok(stream);
    }
    let identity = api.identity.clone();
    let lookup = Arc::new(move |_: Option<&str>| identity.clone().map(ServerChoice::from));
    let accepted = Arc::clone(&api.tls).accept(stream, spec.http2, lookup, OPENING_TIMEOUT);
    accepted.await.map_err(|error| match error {
        HandshakeError::NotTls(stream) => Closed::NotTls(stream),
        error => Closed::Other(error.to_string()),
    })
}

async fn answer(api: Api, peer: Address, request: Request) -> Response {
    let entry = api.access_log.as_ref().map(|_| Entry::of(&request, &peer));
    let service = TowerToHyperService::new(api.router);
    let (Ok(mut response), stale) = observe_staleness(service.call(request)).await;
    if let Some(since) = stale
        && let Ok(value) = HeaderValue::from_str(&Moment::from(since).to_string())
    {
        response.headers_mut().insert(STALE, value);
    }
    if let (Some(log), Some(entry)) = (&api.access_log, entry) {
        let bytes = response.body().size_hint().exact().unwrap_or_default();
        log.write(&entry, response.status().as_u16(), bytes);
    }
    response
}
