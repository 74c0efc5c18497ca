//! A Redis cluster: which node has which keys, and what to do when that changes.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use plugin_api::RedisSettings;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value, cmd};

use super::link::Link;
use super::{Call, Error};
use crate::network::Connections;

/// The number of slots that keys fall into.
const SLOTS: u16 = 16384;

/// How often a call is sent on at most.
const MOST_REDIRECTIONS: usize = 5;

/// A node by its host and port.
pub(super) type Node = (String, u16);

/// The nodes of a cluster as far as they are known.
pub(super) struct Cluster {
    connections: Connections,
    settings: RedisSettings,
    ranges: Mutex<Vec<Range>>,
    links: Mutex<HashMap<Node, Arc<Link>>>,
    /// All nodes, those that only follow a master included.
    nodes: Mutex<Vec<Node>>,
}

/// Slots that one master has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    master: Node,
}

impl Cluster {
    /// The cluster that a node belongs to.
    pub(super) async fn around(
        node: Link,
        connections: Connections,
        settings: RedisSettings,
    ) -> Result<Self, Error> {
        let cluster = Self {
            connections,
            settings,
            ranges: Mutex::default(),
            links: Mutex::default(),
            nodes: Mutex::default(),
        };
        cluster.learn(&node).await?;
        Ok(cluster)
    }

    /// Asks a node who has which slots.
    async fn learn(&self, node: &Link) -> Result<(), Error> {
        let answer: Value = node.ask(cmd("CLUSTER").arg("SLOTS")).await?;
        let (ranges, nodes) = layout(&answer, &node.host);
        if ranges.is_empty() {
            return Err(Error::Connect("the cluster has no slots".to_owned()));
        }
        let is_master = |node: &Node| ranges.iter().any(|range| range.master == *node);
        self.links.lock().retain(|node, _| is_master(node));
        *self.ranges.lock() = ranges;
        *self.nodes.lock() = nodes;
        Ok(())
    }

    /// All nodes, as far as they are known.
    pub(super) fn nodes(&self) -> Vec<Node> {
        self.nodes.lock().clone()
    }

    fn master_of(&self, slot: u16) -> Result<Node, Error> {
        let ranges = self.ranges.lock();
        let has = |range: &&Range| (range.first..=range.last).contains(&slot);
        let range = ranges.iter().find(has);
        range
            .map(|range| range.master.clone())
            .ok_or_else(|| Error::Connect(format!("no node of the cluster has slot {slot}")))
    }

    /// The connection to a node, opened if there is none.
    async fn link(&self, node: &Node) -> Result<Arc<Link>, Error> {
        if let Some(link) = self.links.lock().get(node) {
            return Ok(link.clone());
        }
        let opened = Link::open(&self.connections, &self.settings, &node.0, node.1, true);
        let opened = Arc::new(opened.await?);
        let mut links = self.links.lock();
        // Two may have opened one at the same time.
        Ok(links.entry(node.clone()).or_insert(opened).clone())
    }

    /// Runs a script where its keys are.
    pub(super) async fn eval(&self, call: &Call) -> Result<Value, Error> {
        let mut slots = call.keys.iter().map(|key| slot(key.as_bytes()));
        let slot = slots.next().unwrap_or(0);
        if slots.any(|other| other != slot) {
            return Err(Error::Apart);
        }
        let mut node = self.master_of(slot)?;
        let mut moving = false;
        for _ in 0..MOST_REDIRECTIONS {
            let link = self.link(&node).await?;
            let answer = match moving {
                false => link.eval(call).await,
                true => link.eval_moving(call).await,
            };
            let error = match answer {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some((to, for_once)) = redirection(&error, &node) else {
                return Err(error.into());
            };
            node = to;
            moving = for_once;
            if !for_once {
                let link = self.link(&node).await?;
                self.learn(&link).await?;
            }
        }
        Err(Error::Connect(
            "the cluster sends calls in circles".to_owned(),
        ))
    }

    /// Whether every master answers.
    pub(super) async fn check(&self) -> Result<(), Error> {
        let mut masters: Vec<_> = self
            .ranges
            .lock()
            .iter()
            .map(|range| range.master.clone())
            .collect();
        masters.sort_unstable();
        masters.dedup();
        for master in masters {
            self.link(&master).await?.ping().await?;
        }
        Ok(())
    }
}

/// Where an error sends a call, and whether only this once.
fn redirection(error: &RedisError, from: &Node) -> Option<(Node, bool)> {
    let for_once = match error.kind() {
        ErrorKind::Server(ServerErrorKind::Moved) => false,
        ErrorKind::Server(ServerErrorKind::Ask) => true,
        _ => return None,
    };
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    // Without a host, it is the one that answered.
    let host = if host.is_empty() { &from.0 } else { host };
    Some(((host.to_owned(), port.parse().ok()?), for_once))
}

/// What `CLUSTER SLOTS` answered to someone who asked `asked`: who has which slots, and all nodes.
fn layout(answer: &Value, asked: &str) -> (Vec<Range>, Vec<Node>) {
    let mut ranges = Vec::new();
    let mut nodes = Vec::new();
    let Value::Array(parts) = answer else {
        return (ranges, nodes);
    };
    for part in parts {
        let Value::Array(part) = part else { continue };
        let [Value::Int(first), Value::Int(last), holders @ ..] = part.as_slice() else {
            continue;
        };
        let mut holders = holders.iter().filter_map(|holder| node(holder, asked));
        let master = holders.next();
        if let (Some(master), Ok(first), Ok(last)) =
            (&master, u16::try_from(*first), u16::try_from(*last))
        {
            let master = master.clone();
            ranges.push(Range {
                first,
                last,
                master,
            });
        }
        nodes.extend(master.into_iter().chain(holders));
    }
    nodes.sort_unstable();
    nodes.dedup();
    (ranges, nodes)
}

fn node(holder: &Value, asked: &str) -> Option<Node> {
    let Value::Array(parts) = holder else {
        return None;
    };
    let [host, Value::Int(port), ..] = parts.as_slice() else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) if !host.is_empty() => String::from_utf8_lossy(host).into_owned(),
        _ => asked.to_owned(),
    };
    Some((host, u16::try_from(*port).ok()?))
}

/// The slot of a key: of the part between braces, if there is one.
fn slot(key: &[u8]) -> u16 {
    let open = key.iter().position(|byte| *byte == b'{');
    let tag = open.and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16/XMODEM, as the cluster specification has it.
fn crc16(bytes: &[u8]) -> u16 {
    const POLYNOMIAL: u16 = 0x1021;
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| {
            let carry = sum & 0x8000 != 0;
            (sum << 1) ^ if carry { POLYNOMIAL } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_fall_into_the_slots_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
    }

    #[test]
    fn a_node_without_a_host_is_where_it_was_asked() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let range = |first, last, host| {
            let master = Value::Array(vec![host, Value::Int(7000), text("id")]);
            Value::Array(vec![Value::Int(first), Value::Int(last), master])
        };
        let answer = Value::Array(vec![
            range(0, 5460, text("10.0.0.1")),
            range(5461, 16383, Value::Nil),
            Value::Int(3),
        ]);
        let (found, nodes) = layout(&answer, "10.0.0.9");
        assert_eq!(nodes.len(), 2);
        let masters: Vec<_> = found.iter().map(|range| range.master.0.as_str()).collect();
        assert_eq!(masters, ["10.0.0.1", "10.0.0.9"]);
        assert_eq!((found[1].first, found[1].last), (5461, 16383));
    }
}
