//! A client of HTTP/1, or of nothing at all: it sends bytes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::PATIENCE;
use crate::message::{Answer, read_answer};
use crate::tls::{TlsStream, handshake};

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<Transport>,
}

#[derive(Debug)]
enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream>),
}

impl Client {
    /// Connects to a port of this machine.
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port).unwrap_or_else(|error| panic!("cannot connect to {port}: {error}"))
    }

    /// As [`Client::connect`]; an error is for the caller.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        let socket = open(port)?;
        Ok(Self {
            stream: BufReader::new(Transport::Plain(socket)),
        })
    }

    /// Connects and shakes hands, offering application protocols.
    pub fn connect_tls(port: u16, server_name: &str, alpn: &[&str]) -> io::Result<Self> {
        let stream = handshake(open(port)?, server_name, alpn)?;
        Ok(Self {
            stream: BufReader::new(Transport::Tls(Box::new(stream))),
        })
    }

    /// The certificate that the server showed.
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        let Transport::Tls(stream) = self.stream.get_ref() else {
            return None;
        };
        let chain = stream.conn.peer_certificates()?;
        chain.first().map(|certificate| certificate.to_vec())
    }

    /// The socket, for what only a socket can do.
    pub fn socket(&self) -> &TcpStream {
        match self.stream.get_ref() {
            Transport::Plain(socket) => socket,
            Transport::Tls(stream) => &stream.sock,
        }
    }

    /// Reads wait no longer than this from now on.
    pub fn with_patience(self, patience: Duration) -> Self {
        self.socket()
            .set_read_timeout(Some(patience))
            .expect("a timeout");
        self
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("sent");
    }

    /// As [`Client::send`]; the server may have closed.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let transport = self.stream.get_mut();
        transport.write_all(bytes.as_ref())?;
        transport.flush()
    }

    /// Says that nothing more is to come.
    pub fn finish_sending(&self) {
        self.socket().shutdown(Shutdown::Write).expect("shut down");
    }

    /// Reads the next answer.
    pub fn receive(&mut self) -> Answer {
        self.try_receive().expect("an answer")
    }

    /// As [`Client::receive`]; the server may have closed.
    pub fn try_receive(&mut self) -> io::Result<Answer> {
        read_answer(&mut self.stream, false)
    }

    /// Reads the answer to a HEAD request.
    pub fn receive_head(&mut self) -> Answer {
        read_answer(&mut self.stream, true).expect("an answer")
    }

    /// Sends a request and reads its answer.
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.receive()
    }

    /// As [`Client::exchange`] for a GET request; the server may have closed.
    pub fn try_get(&mut self, path: &str) -> io::Result<Answer> {
        self.try_send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"))?;
        self.try_receive()
    }

    /// A GET request over this connection.
    pub fn get(&mut self, path: &str) -> Answer {
        self.try_get(path)
            .unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Reads so many bytes.
    pub fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("bytes");
        bytes
    }

    /// Reads until the server closes or resets the connection; what came before that.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if is_timeout(&error) => panic!(
                "the server does not close; it sent {:?}",
                String::from_utf8_lossy(&bytes)
            ),
            // A reset is an end as well.
            _ => bytes,
        }
    }

    /// Whether the server has closed the connection or closes it within the patience of this client.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => !is_timeout(&error),
        }
    }

    /// Buffered reading of what comes.
    pub fn reader(&mut self) -> &mut impl BufRead {
        &mut self.stream
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn open(port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
