//! Upstreams that do what a test says, and record what they got.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::message::{header, read_body, read_head};

/// An upstream on a free port; it closes its port and its connections when it is dropped.
#[derive(Debug)]
pub struct Backend {
    address: SocketAddr,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    over: AtomicBool,
    /// By the number of the connection; none once it was reset.
    sockets: Mutex<Vec<Option<TcpStream>>>,
    received: Mutex<Vec<Received>>,
}

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Request line and headers, as they came.
    pub head: String,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// What followed a chunked body.
    pub trailers: String,
    /// Which connection it came over, from 0.
    pub connection: usize,
}

impl Received {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The request line without the version.
    pub fn line(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.strip_suffix(" HTTP/1.1").unwrap_or(line)
    }
}

/// What an upstream does with a request.
#[derive(Debug, Clone)]
pub enum Then {
    /// Sends bytes and waits for the next request.
    Answer(Vec<u8>),
    /// Sends bytes and closes.
    AnswerAndClose(Vec<u8>),
    /// Sends bytes and resets the connection.
    AnswerAndReset(Vec<u8>),
    /// Keeps the connection open and says nothing.
    Hang,
}

impl Then {
    /// 200 with a text.
    pub fn ok(text: &str) -> Self {
        let length = text.len();
        Self::Answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{text}").into())
    }
}

impl Backend {
    /// An upstream that is spoken to by a script of the test, one thread a connection.
    pub fn raw(script: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Self {
        Self::start(move |socket, number, _| script(socket, number))
    }

    /// An HTTP/1.1 upstream with keep-alive.
    pub fn http(answer: impl Fn(&Received) -> Then + Send + Sync + 'static) -> Self {
        Self::start(move |socket, number, state| {
            // The end of a connection, however it comes, is not the upstream's business.
            let _ = serve(socket, number, state, &answer);
        })
    }

    /// An HTTP/1.1 upstream that answers every request with 200 and a text.
    pub fn saying(text: &'static str) -> Self {
        Self::http(move |_| Then::ok(text))
    }

    fn start(serve: impl Fn(TcpStream, usize, &State) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(State::default());
        let (serve, shared) = (Arc::new(serve), Arc::clone(&state));
        let accepting = std::thread::spawn(move || {
            for (number, socket) in listener.incoming().enumerate() {
                let Ok(socket) = socket else { continue };
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(copy) = socket.try_clone() else {
                    continue;
                };
                lock(&shared.sockets).push(Some(copy));
                let (serve, shared) = (Arc::clone(&serve), Arc::clone(&shared));
                std::thread::spawn(move || serve(socket, number, &shared));
            }
        });
        Self {
            address,
            state,
            accepting: Some(accepting),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for a service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything that arrived completely so far.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.state.received).clone()
    }

    /// How many connections came so far.
    pub fn connections(&self) -> usize {
        lock(&self.state.sockets).len()
    }

    /// Closes all connections that are open; new ones are taken.
    pub fn close_connections(&self) {
        for socket in lock(&self.state.sockets).iter().flatten() {
            // It may have been closed before.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let woken = TcpStream::connect(self.address).is_ok();
        self.close_connections();
        if let Some(accepting) = self.accepting.take().filter(|_| woken) {
            // It can only have panicked, which the test has seen.
            let _ = accepting.join();
        }
    }
}

/// Nothing that these locks guard is left half-done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    socket: TcpStream,
    connection: usize,
    state: &State,
    answer: &impl Fn(&Received) -> Then,
) -> io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    let mut writer = socket;
    while !reader.fill_buf()?.is_empty() {
        let head = read_head(&mut reader)?;
        if header(&head, "expect").is_some() {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let (body, trailers) = read_body(&mut reader, &head)?.unwrap_or_default();
        let received = Received {
            head,
            body,
            trailers,
            connection,
        };
        lock(&state.received).push(received.clone());
        match answer(&received) {
            Then::Answer(bytes) => writer.write_all(&bytes)?,
            Then::AnswerAndClose(bytes) => {
                writer.write_all(&bytes)?;
                return writer.shutdown(Shutdown::Both);
            }
            Then::AnswerAndReset(bytes) => {
                writer.write_all(&bytes)?;
                return reset(reader, writer, state, connection);
            }
            Then::Hang => {
                reader.read_to_end(&mut Vec::new())?;
            }
        }
    }
    Ok(())
}

/// Ends a connection with a reset: the system sends one when the last owner of a socket closes it without lingering.
fn reset(
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    state: &State,
    connection: usize,
) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    nix::sys::socket::setsockopt(&writer, nix::sys::socket::sockopt::Linger, &linger)?;
    drop(reader);
    if let Some(socket) = lock(&state.sockets).get_mut(connection) {
        *socket = None;
    }
    Ok(())
}
