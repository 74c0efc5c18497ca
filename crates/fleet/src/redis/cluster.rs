//! A Redis cluster.

use std::process::Command;

use super::{Redis, says};
use crate::{Error, Result, find_program, free_ports};

/// Masters that share the keys among them, each without a follower; ended when it is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl RedisCluster {
    /// Starts three nodes and lets them find each other.
    pub fn start() -> Result<Self> {
        let ports: [u16; 3] = free_ports()?;
        let nodes: Vec<_> = ports
            .iter()
            .map(|bus| {
                let bus = bus.to_string();
                Redis::start_with(&[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                ])
            })
            .collect::<Result<_>>()?;
        let mut create = Command::new(find_program("redis-cli")?);
        create.args(["--cluster", "create", "--cluster-yes"]);
        create.args(nodes.iter().map(|node| node.address().to_string()));
        let created = create.output().map_err(Error::io("redis-cli"))?;
        if !created.status.success() {
            let said = String::from_utf8_lossy(&created.stdout).into_owned();
            return Err(Error::io("redis-cli")(std::io::Error::other(said)));
        }
        crate::until("the cluster has all slots", || {
            nodes.iter().all(|node| {
                says(node.address(), "CLUSTER INFO")
                    .is_some_and(|answer| answer.contains("cluster_state:ok"))
            })
        })?;
        Ok(Self { nodes })
    }

    /// The nodes.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }
}
