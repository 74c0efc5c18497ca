//! A way to a server that can be slow, cut, or closed: a relay of TCP connections between a node and its database.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the way does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Bytes pass at once.
    Open,
    /// Bytes pass after a while, in each direction.
    Slow(Duration),
    /// Nothing passes and nobody is told, as when packets are dropped.
    Cut,
    /// Connections are closed, and new ones are closed at once.
    Closed,
}

/// A relay to one server, on a port of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Relay {
    /// Starts an open way to a server, from an address of this machine.
    pub fn start(here: IpAddr, to: SocketAddr) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind((here, 0)).context("a port for a relay")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime for a relay")?;
        let (way, watched) = watch::channel(Way::Open);
        let thread = std::thread::Builder::new().name("relay".to_owned());
        thread
            .spawn(move || runtime.block_on(listen(listener, to, watched)))
            .context("no thread for a relay")?;
        Ok(Self { address, way })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the way for all connections, those that are open included.
    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

/// Accepts until the relay is dropped.
async fn listen(listener: std::net::TcpListener, to: SocketAddr, mut way: watch::Receiver<Way>) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            changed = way.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if let Ok((client, _)) = accepted {
            tokio::spawn(relay(client, to, way.clone()));
        }
    }
}

/// One connection, until one side ends it or the way is closed.
async fn relay(client: TcpStream, to: SocketAddr, mut way: watch::Receiver<Way>) {
    // A connection that is made while the way is cut is made when it is mended.
    if let Ok(Way::Closed) | Err(_) = way.wait_for(|way| *way != Way::Cut).await.map(|way| *way) {
        return;
    }
    let Ok(server) = TcpStream::connect(to).await else {
        return;
    };
    // Without it, some bytes would wait for others.
    if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, way.clone()) => {}
        () = pass(from_server, to_client, way.clone()) => {}
        _ = way.wait_for(|way| *way == Way::Closed) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let length = match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        let open = way.wait_for(|way| *way != Way::Cut).await.map(|way| *way);
        match open {
            Ok(Way::Slow(delay)) => tokio::time::sleep(delay).await,
            Ok(Way::Open) => {}
            Ok(Way::Cut | Way::Closed) | Err(_) => return,
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
