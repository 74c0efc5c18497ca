//! A real node that a command starts for itself.

use anyhow::bail;
use fleet::{Durability, Postgres};

use crate::steps::binary;

/// What a node keeps its configuration in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Postgres,
    Sqlite,
}

impl Store {
    /// The store that a command line names.
    pub fn parse(name: &str) -> anyhow::Result<Self> {
        match name {
            "postgres" => Ok(Self::Postgres),
            "sqlite" => Ok(Self::Sqlite),
            other => bail!("--store takes postgres or sqlite, not {other:?}"),
        }
    }
}

/// The database of a node on PostgreSQL.
const DATABASE: &str = "kong";

/// A node with an empty store; it ends when this is dropped, and its database after it.
pub struct Started {
    pub node: fleet::Node,
    _postgres: Option<Postgres>,
}

/// Starts the binary of a profile with an empty store, and returns when it serves.
pub fn start(profile: &str, store: Store) -> anyhow::Result<Started> {
    let node = fleet::Node::new(&binary(profile, "silverback"))?;
    let postgres = match store {
        Store::Sqlite => None,
        Store::Postgres => {
            let postgres = Postgres::start(Durability::Fast)?;
            postgres.create_database(DATABASE)?;
            for (name, value) in postgres.node_settings(DATABASE) {
                node.set(name, value);
            }
            node.call(&["migrations", "bootstrap"])?;
            Some(postgres)
        }
    };
    node.start()?;
    Ok(Started {
        node,
        _postgres: postgres,
    })
}
