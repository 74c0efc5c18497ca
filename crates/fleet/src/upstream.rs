//! An example upstream.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::{Error, Result};

/// An HTTP/1.1 server of this process, on a free port of 127.0.0.1, that answers every request with 200 and the request
/// line it got; it closes its port and its connections when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    over: AtomicBool,
    requests: AtomicU64,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Upstream {
    /// Starts it; `name` is in the header `X-Upstream` of its answers.
    pub fn start(name: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::io("an upstream"))?;
        let address = listener.local_addr().map_err(Error::io("an upstream"))?;
        let state = Arc::new(State::default());
        let (shared, name) = (Arc::clone(&state), Arc::<str>::from(name));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if shared.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(socket) = socket else { continue };
                let (shared, name) = (Arc::clone(&shared), Arc::clone(&name));
                std::thread::spawn(move || {
                    if let Ok(copy) = socket.try_clone() {
                        shared.sockets.lock().push(copy);
                        // The end of a connection, however it comes, is not the upstream's business.
                        let _ = serve(socket, &name, &shared);
                    }
                });
            }
        });
        Ok(Self { address, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for a service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests came completely so far.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts; if nobody listens, it has ended.
        let _ = TcpStream::connect(self.address);
        for socket in self.state.sockets.lock().iter() {
            // It may have been closed before.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn serve(mut socket: TcpStream, name: &str, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(socket.try_clone()?);
    socket.set_nodelay(true)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let length = read_headers(&mut reader)?;
        io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
        state.requests.fetch_add(1, Ordering::SeqCst);
        let body = format!("{} at {name}\n", line.trim_end());
        let bodiless = line.starts_with("HEAD ");
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Upstream: {name}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let answer = if bodiless { head } else { head + &body };
        socket.write_all(answer.as_bytes())?;
    }
}

/// Reads to the end of a head; the length of the body. Bodies in chunks end the connection.
fn read_headers(reader: &mut BufReader<TcpStream>) -> io::Result<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.by_ref().take(64 << 10).read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let Some((field, value)) = line.split_once(':') else {
            return Ok(length);
        };
        match field.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
            "transfer-encoding" => return Err(io::ErrorKind::Unsupported.into()),
            _ => {}
        }
    }
}
