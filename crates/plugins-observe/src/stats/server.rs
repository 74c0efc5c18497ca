//! A server that speaks the protocol.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use plugin_api::{Destination, Services, Workspace};

use crate::queue::{Batch, Collector, Limits, Queue, Sending};
use crate::stream::Stream;

/// How long a connection may take to come about, and to take what is written.
const TIMEOUT: Duration = Duration::from_secs(1);
/// How long a connection is kept for the next batch.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How values get to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// One line after the other.
    Tcp,
    /// As many lines in a datagram as fit into so many bytes, at least one.
    Udp { datagram: usize },
}

/// Takes entries of one or more lines without the last line feed. A NUL byte stands for the id of the workspace.
pub struct Server {
    services: Services,
    to: Destination,
    stream: Stream,
    transport: Transport,
    workspace: Workspace,
}

impl Server {
    /// Stands for the id of the workspace in an entry, which has no other control characters but line feeds.
    pub const WORKSPACE: char = '\0';

    /// The queue to a server.
    pub fn queue(
        services: &Services,
        plugin: &'static str,
        to: Destination,
        transport: Transport,
        limits: Limits,
    ) -> Arc<Queue> {
        let parameters = format!("{to:?} {transport:?} {limits:?}");
        Queue::of(services, plugin, &parameters, limits, || {
            Box::new(Self {
                services: services.clone(),
                stream: Stream::to(services, to.clone(), None, TIMEOUT, KEEP_ALIVE),
                to,
                transport,
                workspace: Workspace::of(services),
            })
        })
    }

    /// The lines of a batch with the id of the workspace in its places.
    async fn text(&self, batch: &Batch) -> Result<Vec<u8>, String> {
        let mut text = Vec::from(batch.text());
        text.pop();
        if !text.contains(&b'\0') {
            return Ok(text);
        }
        let id = self.workspace.look_up().await;
        let id = id.ok_or("the workspace cannot be looked up")?.to_string();
        let parts: Vec<&[u8]> = text.split(|byte| *byte == b'\0').collect();
        Ok(parts.join(id.as_bytes()))
    }

    /// Compat: what was sent is not sent again, and neither is the rest of its batch: a value that is missing does less
    /// harm than one that counts twice.
    async fn send_datagrams(&self, text: &[u8], most: usize) -> Result<(), String> {
        for (at, datagram) in packed(text, most).into_iter().enumerate() {
            let sent = self.services.network.datagram(self.to.clone(), datagram);
            match sent.await {
                Ok(()) => {}
                Err(error) if at == 0 => {
                    return Err(format!("{}:{}: {error}", self.to.host, self.to.port));
                }
                Err(error) => {
                    tracing::warn!(
                        "metrics are lost: {}:{}: {error}",
                        self.to.host,
                        self.to.port
                    );
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Collector for Server {
    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(async move {
            let mut text = self.text(batch).await?;
            match self.transport {
                Transport::Tcp => {
                    text.push(b'\n');
                    Ok(self.stream.write(&text).await?)
                }
                Transport::Udp { datagram } => Ok(self.send_datagrams(&text, datagram).await?),
            }
        })
    }
}

/// Lines in datagrams of at most so many bytes, in their order; a longer line has one of its own.
fn packed(text: &[u8], most: usize) -> Vec<Bytes> {
    let mut datagrams: Vec<Vec<u8>> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        match datagrams.last_mut() {
            Some(last) if last.len() + 1 + line.len() <= most => {
                last.push(b'\n');
                last.extend_from_slice(line);
            }
            _ => datagrams.push(line.to_vec()),
        }
    }
    datagrams.into_iter().map(Bytes::from).collect()
}

#[cfg(test)]
mod tests {
    use super::packed;

    #[test]
    fn lines_share_datagrams_as_far_as_they_fit() {
        assert_eq!(packed(b"aa\nbb\ncc", 0), ["aa", "bb", "cc"]);
        assert_eq!(packed(b"aa\nbb\ncc", 4), ["aa", "bb", "cc"]);
        assert_eq!(packed(b"aa\nbb\ncc", 5), ["aa\nbb", "cc"]);
        assert_eq!(packed(b"a\nlong line\nc\nd", 3), ["a", "long line", "c\nd"]);
    }
}
