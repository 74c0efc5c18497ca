//! Finds out what is behind an address: a server by itself, a sentinel, or a node of a cluster.

use std::collections::HashMap;
use std::sync::Arc;

use plugin_api::RedisSettings;
use redis::{ErrorKind, ServerErrorKind, cmd};

use super::cluster::{Cluster, Node};
use super::link::Link;
use super::{Behind, Error};
use crate::network::Connections;

/// What a server says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Alone,
    Sentinel,
    Cluster,
}

/// What was found, and other addresses that lead there.
pub(super) type Found = (Behind, Vec<Node>);

/// Connects to what the settings name, and to what that leads to; `known` are other addresses that led there once.
pub(super) async fn find(
    connections: &Connections,
    settings: &RedisSettings,
    known: &[Node],
) -> Result<Found, Error> {
    let mut found = find_by(connections, settings, &settings.host, settings.port).await;
    for (host, port) in known {
        if !matches!(found, Err(Error::Connect(_))) {
            break;
        }
        let other = find_by(connections, settings, host, *port).await;
        if other.is_ok() {
            found = other;
        }
    }
    found
}

async fn find_by(
    connections: &Connections,
    settings: &RedisSettings,
    host: &str,
    port: u16,
) -> Result<Found, Error> {
    let first = match Link::open(connections, settings, host, port, true).await {
        Err(Error::Server(refused)) if !settings.password.is_empty() => {
            // The password may be that of the master, and sentinels in front of it may have none.
            let bare = Link::open(connections, settings, host, port, false).await?;
            if mode(&bare).await.ok() != Some(Mode::Sentinel) {
                return Err(refused.into());
            }
            bare
        }
        opened => opened?,
    };
    match mode(&first).await? {
        Mode::Alone => {
            let link = choose_database(first, settings).await?;
            Ok((Behind::One(link), Vec::new()))
        }
        Mode::Sentinel => {
            let ((host, port), others) = master(&first).await?;
            let link = Link::open(connections, settings, &host, port, true).await?;
            let link = choose_database(link, settings).await?;
            Ok((Behind::One(link), others))
        }
        Mode::Cluster => {
            if settings.database != 0 {
                let reason = "a cluster has no other database than 0";
                return Err(Error::Connect(reason.to_owned()));
            }
            let cluster = Cluster::around(first, connections.clone(), settings.clone()).await?;
            let nodes = cluster.nodes();
            Ok((Behind::Cluster(Arc::new(cluster)), nodes))
        }
    }
}

async fn mode(link: &Link) -> Result<Mode, Error> {
    let info: String = match link.ask(cmd("INFO").arg("server")).await {
        Ok(info) => info,
        // A user who may not ask is one of a server by itself; a cluster would redirect, which finds it out as well.
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
            return Ok(Mode::Alone);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(mode_of(&info))
}

fn mode_of(info: &str) -> Mode {
    let mode = info
        .lines()
        .find_map(|line| line.trim_end().strip_prefix("redis_mode:"));
    match mode {
        Some("sentinel") => Mode::Sentinel,
        Some("cluster") => Mode::Cluster,
        _ => Mode::Alone,
    }
}

/// The one master that a sentinel watches, and the other sentinels that watch it.
async fn master(sentinel: &Link) -> Result<(Node, Vec<Node>), Error> {
    type Facts = HashMap<String, String>;
    let masters: Vec<Facts> = sentinel.ask(cmd("SENTINEL").arg("MASTERS")).await?;
    let [master] = masters.as_slice() else {
        let count = masters.len();
        return Err(Error::Connect(format!(
            "the sentinel watches {count} masters, and one is needed"
        )));
    };
    let name = master.get("name").map(String::as_str).unwrap_or_default();
    let address = cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(name)
        .clone();
    let address: Option<Node> = sentinel.ask(&address).await?;
    let address = address
        .ok_or_else(|| Error::Connect(format!("the sentinel knows no address of {name}")))?;
    let others: Vec<Facts> = sentinel
        .ask(cmd("SENTINEL").arg("SENTINELS").arg(name))
        .await?;
    let others = others
        .iter()
        .filter_map(|other| Some((other.get("ip")?.clone(), other.get("port")?.parse().ok()?)));
    Ok((address, others.collect()))
}

async fn choose_database(link: Link, settings: &RedisSettings) -> Result<Arc<Link>, Error> {
    if settings.database != 0 {
        let _: () = link.ask(cmd("SELECT").arg(settings.database)).await?;
    }
    Ok(Arc::new(link))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_tells_what_it_is() {
        let info =
            |mode: &str| format!("# Server\r\nredis_version:7.0.15\r\nredis_mode:{mode}\r\n");
        assert_eq!(mode_of(&info("standalone")), Mode::Alone);
        assert_eq!(mode_of(&info("sentinel")), Mode::Sentinel);
        assert_eq!(mode_of(&info("cluster")), Mode::Cluster);
        assert_eq!(mode_of(""), Mode::Alone);
    }
}
