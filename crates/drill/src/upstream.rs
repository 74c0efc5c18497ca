//! What the gateway forwards to: it answers every request with its request line, so that an answer tells its request.

use std::net::{IpAddr, SocketAddr};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The longest line of a head.
const LONGEST_LINE: usize = 64 << 10;

/// A server on a free port; it ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    _running: watch::Sender<()>,
}

impl Upstream {
    /// Starts it on an address of this machine.
    pub fn start(address: IpAddr) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((address, 0)).context("the upstream's port")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for the upstream")?;
        let (running, mut ended) = watch::channel(());
        let serve = async move {
            let Ok(listener) = TcpListener::from_std(listener) else {
                return;
            };
            loop {
                tokio::select! {
                    accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                        tokio::spawn(serve(socket));
                    },
                    // Nothing is ever sent: the sender is gone.
                    _ = ended.changed() => return,
                }
            }
        };
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || runtime.block_on(serve))
            .context("no thread for the upstream")?;
        Ok(Self {
            address,
            _running: running,
        })
    }

    /// Its URL, for a service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Answers the requests of one connection.
async fn serve(socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let (from, mut to) = socket.into_split();
    let mut from = BufReader::with_capacity(4096, from);
    let (mut request, mut line) = (String::new(), String::new());
    loop {
        let mut body = 0;
        request.clear();
        if from.read_line(&mut request).await? == 0 {
            return Ok(());
        }
        while line.trim_end() != "" || line.is_empty() {
            line.clear();
            if from.read_line(&mut line).await? == 0 || line.len() > LONGEST_LINE {
                return Ok(());
            }
            if let Some(length) = content_length(&line) {
                body = length;
            }
        }
        line.clear();
        let mut body = (&mut from).take(body);
        tokio::io::copy(&mut body, &mut tokio::io::sink()).await?;
        let body = format!("{} at upstream\n", request.trim_end());
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        to.write_all(answer.as_bytes()).await?;
    }
}

/// The length of the body, if a line of the head says it.
fn content_length(line: &str) -> Option<u64> {
    let (name, value) = line.split_once(':')?;
    let is_length = name.eq_ignore_ascii_case("content-length");
    is_length.then(|| value.trim().parse().ok())?
}
