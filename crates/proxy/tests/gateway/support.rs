//! A worker with a snapshot made of records, an upstream that notes every byte, and a client that sends any byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use net::dns::{DnsSettings, Resolver};
use net::listen::{ListenAddress, ListenSpec, ListenerSet};
use proxy::{DataPlaneSettings, Shared, Worker, WorkerConfig};
use router::Flavor;
use serde_json::{Value, json};
use snapshot::{Change, NoPlugins, Options, PluginTable, Snapshot, Unresolved};
use stdx::SystemClock;
use store::Version;
use uuid::Uuid;

/// Long enough for a loaded machine; no test waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running worker.
pub struct Gateway {
    pub address: SocketAddr,
    pub shared: Arc<Shared>,
    pub worker: Worker,
    _listeners: ListenerSet,
}

/// Where what a test waits for runs.
pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    })
}

/// A record of a snapshot.
pub fn record(entity: &'static str, number: u128, mut fields: Value) -> Change {
    fields["id"] = json!(Uuid::from_u128(number).to_string());
    Change {
        entity,
        id: Uuid::from_u128(number),
        record: fields.as_object().cloned(),
    }
}

/// A service at `upstream` with a route for every path, each with more fields.
pub fn service_and_route(upstream: SocketAddr, service: Value, route: Value) -> Vec<Change> {
    let mut fields = json!({"protocol": "http", "host": upstream.ip().to_string(), "port": upstream.port(), "enabled": true});
    merge(&mut fields, service);
    let mut routed = json!({"paths": ["/"], "protocols": ["http", "https"], "service": {"id": Uuid::from_u128(1).to_string()}});
    merge(&mut routed, route);
    vec![record("services", 1, fields), record("routes", 2, routed)]
}

fn merge(into: &mut Value, from: Value) {
    for (key, value) in from.as_object().into_iter().flatten() {
        into[key] = value.clone();
    }
}

/// The snapshot that records without plugins make.
pub fn plain_snapshot(changes: Vec<Change>) -> Arc<Snapshot> {
    snapshot(changes, Arc::new(NoPlugins))
}

/// The snapshot that the records make.
pub fn snapshot(changes: Vec<Change>, plugins: Arc<dyn PluginTable>) -> Arc<Snapshot> {
    let options = Options {
        flavor: Flavor::default(),
        references: Arc::new(Unresolved),
        plugins,
    };
    let (snapshot, problems) = Snapshot::empty(options).with(Version(1), changes);
    assert_eq!(problems, []);
    Arc::new(snapshot)
}

impl Gateway {
    /// Serves the records with Kong's default settings.
    pub fn serving(changes: Vec<Change>) -> Self {
        Self::with(changes, DataPlaneSettings::default(), |_| {})
    }

    /// Serves the records, with settings and listener flags.
    pub fn with(
        changes: Vec<Change>,
        settings: DataPlaneSettings,
        flags: impl FnOnce(&mut ListenSpec),
    ) -> Self {
        Self::of(plain_snapshot(changes), settings, flags)
    }

    /// Serves the records, with name servers.
    pub fn resolving(dns: DnsSettings, changes: Vec<Change>) -> Self {
        let settings = DataPlaneSettings::default();
        Self::start(plain_snapshot(changes), settings, dns, |_| {})
    }

    /// Serves a snapshot, with settings and listener flags.
    pub fn of(
        snapshot: Arc<Snapshot>,
        settings: DataPlaneSettings,
        flags: impl FnOnce(&mut ListenSpec),
    ) -> Self {
        Self::start(snapshot, settings, DnsSettings::default(), flags)
    }

    fn start(
        snapshot: Arc<Snapshot>,
        settings: DataPlaneSettings,
        dns: DnsSettings,
        flags: impl FnOnce(&mut ListenSpec),
    ) -> Self {
        let mut spec = ListenSpec::new(ListenAddress::Tcp(([127, 0, 0, 1], 0).into()));
        flags(&mut spec);
        let _runtime = runtime().enter();
        let resolver = Resolver::new(dns, runtime().handle().clone(), Arc::new(SystemClock))
            .expect("a resolver");
        let shared = Shared::new(
            snapshot,
            settings,
            None,
            resolver,
            Arc::new(SystemClock),
            None,
        );
        let listeners = ListenerSet::bind(&[spec], 1, None).expect("a listener");
        let ListenAddress::Tcp(address) = listeners.addresses()[0].1.clone() else {
            panic!("a TCP address")
        };
        let config = WorkerConfig {
            index: 0,
            shared: shared.clone(),
            listeners: listeners.for_worker(0).expect("a listener"),
        };
        Self {
            address,
            shared,
            worker: Worker::spawn(config).expect("a worker"),
            _listeners: listeners,
        }
    }

    /// A service at `upstream` behind a route for every path.
    pub fn to(upstream: &Upstream) -> Self {
        Self::serving(service_and_route(upstream.address, json!({}), json!({})))
    }

    /// Opens a connection.
    pub fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends bytes on a new connection and gives what comes back until it ends.
    pub fn exchange(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.connect();
        client.send(request);
        client.rest()
    }
}

/// A client connection.
pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    /// Sends bytes; the gateway may have closed already.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref());
    }

    /// What comes until the connection ends.
    pub fn rest(&mut self) -> String {
        let mut answer = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut answer) {
            assert_ne!(
                error.kind(),
                std::io::ErrorKind::WouldBlock,
                "no end after {:?}",
                String::from_utf8_lossy(&answer)
            );
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What comes up to and with `end`.
    pub fn until(&mut self, end: &str) -> String {
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(end.as_bytes()) {
            match self.0.read(&mut byte) {
                Ok(1) => answer.push(byte[0]),
                other => panic!(
                    "{other:?} instead of {end:?} after {:?}",
                    String::from_utf8_lossy(&answer)
                ),
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

type Behaviour = Arc<
    dyn Fn(usize, &mut TcpStream, &mut dyn FnMut(&mut TcpStream) -> Option<String>) + Send + Sync,
>;

/// An upstream on a port of its own that keeps the requests it got.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Upstream {
    /// Gives each request the same answer, on connections that go on.
    pub fn answering(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        Self::behaving(move |_, stream, next| {
            while next(stream).is_some() {
                if stream.write_all(&answer).is_err() {
                    return;
                }
            }
        })
    }

    /// Gives each request the same answer and closes.
    pub fn closing(answer: impl AsRef<[u8]>) -> Self {
        let answer = answer.as_ref().to_vec();
        Self::behaving(move |_, stream, next| {
            if next(stream).is_some() {
                let _ = stream.write_all(&answer);
            }
        })
    }

    /// Answers 200 with a body of two bytes.
    pub fn ok() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    }

    /// Runs `behave` on each connection, with its number from zero, and a function that reads the next request.
    pub fn behaving(
        behave: impl Fn(usize, &mut TcpStream, &mut dyn FnMut(&mut TcpStream) -> Option<String>)
        + Send
        + Sync
        + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let (seen, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let upstream = Self {
            address,
            seen: seen.clone(),
            connections: connections.clone(),
        };
        let behave: Behaviour = Arc::new(behave);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let number = {
                    let mut count = connections.lock().expect("a lock");
                    *count += 1;
                    *count - 1
                };
                let (behave, seen) = (behave.clone(), seen.clone());
                std::thread::spawn(move || {
                    let mut next = |stream: &mut TcpStream| {
                        let request = read_request(stream)?;
                        seen.lock().expect("a lock").push(request.clone());
                        Some(request)
                    };
                    behave(number, &mut stream, &mut next);
                });
            }
        });
        upstream
    }

    /// The requests so far, head and body as they came.
    pub fn requests(&self) -> Vec<String> {
        self.seen.lock().expect("a lock").clone()
    }

    /// The only request.
    pub fn request(&self) -> String {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }

    /// How many connections came.
    pub fn connections(&self) -> usize {
        *self.connections.lock().expect("a lock")
    }
}

/// Reads one request with its framing, a byte at a time so that nothing of the next one is taken.
fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    read_until(stream, &mut bytes, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes).to_lowercase();
    if let Some(length) = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
    {
        let mut body = vec![0; length.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        bytes.extend_from_slice(&body);
    } else if head.contains("transfer-encoding: chunked") {
        loop {
            let start = bytes.len();
            read_until(stream, &mut bytes, b"\r\n")?;
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[start..]).ok()?.trim(), 16)
                .ok()?;
            if size == 0 {
                loop {
                    let start = bytes.len();
                    read_until(stream, &mut bytes, b"\r\n")?;
                    if bytes.len() - start == 2 {
                        return Some(String::from_utf8_lossy(&bytes).into_owned());
                    }
                }
            }
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).ok()?;
            bytes.extend_from_slice(&chunk);
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn read_until(stream: &mut TcpStream, bytes: &mut Vec<u8>, end: &[u8]) -> Option<()> {
    let mut byte = [0];
    let start = bytes.len();
    while !bytes[start..].ends_with(end) {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    Some(())
}

/// Waits until `holds`.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::yield_now();
    }
}

/// The value of a header in a message, whatever the case of its name.
pub fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let head = message.split("\r\n\r\n").next().unwrap_or_default();
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// The status of an answer; 0 if there is none.
pub fn status(answer: &str) -> u16 {
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

/// What follows the head of a message.
pub fn body(message: &str) -> &str {
    message.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
